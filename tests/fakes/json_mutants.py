"""Documents with one thing wrong: a value of another kind or size, a field lost or added, bytes changed."""

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


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in the document there is a value."""
    yield path
    if not isinstance(document, (dict, list)):
        return
    for name, value in document.items() if isinstance(document, dict) else enumerate(document):
        yield from places(value, (*path, name))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with another value in one place."""
    if not path:
        return value
    changed = copy.deepcopy(document)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


def lost(document: Any, path: tuple[Any, ...]) -> Any:
    """The document without one field or item."""
    changed = copy.deepcopy(document)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return changed


def mutants(document: Any, num_bytes: int = 200) -> Iterator[bytes]:
    """Every place with every strange value, without it, and texts with bytes changed, cut or too deep."""
    for path in places(document):
        for value in STRANGE:
            yield json.dumps(replaced(document, path, value)).encode()
        yield json.dumps(replaced(document, path, 0)).replace(" 0", "[" * 100_000, 1).encode()
        if path:
            yield json.dumps(lost(document, path)).encode()
    text = json.dumps(document).encode()
    yield from (b"", text[:-1], text + b"x", b"\xff\xfe" + text)
    yield from byte_mutants(text, num_bytes)


def byte_mutants(content: bytes, count: int) -> Iterator[bytes]:
    """The content with a byte changed, most often near its beginning, or cut short."""
    rng = generator(0, "mutants")
    for number in range(count):
        place = int(rng.integers(len(content) if number % 2 else min(len(content), 200)))
        changed = np.frombuffer(content, np.uint8).copy()
        changed[place] = rng.integers(256)
        yield changed.tobytes()[: place if number % 7 == 0 else None]


def attempt(read: Callable[..., Any], *arguments: Any) -> tuple[Any, str | None]:
    """What `read` gives, or the sentence with which it refuses; anything else is raised."""
    try:
        return read(*arguments), None
    except UserError as error:
        sentence = str(error)
    assert len(sentence.splitlines()) == 1
    return None, sentence
