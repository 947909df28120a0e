"""Checksums: of files, in their folder's SHA256SUMS, and of named arrays, for the header of their file.

SHA256SUMS is what `sha256sum` writes and `sha256sum -c` checks. Folders of older versions have none, and a
file that it does not name is read unchecked.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, is_inside, parse_json, whole_file
from loopcraft.core.urls import AnyPath, content_of

SUMS = "SHA256SUMS"
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<name>[^\n]+)")
_REMEDY = f"restore it, or take its line out of {SUMS} if you changed it yourself"

Sums = dict[str, str]
"""SHA-256 by the name of a file, relative to its folder."""
Array = tuple[str, Iterable[int], memoryview]
"""Type, shape and bytes."""


def read_sums(root: AnyPath) -> Sums:
    """The checksums that `root` has of its files. Raises `UserError` where SHA256SUMS is damaged."""
    path = root / SUMS
    if not path.exists():
        return {}
    found: Sums = {}
    for number, line in enumerate(
        content_of(path).decode(errors="replace").removesuffix("\n").split("\n"), 1
    ):
        match = _LINE.fullmatch(line)
        if match is None or not is_inside(match["name"]) or match["name"] in found:
            raise UserError(
                f"{path}: line {number} is no checksum with a name; restore the file or remove it"
            )
        found[match["name"]] = match["sha256"]
    return found


def add_sums(root: AnyPath, sums: Mapping[str, str | None]) -> None:
    """Enter checksums into SHA256SUMS, whole or not at all; None takes that of a file out."""
    known = read_sums(root)
    wanted = {name: sha256 for name, sha256 in sorted({**known, **sums}.items()) if sha256 is not None}
    if wanted != known:
        with whole_file(root / SUMS) as temporary:
            temporary.write_text("".join(f"{sha256}  {name}\n" for name, sha256 in wanted.items()))


def sums_of(root: AnyPath, names: Iterable[str]) -> Sums:
    """The checksums of files as they are now."""
    return {name: file_sha256(root / name) for name in names}


def require_sha256(
    path: AnyPath,
    content: bytes,
    expected: str | None,
    whose: str = f"its SHA-256 in {SUMS}",
    remedy: str = _REMEDY,
) -> None:
    """Raise `UserError` unless a file's content is what its checksum (None: it has none) says."""
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise UserError(f"{path}: not what {whose} says; {remedy}")


def read_bytes(root: AnyPath, name: str) -> bytes:
    """The content of a file; raises `UserError` where it is not what SHA256SUMS says."""
    content = content_of(root / name)
    require_sha256(root / name, content, read_sums(root).get(name))
    return content


def require_file(root: AnyPath, name: str) -> None:
    """The check of `read_bytes` alone, for a file that is too large for memory.

    Raises `UserError` for another content.
    """
    expected = read_sums(root).get(name)
    if expected is not None and file_sha256(root / name) != expected:
        raise UserError(f"{root / name}: not what its SHA-256 in {SUMS} says; {_REMEDY}")


def read_json(root: AnyPath, name: str) -> Any:
    """The value of a JSON file; raises `UserError` where it is none, or not what SHA256SUMS says."""
    return parse_json(read_bytes(root, name), root / name)


def json_sha256(value: Any) -> str:
    """The SHA-256 of a JSON value, however its text is spaced and its keys are ordered."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def arrays_sha256(said: Any, arrays: Mapping[str, Array]) -> str:
    """The SHA-256 of arrays by name, and of the JSON value `said` that stands beside them."""
    shapes = {name: [dtype, *shape] for name, (dtype, shape, _) in arrays.items()}
    digest = hashlib.sha256(json_sha256([said, shapes]).encode())
    for name in sorted(arrays):
        digest.update(arrays[name][2])
    return digest.hexdigest()


@cache
def sources_sha256(*rooms: str) -> str:
    """The SHA-256 over the Python sources of some of our packages: where it differs, so may their numbers."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted(path for room in rooms for path in (root / room).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest()
