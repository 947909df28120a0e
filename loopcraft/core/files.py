"""Atomic file writes, JSON files, and the names of temporary files."""

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, UrlPath, content_of, require_folder, require_regular

LOCK = ".lock"
"""Name of the file that a command locks in a folder while it writes there; see writing.py."""

WORKING = "loopcraft-work-"
"""Prefix of the names of temporary folders; see writing.py."""

_PARTIAL = ".partial"
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_LONGEST_KEY = 100
_TEMPORARY = re.compile(rf"\.(?P<name>.+)\.[0-9a-f]+{re.escape(_PARTIAL)}", re.DOTALL)
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_RUST_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""In the errors of safetensors, which are not `OSError`s."""
_SHORT_WRITES = ("inline_container.cc", "requested and")
"""In the errors of torch and NumPy about an incomplete write."""


def is_key(name: str) -> bool:
    """Return whether `name` is a valid episode key: plain names joined by "/", which stay below a folder."""
    return _KEY.fullmatch(name) is not None and len(name) <= _LONGEST_KEY


def is_inside(name: str) -> bool:
    """Return whether a relative path read from a file stays below its folder."""
    return bool(name) and "\0" not in name and not name.startswith("/") and ".." not in name.split("/")


@contextmanager
def whole_file(path: AnyPath) -> Iterator[Path]:
    """Yield a temporary path beside `path`, renamed to `path` if the block succeeds and removed otherwise.

    The data are flushed to disk before the rename, so a crash leaves the old file, the new one or a
    `.partial` file that `sweep_partials` removes. The file gets the usual permissions, even if a library
    (such as safetensors) made it private. Raises `OSError` with `path` if the disk is full or read-only. For
    a URL, the temporary file is local and uploaded at the end.
    """
    if isinstance(path, UrlPath):
        with tempfile.TemporaryDirectory(prefix=WORKING) as folder, (Path(folder) / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # as `working_folder` does: unlocked folders are removed
            yield Path(folder) / path.name
            path.put(Path(folder) / path.name)
        return
    require_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}{_PARTIAL}")
    try:
        usual_mode = _mode_of_new_files(temporary)
        yield temporary
        temporary.chmod(usual_mode)
        _flush_to_disk(temporary)
        os.replace(temporary, path)
        _flush_to_disk(path.parent)
    except Exception as error:
        if (named := _failed_write(error, path, temporary)) is None:
            raise
        raise named from error
    finally:
        temporary.unlink(missing_ok=True)


def _failed_write(error: Exception, path: Path, temporary: Path) -> OSError | None:
    """Return an `OSError` that names `path` if `error`, of whatever library, means that the write failed."""
    if isinstance(error, OSError):
        is_ours = error.filename in (str(temporary), temporary)
        number = error.errno if is_ours or (error.filename is None and error.errno in _DISK_ERRORS) else None
    else:
        match = _RUST_OS_ERROR.search(str(error))
        number = int(match[1]) if match else None
    if number is None and not any(phrase in str(error) for phrase in _SHORT_WRITES):
        return None
    number = number or errno.EIO
    return OSError(number, os.strerror(number), str(path))


def _mode_of_new_files(path: Path) -> int:
    """Return the permissions of a new file at `path`, by creating one and removing it."""
    path.touch()
    mode = path.stat().st_mode
    path.unlink()
    return stat.S_IMODE(mode)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_partial(path: AnyPath) -> bool:
    """Return whether `path` is a temporary file of `whole_file`."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_passing(path: AnyPath) -> bool:
    """Return whether `path` is a temporary file or a lock, of a running command or left by a killed one."""
    return is_partial(path) or (path.name.startswith(".") and path.name.endswith(LOCK))


def sweep_partials(
    root: AnyPath, *, below: bool = True, part: str = "", older_than_s: float = float("-inf")
) -> None:
    """Remove the temporary files that killed processes left in `root` and, with `below`, in its subfolders.

    No other process may be writing there, unless `older_than_s` exceeds the time of any write. With `part`,
    remove only those of files named `part.*`. A URL has no temporary files.
    """
    if isinstance(root, UrlPath):
        return
    for path in sorted(root.rglob(f".*{_PARTIAL}") if below else root.glob(f".*{_PARTIAL}")):
        match = _TEMPORARY.fullmatch(path.name)
        is_of_part = match and (not part or match["name"].startswith(f"{part}."))
        if is_of_part and time.time() - path.lstat().st_mtime > older_than_s:
            path.unlink(missing_ok=True)


def write_json(path: AnyPath, value: Any) -> None:
    """Write `value` as JSON, keeping the order of its keys."""
    with whole_file(path) as temporary:
        temporary.write_bytes(encode_json(value))


def encode_json(value: Any) -> bytes:
    """Encode `value` in the project's JSON style."""
    return (json.dumps(value, indent=1) + "\n").encode()


def read_json(path: AnyPath) -> Any:
    """Read a JSON file; raises `UserError` if it does not parse."""
    return parse_json(content_of(path), path)


def parse_json(
    text: bytes,
    source: str | AnyPath,
    remedy: str = "restore it or make it again",
    *,
    constants: Callable[[str], Any] | None = None,
) -> Any:
    """Parse JSON; `constants` converts NaN and the infinities (None: to floats).

    Raises `UserError`, naming `source`, if the text is not JSON, too deeply nested, or repeats a key.
    """
    try:
        return json.loads(text.decode(), object_pairs_hook=_without_repeats, parse_constant=constants)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{source}: not JSON ({error}); {remedy}") from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, refusing repeated keys: JSON readers differ in which of their values they take."""
    result = dict(pairs)
    if len(result) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {key[:60]!r} appears twice")
    return result


def file_sha256(path: AnyPath) -> str:
    """Return the file's SHA-256 in hexadecimal."""
    if isinstance(path, UrlPath):  # in one request
        return hashlib.sha256(path.read_bytes()).hexdigest()
    require_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
