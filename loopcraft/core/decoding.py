"""Strict decoding of JSON into dataclasses: unknown, missing and mistyped fields are errors."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar

Record = TypeVar("Record")

_LARGEST = 3.4028235e38
"""The largest float32: metrics are computed in it, and sums of larger numbers would overflow."""


class SchemaError(ValueError):
    """Raised for a value that is not of the declared type; the message starts with its path (`a.b[0].c`)."""


def decode(record_type: type[Record], value: Any, path: str = "") -> Record:
    """Build `record_type` (a dataclass) from parsed JSON.

    Fields may be str, int, float, bool, Literal, dataclasses, `X | None`, `tuple[X, ...]`, `tuple[X, Y]`,
    `Mapping[str, X]` and Any. A field is optional in the JSON only if it has a default. Floats must be
    within float32's finite range. Raises `SchemaError`.
    """
    decoded: Record = _decode(record_type, value, path)
    return decoded


def _decode(expected: Any, value: Any, path: str) -> Any:
    if expected is Any:
        return value
    origin = typing.get_origin(expected)
    if dataclasses.is_dataclass(expected):
        return _decode_record(expected, value, path)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (option for option in typing.get_args(expected) if option is not types.NoneType)
        return None if value is None else _decode(inner, value, path)
    if origin is Literal:
        _require(value in typing.get_args(expected), value, path, f"one of {typing.get_args(expected)}")
        return value
    if origin is tuple:
        return _decode_tuple(typing.get_args(expected), value, path)
    if origin is Mapping:
        _require(isinstance(value, dict), value, path, "an object")
        return {
            key: _decode(typing.get_args(expected)[1], item, _join(path, key)) for key, item in value.items()
        }
    return _decode_scalar(expected, value, path)


def _decode_record(expected: Any, value: Any, path: str) -> Any:
    _require(isinstance(value, dict), value, path, "an object")
    fields, hints = _fields_of(expected)
    for name in value:
        if name not in fields:
            raise SchemaError(f"{_join(path, name)}: unknown field")
    for name, field in fields.items():
        if name not in value and field.default is field.default_factory is dataclasses.MISSING:
            raise SchemaError(f"{_join(path, name)}: missing")
    return expected(**{name: _decode(hints[name], item, _join(path, name)) for name, item in value.items()})


@cache
def _fields_of(record_type: Any) -> tuple[dict[str, dataclasses.Field[Any]], dict[str, Any]]:
    fields = {field.name: field for field in dataclasses.fields(record_type)}
    return fields, typing.get_type_hints(record_type)


def _decode_tuple(item_types: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    _require(isinstance(value, list), value, path, "a list")
    if item_types[-1] is Ellipsis:
        if _are_finite(item_types[0], value):
            return tuple(value)
        item_types = item_types[:1] * len(value)
    _require(len(value) == len(item_types), value, path, f"a list of {len(item_types)}")
    return tuple(
        _decode(item_type, item, f"{path}[{index}]")
        for index, (item_type, item) in enumerate(zip(item_types, value, strict=True))
    )


def _are_finite(item_type: Any, value: list[Any]) -> bool:
    """Return whether a list of floats needs no decoding: the fast path for thousands of numbers."""
    if item_type is float:
        return all(type(item) is float and abs(item) <= _LARGEST for item in value)
    if item_type == float | None:
        return all(item is None or (type(item) is float and abs(item) <= _LARGEST) for item in value)
    return False


def _decode_scalar(expected: Any, value: Any, path: str) -> Any:
    if expected is float:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        _require(is_number and abs(value) <= _LARGEST, value, path, "a finite number (of 32 bits)")
        return float(value)
    is_valid = isinstance(value, expected) and (expected is bool or not isinstance(value, bool))
    _require(is_valid, value, path, {str: "a string", int: "an integer", bool: "true or false"}[expected])
    return value


def _require(condition: bool, value: Any, path: str, expected: str) -> None:
    if not condition:
        raise SchemaError(f"{path or 'the document'}: expected {expected}, found {str(value)[:60]!r}")


def _join(path: str, name: str) -> str:
    name = name if name.isprintable() else ascii(name)
    return f"{path}.{name}" if path else name
