"""How all compiled code of the project is compiled and kept; the only place that calls numba's `njit`.

No fast-math, as every machine shall get the same bytes. Compiled code is kept beside its source, else in the
user's cache folder, else in a temporary one. Numba alone takes it for fresh as long as the kernel's own file
has not changed, although constants and inlined steps come from other files: here a change to any source that
the kernel's module imports, directly or not, compiles anew. A kept file that is damaged is compiled anew too,
and a disk that is full costs the keeping, not the run.
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

# numba is typed in part, and these are not.
_njit: Any = numba.njit
_FunctionCache: Any = caching.FunctionCache
_IndexDataCacheFile: Any = caching.IndexDataCacheFile
_config: Any = numba.config

_Function = TypeVar("_Function", bound=Callable[..., Any])

_said: set[str] = set()

kernels: list[Any] = []
"""The kernels of all modules of the four packages imported so far, as numba's dispatchers."""


@overload
def kernel(function: _Function) -> _Function: ...


@overload
def kernel(*, nogil: bool) -> Callable[[_Function], _Function]: ...


def kernel(function: Any = None, *, nogil: bool = False) -> Any:
    """Compile a function that is called from Python or from another kernel.

    `nogil` lets threads run it at once. Division by zero gives what IEEE 754 says.
    """

    def decorate(function: _Function) -> _Function:
        compiled = _compiled(function, nogil=nogil)
        if function.__module__.partition(".")[0] in ROOMS:
            kernels.append(compiled)
        return compiled

    return decorate if function is None else decorate(function)


def inlined(function: _Function) -> _Function:
    """Compile a step of a kernel's inner loop: always as a part of its caller."""
    return _compiled(function, forceinline=True)


def _compiled(function: _Function, **options: bool) -> _Function:
    """Without an entry for C, which nobody calls and which takes a tenth of the time to compile."""
    compiled: Any = _njit(error_model="numpy", no_cfunc_wrapper=True, **options)(function)
    try:
        compiled._cache = _KeptCode(function)  # what njit(cache=True) does, with more to depend on
    except RuntimeError:  # no folder of numba's own can be written
        if _use_temporary_folder():
            compiled._cache = _KeptCode(function)
    typed: _Function = compiled
    return typed


class _CheckedFile(_IndexDataCacheFile):  # type: ignore[misc]  # numba is untyped
    """Numba's files of one function, each with a SHA-256 at its end: what is damaged must not be run."""

    def _dump(self, content: Any) -> bytes:
        data: bytes = super()._dump(content)
        return data + hashlib.sha256(data).digest()

    def _load_index(self) -> Any:
        path = Path(self._index_path)
        if path.exists():
            with path.open("rb") as file:
                pickle.load(file)  # numba's version, which stands before what was dumped
                _verify(file.read())
        return super()._load_index()

    def _load_data(self, name: str) -> Any:
        _verify(Path(self._data_path(name)).read_bytes())
        return super()._load_data(name)


def _verify(data: bytes) -> None:
    size = hashlib.sha256().digest_size
    if hashlib.sha256(data[:-size]).digest() != data[-size:]:
        raise ValueError("not what was written")


class _KeptCode(_FunctionCache):  # type: ignore[misc]  # numba is untyped
    """Numba's cache of one function, bound to all it is made of, and never the reason why a run fails."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        stamp = (self._impl.locator.get_source_stamp(), sources_digest(Path(function.__code__.co_filename)))
        self._cache_file = _CheckedFile(self._cache_path, self._impl.filename_base, stamp)
        self._source = Path(function.__code__.co_filename)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kept code for a signature; None, and the lock on its source, if it must be compiled."""
        code = self._load(sig, target_context)
        if code is None:
            _say_once("compiling", f"{COMPILING}; kept in {self.cache_path}")
            _lock(self._source)
            code = self._load(sig, target_context)  # another process may have compiled it meanwhile
            if code is not None:
                _unlock(self._source)
        return code

    def _load(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # of pickle, or our own: damaged bytes raise a dozen kinds
            self.flush()
            return None

    def is_there(self) -> bool:
        """Whether code for any signature is kept."""
        return bool(self._cache_file._load_index())

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep compiled code, where that can be done."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            _say_once("full", f"compiled code cannot be kept: {error}")
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
    """SHA-256 of a source and of all sources of the four packages that it imports, directly or not."""
    found = {path}
    waiting = [path]
    while waiting:
        new = _imported(waiting.pop()) - found
        found |= new
        waiting += new
    digest = hashlib.sha256()
    for source in sorted(found):
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()


@cache
def _imported(path: Path) -> frozenset[Path]:
    """The sources that a source may import; where it imports from a package, every module directly in it."""
    found: set[Path] = set()
    for name in set(_IMPORT.findall(path.read_text(encoding="utf-8"))):
        place = _ROOT.joinpath(*name.split("."))
        found.update(place.glob("*.py") if place.is_dir() else [place.with_suffix(".py")])
        found.update(folder / "__init__.py" for folder in place.parents if _ROOT in folder.parents)
    return frozenset(source for source in found if source.is_file())


@cache
def _use_temporary_folder() -> bool:
    """Let numba keep code in a temporary folder that is this user's alone; False where there is none."""
    try:
        folder = _own_temporary_folder()
    except OSError:
        _say_once("full", "compiled code cannot be kept: set NUMBA_CACHE_DIR to a folder that can be written")
        return False
    _config.CACHE_DIR = str(folder)
    _say_once("folder", f"compiled code is kept in {folder}; set NUMBA_CACHE_DIR to keep it elsewhere")
    return True


def _own_temporary_folder() -> Path:
    """The same one for all processes of the user; nobody else may write there, as the code in it is run."""
    folder = Path(tempfile.gettempdir()) / f"loopcraft-kernels-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix="loopcraft-kernels-"))


def _say_once(topic: str, line: str) -> None:
    """Print a line of each topic to stderr; of several workers the first alone does."""
    name = multiprocessing.current_process().name
    if topic not in _said and (name == "MainProcess" or name.endswith("-1")):
        print(line, file=sys.stderr, flush=True)
    _said.add(topic)


def kept_in() -> Path | None:
    """The folder of the first kernel's code; None where nothing is kept."""
    path = kernels[0]._cache.cache_path
    return None if path is None else Path(path)


def warm() -> list[str]:
    """Compile every kernel, by `warm()` of the module `warm` of each package; the names of those left out."""
    for package in ROOMS:
        if importlib.util.find_spec(f"{package}.warm") is not None:
            importlib.import_module(f"{package}.warm").warm()
    return [f"{kernel.__module__}.{kernel.__qualname__}" for kernel in kernels if not _is_compiled(kernel)]


def _is_compiled(kernel: Any) -> bool:
    """Whether there is code: here, or kept (a kept caller is loaded without what it calls)."""
    kept = kernel._cache
    return bool(kernel.signatures) or (isinstance(kept, _KeptCode) and kept.is_there())
