"""Files that appear whole or not at all."""

import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, UrlPath, content_of, require_folder, require_regular

LOCK = ".lock"
"""The file that a command locks in a folder while it writes there; see writing.py."""

WORKING = "loopcraft-work-"
"""How folders for temporary files begin; see writing.py."""

_PARTIAL = ".partial"
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_LONGEST_KEY = 100
_TEMPORARY = re.compile(rf"\.(?P<name>.+)\.[0-9a-f]+{re.escape(_PARTIAL)}", re.DOTALL)
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_RUST_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""In what safetensors raises, which is no `OSError`."""
_SHORT_WRITES = ("inline_container.cc", "requested and")
"""In what torch and NumPy say of a file that took fewer bytes than they had."""


def is_key(name: str) -> bool:
    """Whether an episode may be called so: one or more plain names that stay below the folder they are in."""
    return _KEY.fullmatch(name) is not None and len(name) <= _LONGEST_KEY


def is_inside(name: str) -> bool:
    """Whether a name out of a file, taken for a path in a folder, stays below that folder."""
    return bool(name) and "\0" not in name and not name.startswith("/") and ".." not in name.split("/")


@contextmanager
def whole_file(path: AnyPath) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its name once the block has ended well, else vanishes.

    The data are on the disk before the name is, so a crash leaves the old file, the new one or a `.partial`
    file that `sweep_partials` removes. Whoever may read a new file of this user may read this one, also where
    a library (safetensors, for one) made it the user's alone. Raises `OSError` with `path` where a disk is
    full or read-only. For an address the temporary path is one of this machine, and is put there at the end.
    """
    if isinstance(path, UrlPath):
        with tempfile.TemporaryDirectory(prefix=WORKING) as folder, (Path(folder) / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # as of all working folders: those of killed processes are swept
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
    """An `OSError` that names `path`, if the file could not be written, whatever library found that out."""
    if isinstance(error, OSError):
        is_ours = error.filename in (str(temporary), temporary)
        number = error.errno if is_ours or (error.filename is None and error.errno in _DISK_ERRORS) else None
    else:
        found = _RUST_OS_ERROR.search(str(error))
        number = int(found[1]) if found else None
    if number is None and not any(phrase in str(error) for phrase in _SHORT_WRITES):
        return None
    number = number or errno.EIO
    return OSError(number, os.strerror(number), str(path))


def _mode_of_new_files(path: Path) -> int:
    """The permissions that a file at `path` gets; it is made for that and removed."""
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
    """Whether `path` is a temporary file of `whole_file`."""
    return _TEMPORARY.fullmatch(path.name) is not None


def is_passing(path: AnyPath) -> bool:
    """Whether `path` is a temporary file or a lock: what a command has while it runs, or left when killed."""
    return is_partial(path) or (path.name.startswith(".") and path.name.endswith(LOCK))


def sweep_partials(
    root: AnyPath, *, below: bool = True, part: str = "", older_than_s: float = float("-inf")
) -> None:
    """Remove the temporary files that killed processes left in `root` and, if so told, everywhere below it.

    Nothing else may be writing there, unless they are older than anything takes to be written. With `part`,
    only those of files that are called so, before a dot. At an address there are none.
    """
    if isinstance(root, UrlPath):
        return
    for path in sorted(root.rglob(f".*{_PARTIAL}") if below else root.glob(f".*{_PARTIAL}")):
        match = _TEMPORARY.fullmatch(path.name)
        is_asked_for = match and (not part or match["name"].startswith(f"{part}."))
        if is_asked_for and time.time() - path.lstat().st_mtime > older_than_s:
            path.unlink(missing_ok=True)


def write_json(path: AnyPath, value: Any) -> None:
    """Write `value` as JSON, in the order of its keys."""
    with whole_file(path) as temporary:
        temporary.write_bytes(encode_json(value))


def encode_json(value: Any) -> bytes:
    """The content of a JSON file of ours."""
    return (json.dumps(value, indent=1) + "\n").encode()


def read_json(path: AnyPath) -> Any:
    """Read a JSON file; raises `UserError` when it does not parse."""
    return parse_json(content_of(path), path)


def parse_json(text: bytes, place: str | AnyPath, remedy: str = "restore it or make it again") -> Any:
    """The value of a JSON text; raises `UserError`, naming its `place`, for what is none or too deep."""
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: not JSON ({error}); {remedy}") from error


def file_sha256(path: AnyPath) -> str:
    """The file's SHA-256 in hexadecimal."""
    if isinstance(path, UrlPath):  # in one request
        return hashlib.sha256(path.read_bytes()).hexdigest()
    require_regular(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
