"""Cache what every command reads again: the types of its flags, and the installed entry points.

A process normally runs one command. Here it runs thousands, and reading the types and docstrings of flags
(tyro) and the entry points of all packages takes half the time of a small run.
"""

import importlib.metadata
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any

from tyro import _parsers


def read_once() -> None:
    """Cache from now on, for modules imported later; a tyro with other internals is left as it is."""
    importlib.metadata.entry_points = cache(importlib.metadata.entry_points)
    specification = getattr(_parsers, "ParserSpecification", None)
    if hasattr(specification, "from_callable_or_type"):
        specification.from_callable_or_type = staticmethod(_cached(specification.from_callable_or_type))


def _cached(read: Callable[..., Any]) -> Callable[..., Any]:
    specifications: dict[Hashable, Any] = {}

    def read_cached(f: Any, **options: Any) -> Any:
        is_command = options.get("intern_prefix") == options.get("extern_prefix") == ""
        if not is_command or options.get("markers") or options.get("parent_classes"):
            return read(f, **options)  # a group of flags within a command's
        key = (f, options["description"], options["default_instance"], options["prog_suffix"])
        try:
            specification = specifications.get(key)
        except TypeError:  # an unhashable default
            return read(f, **options)
        if specification is None:
            specification = specifications[key] = read(f, **options)
        return specification

    return read_cached
