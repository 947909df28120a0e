"""SHA-256 checksums of files, kept in SHA256SUMS, and of named arrays, kept in their file's header.

SHA256SUMS has the format of `sha256sum`, including the variants from Windows (`*` before names, CRLF).
Folders made by older versions have none, and files that it does not list are read unchecked.
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
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64}) [ *](?P<name>[^\x00-\x1f\x7f]+)\r?")
_REMEDY = f"restore it, or remove its line from {SUMS} if you changed it yourself"

Sums = dict[str, str]
"""SHA-256 by file name, relative to the folder of SHA256SUMS."""
Array = tuple[str, Iterable[int], memoryview]
"""Type, shape and bytes."""


def read_sums(root: AnyPath) -> Sums:
    """Read SHA256SUMS in `root` (none: empty). Raises `UserError` if it is damaged."""
    path = root / SUMS
    if not path.exists():
        return {}
    sums: Sums = {}
    lines = content_of(path).decode(errors="replace").removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or not is_inside(match["name"]) or match["name"] in sums:
            raise UserError(
                f"{path}: line {number} is not a checksum and a file name; restore the file or delete it"
            )
        sums[match["name"]] = match["sha256"]
    return sums


def add_sums(root: AnyPath, sums: Mapping[str, str | None]) -> None:
    """Update entries of SHA256SUMS atomically; None removes the entry of a file."""
    old = read_sums(root)
    new = {name: sha256 for name, sha256 in sorted({**old, **sums}.items()) if sha256 is not None}
    if new != old:
        with whole_file(root / SUMS) as temporary:
            temporary.write_text("".join(f"{sha256}  {name}\n" for name, sha256 in new.items()))


def sums_of(root: AnyPath, names: Iterable[str]) -> Sums:
    """Compute the checksums of files in `root`."""
    return {name: file_sha256(root / name) for name in names}


def require_sha256(
    path: AnyPath,
    content: bytes,
    expected: str | None,
    source: str = f"its SHA-256 in {SUMS}",
    remedy: str = _REMEDY,
) -> None:
    """Raise `UserError` unless a file's content matches its checksum (None: not checked)."""
    if expected is not None and hashlib.sha256(content).hexdigest() != expected:
        raise UserError(f"{path}: does not match {source}; {remedy}")


def read_bytes(root: AnyPath, name: str) -> bytes:
    """Read a file; raises `UserError` if it does not match SHA256SUMS."""
    content = content_of(root / name)
    require_sha256(root / name, content, read_sums(root).get(name))
    return content


def require_file(root: AnyPath, name: str) -> None:
    """Raise `UserError` if a file, perhaps too large for memory, does not match SHA256SUMS."""
    expected = read_sums(root).get(name)
    if expected is not None and file_sha256(root / name) != expected:
        raise UserError(f"{root / name}: does not match its SHA-256 in {SUMS}; {_REMEDY}")


def read_json(root: AnyPath, name: str) -> Any:
    """Read a JSON file; raises `UserError` if it does not parse or does not match SHA256SUMS."""
    return parse_json(read_bytes(root, name), root / name)


def json_sha256(value: Any) -> str:
    """Return the SHA-256 of a JSON value, regardless of whitespace and the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def arrays_sha256(header: Any, arrays: Mapping[str, Array]) -> str:
    """Return the SHA-256 of named arrays and of the JSON value `header` stored with them."""
    shapes = {name: [dtype, *shape] for name, (dtype, shape, _) in arrays.items()}
    digest = hashlib.sha256(json_sha256([header, shapes]).encode())
    for name in sorted(arrays):
        digest.update(arrays[name][2])
    return digest.hexdigest()


@cache
def sources_sha256(*rooms: str) -> str:
    """Return the SHA-256 of the Python sources of `rooms`; if it differs, so may the numbers they compute."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted(path for room in rooms for path in (root / room).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()} {file_sha256(path)}\n".encode())
    return digest.hexdigest()
