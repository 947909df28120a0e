"""Locks on the folders that commands write to, and removal of what killed commands left there.

The lock is the kernel's (flock on a file .lock in the folder), so it ends with its process, for any reason. A
killed process leaves an empty, unlocked file, which is harmless; the next command removes it. On a file
system without locks, a warning is printed instead.
"""

import errno
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from loopcraft.core.errors import UserError
from loopcraft.core.files import LOCK, WORKING, sweep_partials
from loopcraft.core.urls import AnyPath, UrlPath, read_files, require_folder

_NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
_YOUNG_S = 60.0
"""A working folder younger than this may not be locked yet."""
_PATIENCE_S = 2.0
"""How long a command that shares a folder waits for another one that is cleaning it up."""
_COPY_BATCH = 64

_held: set[int] = set()


@contextmanager
def writing_to(
    root: AnyPath, *, part: str = "", together: bool = False, swept: Sequence[str] = ("",)
) -> Iterator[None]:
    """Lock `root` against other commands during the block, and remove what killed ones left there.

    The folder is created if needed, and removed again if it stays empty. With `part`, the block writes only
    files named `part.*`, and only these are locked. Blocks that write `together` exclude only those that do
    not. Temporary files are removed from the folders `swept` in `root`, but not from their subfolders, and
    only if no other command is writing. Raises `UserError` if another command holds the lock. A URL cannot
    be locked, because object stores have no locks that end with their owner; a note says so unless the block
    writes `together`.
    """
    if isinstance(root, UrlPath):
        if not together:
            print(f"note: {root}: cannot be locked; run only one command there at a time", file=sys.stderr)
        yield
        return
    require_folder(root)
    if root.exists() and not root.is_dir():
        raise UserError(f"{root}: is a file; choose a folder")

    def sweep() -> None:
        for name in swept:
            sweep_partials(root / name, below=False, part="" if name else part)

    is_new = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    try:
        with _lock(root / (f".{part}{LOCK}" if part else LOCK), together=together, sweep=sweep):
            yield
    finally:
        if is_new and not any(root.iterdir()):
            root.rmdir()


@contextmanager
def working_folder() -> Iterator[Path]:
    """Yield a temporary folder, removed after the block; first remove those of killed processes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{WORKING}*"):
        _remove_if_dead(folder)
    folder = Path(tempfile.mkdtemp(prefix=WORKING))
    try:
        with _lock(folder / LOCK):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def copies_of(root: AnyPath, names: Sequence[str]) -> Iterator[Path]:
    """Yield a local folder with the files `names` of `root`: `root` itself or, for a URL, one with copies."""
    if isinstance(root, Path):
        yield root
        return
    with working_folder() as folder:
        for start in range(0, len(names), _COPY_BATCH):
            for name, content in read_files(root, names[start : start + _COPY_BATCH]).items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)
        yield folder


def _remove_if_dead(folder: Path) -> None:
    try:
        status = folder.lstat()
        is_ours = status.st_uid == os.getuid() and not folder.is_symlink()
        if not is_ours or time.time() - status.st_mtime < _YOUNG_S or not (folder / LOCK).exists():
            return
        with _lock(folder / LOCK):
            shutil.rmtree(folder, ignore_errors=True)
    except (UserError, OSError):  # another process uses it, or removes it too
        return


@contextmanager
def _lock(path: Path, *, together: bool = False, sweep: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock `path`; call `sweep` first unless another process holds it too."""
    lock, is_alone = _acquire(path, together)
    _close_in_forks(lock)
    try:
        if is_alone:
            sweep()
        if is_alone and together:
            _try(lock, fcntl.LOCK_SH)
        yield
    finally:
        _held.discard(lock)
        _release(lock, path)


def _acquire(path: Path, together: bool) -> tuple[int, bool]:
    """Return the descriptor of the locked file, and whether no other process holds the lock."""
    deadline = time.monotonic() + (_PATIENCE_S if together else 0.0)
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            is_alone = _try(lock, fcntl.LOCK_EX)
            if (is_alone or (together and _try(lock, fcntl.LOCK_SH))) and _is_at(lock, path):
                return lock, is_alone
            is_gone = not _is_at(lock, path)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(lock)
                raise
            print(f"warning: {path.parent}: cannot be locked; run only one command there", file=sys.stderr)
            return lock, False
        os.close(lock)
        if not is_gone and time.monotonic() >= deadline:
            raise UserError(
                f"{path.parent}: another command is writing to it; wait for it or choose another folder"
            )
        time.sleep(0 if is_gone else 0.1)


def _try(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(lock: int, path: Path) -> bool:
    """Return whether the open file is still the one at `path`, which its previous holder may have removed."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False


def _release(lock: int, path: Path) -> None:
    """Release the lock, and remove the file unless others share it."""
    try:
        if _try(lock, fcntl.LOCK_EX) and _is_at(lock, path):
            path.unlink(missing_ok=True)
    except OSError:  # no locks on this file system, or the folder is now read-only: the file stays
        pass
    finally:
        os.close(lock)


def _close_in_forks(lock: int) -> None:
    """Close the lock in forked children, which would otherwise hold it after this process ends."""
    _watch_forks()
    _held.add(lock)


@cache
def _watch_forks() -> None:
    os.register_at_fork(after_in_child=_close_held)


def _close_held() -> None:
    for lock in _held:
        os.close(lock)
    _held.clear()
