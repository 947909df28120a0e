"""Documents with one thing wrong: a value of another type or size, a field missing, bytes changed."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from loopcraft.core.errors import UserError
from loopcraft.core.seeding import generator

STRANGE = (
    None,
    True,
    -1,
    0,
    1.5,
    1e300,
    float("nan"),
    10**30,
    "",
    "../../../x",
    "/etc/passwd",
    "a\nb",
    "\x00",
    "train",
    [],
    {},
    [[[[]]]],
    {"format": 1},
    ["x"] * 3,
)


def value_paths(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in the document."""
    yield path
    if not isinstance(document, (dict, list)):
        return
    for name, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield from value_paths(value, (*path, name))


def replace_value(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of the document with the value at `path` replaced."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


def remove_value(document: Any, path: tuple[Any, ...]) -> Any:
    """A copy of the document without one field or item."""
    changed = copy.deepcopy(document)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return changed


def mutants(document: Any, num_bytes: int = 200) -> Iterator[bytes]:
    """Replace every value with every strange one, remove it, nest it too deeply; change or cut the text."""
    for path in value_paths(document):
        for value in STRANGE:
            yield json.dumps(replace_value(document, path, value)).encode()
        yield json.dumps(replace_value(document, path, 0)).replace(" 0", "[" * 100_000, 1).encode()
        if path:
            yield json.dumps(remove_value(document, path)).encode()
    text = json.dumps(document).encode()
    yield from (b"", text[:-1], text + b"x", b"\xff\xfe" + text)
    yield from byte_mutants(text, num_bytes)


def byte_mutants(content: bytes, count: int) -> Iterator[bytes]:
    """The content with a byte changed, mostly near its beginning, or truncated."""
    rng = generator(0, "mutants")
    for number in range(count):
        offset = int(rng.integers(len(content) if number % 2 else min(len(content), 200)))
        changed = np.frombuffer(content, np.uint8).copy()
        changed[offset] = rng.integers(256)
        yield changed.tobytes()[: offset if number % 7 == 0 else None]


def attempt(read: Callable[..., Any], *arguments: Any) -> tuple[Any, str | None]:
    """Return what `read` returns, or its one-line refusal; other exceptions propagate."""
    try:
        return read(*arguments), None
    except UserError as error:
        sentence = str(error)
    assert len(sentence.splitlines()) == 1
    return None, sentence
