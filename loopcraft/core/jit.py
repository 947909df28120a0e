"""Compilation and caching of all numba kernels; the only module that calls numba's `njit`.

Fast-math is off, so that all machines compute the same bytes. Compiled code is cached beside its source, else
in the user's cache folder, else in a temporary one. Numba itself recompiles only if the kernel's own file
changes, although constants and inlined functions come from other files; here a change to any source that the
kernel's module imports, directly or not, recompiles it. A damaged cache file is recompiled too, and a full
disk disables caching but does not fail the run.
"""

import fcntl
import hashlib
import importlib
import importlib.util
import multiprocessing
import os
import pickle
import re
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, overload

import numba
from numba.core import caching

from loopcraft.core.extras import ROOMS

COMPILING = "compiling kernels for the first time (seconds to a minute)"
PATIENCE_S = 120.0
"""How long to wait for another process that compiles the same kernels."""

_ROOT = Path(__file__).parents[2]
_IMPORT = re.compile(rf"^\s*(?:from|import)\s+((?:{'|'.join(ROOMS)})\b[\w.]*)", re.MULTILINE)

# Numba is only partly typed; these are not.
_njit: Any = numba.njit
_FunctionCache: Any = caching.FunctionCache
_IndexDataCacheFile: Any = caching.IndexDataCacheFile
_config: Any = numba.config

_Function = TypeVar("_Function", bound=Callable[..., Any])

_printed_topics: set[str] = set()

kernels: list[Any] = []
"""The kernels of all modules of the four packages imported so far, as numba dispatchers."""


@overload
def kernel(function: _Function) -> _Function: ...


@overload
def kernel(*, nogil: bool) -> Callable[[_Function], _Function]: ...


def kernel(function: Any = None, *, nogil: bool = False) -> Any:
    """Compile a function that is called from Python or from another kernel.

    `nogil` lets threads run it in parallel. Division by zero follows IEEE 754.
    """

    def decorate(function: _Function) -> _Function:
        compiled = _compile(function, nogil=nogil)
        if function.__module__.partition(".")[0] in ROOMS:
            kernels.append(compiled)
        return compiled

    return decorate if function is None else decorate(function)


def inlined(function: _Function) -> _Function:
    """Compile a function for a kernel's inner loop, always inlined into its caller."""
    return _compile(function, forceinline=True)


def _compile(function: _Function, **options: bool) -> _Function:
    # No C wrapper: nothing calls it, and it takes a tenth of the compile time.
    compiled: Any = _njit(error_model="numpy", no_cfunc_wrapper=True, **options)(function)
    try:
        compiled._cache = _CodeCache(function)  # as njit(cache=True) does, with more dependencies
    except RuntimeError:  # none of numba's own folders is writable
        if _use_temporary_folder():
            compiled._cache = _CodeCache(function)
    typed: _Function = compiled
    return typed


class _CheckedFile(_IndexDataCacheFile):  # type: ignore[misc]  # numba is untyped
    """Numba's cache files of one function, each ending in its SHA-256: damaged code must not run."""

    def _dump(self, content: Any) -> bytes:
        data: bytes = super()._dump(content)
        return data + hashlib.sha256(data).digest()

    def _load_index(self) -> Any:
        path = Path(self._index_path)
        if path.exists():
            with path.open("rb") as file:
                pickle.load(file)  # numba's version, which precedes the dumped data
                _verify(file.read())
        return super()._load_index()

    def _load_data(self, name: str) -> Any:
        _verify(Path(self._data_path(name)).read_bytes())
        return super()._load_data(name)


def _verify(data: bytes) -> None:
    size = hashlib.sha256().digest_size
    if hashlib.sha256(data[:-size]).digest() != data[-size:]:
        raise ValueError("damaged cache file")


