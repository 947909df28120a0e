"""Dataclasses from JSON, strictly; see `loopcraft.decoding`."""

from loopcraft.decoding import SchemaError, decode

__all__ = ["SchemaError", "decode"]
