"""What tyro reads of a command's flags, their types and docstrings, is read once in a process of tests.

A command reads it once in its life. Here thousands of them are called in one process, and each would spend a
hundredth of a second on it, which is a third of what a small run takes.
"""

from collections.abc import Callable, Hashable
from typing import Any

from tyro import _parsers


def read_flags_once() -> None:
    """From now on; where this tyro has another inside, nothing changes."""
    specification = getattr(_parsers, "ParserSpecification", None)
    if hasattr(specification, "from_callable_or_type"):
        specification.from_callable_or_type = staticmethod(_once(specification.from_callable_or_type))


def _once(read: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Hashable, Any] = {}

    def read_once(f: Any, **given: Any) -> Any:
        is_command = given.get("intern_prefix") == given.get("extern_prefix") == ""
        if not is_command or given.get("markers") or given.get("parent_classes"):
            return read(f, **given)  # a group of flags within those of a command
        key = (f, given["description"], given["default_instance"], given["prog_suffix"])
        try:
            found = known.get(key)
        except TypeError:  # a default that cannot be a key
            return read(f, **given)
        if found is None:
            found = known[key] = read(f, **given)
        return found

    return read_once