class _CodeCache(_FunctionCache):  # type: ignore[misc]  # numba is untyped
    """Numba's cache of one function, invalidated by any imported source, whose errors never fail a run."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._source = Path(function.__code__.co_filename)
        stamp = (self._impl.locator.get_source_stamp(), sources_digest(self._source))
        self._cache_file = _CheckedFile(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the cached code for a signature; None, with its source locked, if it must be compiled."""
        code = self._load(sig, target_context)
        if code is None:
            _print_once("compiling", f"{COMPILING}; cached in {self.cache_path}")
            _lock(self._source)
            code = self._load(sig, target_context)  # another process may have compiled it meanwhile
            if code is not None:
                _unlock(self._source)
        return code

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # damaged bytes raise a dozen kinds, from pickle or `_verify`
            self.flush()
            return None

    def has_code(self) -> bool:
        return bool(self._cache_file._load_index())

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _print_once("full", f"compiled code cannot be cached: {error}")
        finally:
            _unlock(self._source)


_locks: dict[Path, list[int]] = {}
"""Open descriptors of the sources that this process has locked; one of each kernel that it compiles."""


def _lock(source: Path) -> None:
    """Have other processes wait while this one compiles a kernel of `source`, or wait for one that does.

    The lock is on the source itself, so it leaves no file behind and ends with its process. Processes cannot
    wait for each other in a circle: a kernel calls kernels of its own module or of modules that it imports.
    If files cannot be locked, or another process takes longer than `PATIENCE_S`, both compile.
    """
    held = _locks.setdefault(source, [])
    until = time.monotonic() + (0 if held else PATIENCE_S)
    with suppress(OSError):
        held.append(os.open(source, os.O_RDONLY))
        while not _try_lock(held[-1]) and time.monotonic() < until:
            time.sleep(0.02)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(source: Path) -> None:
    held = _locks.get(source)
    if held:
        os.close(held.pop())


@cache
def sources_digest(path: Path) -> str:
    """Return the SHA-256 of a source and all sources of our packages that it imports, directly or not."""
    sources = {path}
    pending = [path]
    while pending:
        new = _imported(pending.pop()) - sources
        sources |= new
        pending += new
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


@cache
def _imported(path: Path) -> frozenset[Path]:
    """Return the sources that a source may import; of an imported package, all modules directly in it."""
    sources: set[Path] = set()
    for name in set(_IMPORT.findall(path.read_text(encoding="utf-8"))):
        target = _ROOT.joinpath(*name.split("."))
        sources.update(target.glob("*.py") if target.is_dir() else [target.with_suffix(".py")])
        sources.update(folder / "__init__.py" for folder in target.parents if _ROOT in folder.parents)
    return frozenset(source for source in sources if source.is_file())


@cache
def _use_temporary_folder() -> bool:
    """Make numba cache code in a private temporary folder; return False if there is none."""
    try:
        folder = _private_temporary_folder()
    except OSError:
        _print_once("full", "compiled code cannot be cached: set NUMBA_CACHE_DIR to a writable folder")
        return False
    _config.CACHE_DIR = str(folder)
    _print_once("folder", f"compiled code is cached in {folder}; set NUMBA_CACHE_DIR to cache it elsewhere")
    return True


def _private_temporary_folder() -> Path:
    """Return a folder shared by the user's processes; its code is run, so no other user may write there."""
    folder = Path(tempfile.gettempdir()) / f"loopcraft-kernels-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix="loopcraft-kernels-"))


def _print_once(topic: str, line: str) -> None:
    """Print one line per topic to stderr, and only from the main process or the first worker."""
    name = multiprocessing.current_process().name
    if topic not in _printed_topics and (name == "MainProcess" or name.endswith("-1")):
        print(line, file=sys.stderr, flush=True)
    _printed_topics.add(topic)


def cache_folder() -> Path | None:
    """Return the folder that caches the first kernel's code, or None without a cache."""
    path = kernels[0]._cache.cache_path
    return None if path is None else Path(path)


def warm() -> list[str]:
    """Compile every kernel by calling `warm.warm()` of each package; return the names of kernels left out."""
    for package in ROOMS:
        if importlib.util.find_spec(f"{package}.warm") is not None:
            importlib.import_module(f"{package}.warm").warm()
    return [f"{kernel.__module__}.{kernel.__qualname__}" for kernel in kernels if not _is_compiled(kernel)]


def _is_compiled(kernel: Any) -> bool:
    """Return whether code is loaded or cached (a cached caller is loaded without the kernels it calls)."""
    cache = kernel._cache
    return bool(kernel.signatures) or (isinstance(cache, _CodeCache) and cache.has_code())
