"""What every command reads anew is read once in a process of tests: its flags' types, what is installed.

A command reads both once or twice in its life. Here thousands of them are called in one process, and tyro's
look at the types and docstrings of flags and the entry points of all packages are half of what a small run
takes.
"""

import importlib.metadata
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any

from tyro import _parsers


def read_once() -> None:
    """From now on, for modules that are imported later; where this tyro has another inside, it reads on."""
    importlib.metadata.entry_points = cache(importlib.metadata.entry_points)
    specification = getattr(_parsers, "ParserSpecification", None)
    if hasattr(specification, "from_callable_or_type"):
        specification.from_callable_or_type = staticmethod(_once(specification.from_callable_or_type))


def _once(read: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Hashable, Any] = {}

    def known_or_read(f: Any, **given: Any) -> Any:
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

    return known_or_read
