"""URLs as paths, such as s3://lab/set, for every scheme that fsspec supports.

A `UrlPath` has the operations of `pathlib.Path` that data sets need, under the same names, and no others.
Files are read by byte ranges and uploaded whole; there are no folders, renames or locks. Credentials come
from the file system's own environment (AWS_ACCESS_KEY_ID, ~/.config/fsspec, ...): a URL with a password is
refused, and of a server's error only the type is shown.

hf:// is not one of these: dataset/mirror.py reads the Hub.
"""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self, cast

from loopcraft.core.errors import UserError

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/{1,3}(?P<rest>[^/].*)")
_CHAINED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::.*:/.*")
_HUB = "hf"
BLOCK_BYTES = 1 << 18
"""Bytes per request: about a second of video at 256 x 256."""
_BATCH = 1000
_MAX_IN_MEMORY_BYTES = 1 << 30
"""The largest file that is read at once. An index of 200,000 episodes has 14 MB."""
_GLOB_CHARACTERS = "*?[]"
"""Given several names, fsspec takes one with any of these characters for a pattern."""


class UrlPath(PurePosixPath):
    """A file or folder at a URL: `str` gives the URL; `/`, `parent` and `name` work as on a path."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open the file, seekable; blocks are fetched on demand and a few megabytes stay in memory."""
        assert mode == "rb"
        with _plain_errors(self):
            fs, path = _resolve(self)
            if fs.protocol == "memory":  # all its readers share one file object and its position
                return BytesIO(fs.cat_file(path))
            file = fs.open(path, "rb", block_size=BLOCK_BYTES, cache_type="blockcache")
        return cast(BinaryIO, _File(self, file))

    def read_bytes(self) -> bytes:
        """Read the whole file."""
        with _plain_errors(self):
            fs, path = _resolve(self)
            return bytes(fs.cat_file(path))

    def exists(self) -> bool:
        """Return whether the file exists; raises `UserError` if the server is silent or denies access."""
        try:
            with _plain_errors(self):
                fs, path = _resolve_uncached(self)
                fs.info(path)
        except FileNotFoundError:
            return False
        return True

    def is_file(self) -> bool:
        """Same as `exists`: there are only files."""
        return self.exists()

    def iterdir(self) -> Iterator["UrlPath"]:
        """Yield the entries of the folder; none if it does not exist or the server does not list it."""
        for name in sorted(_list_names(self)):
            yield self / name

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file."""
        if not missing_ok or self.exists():
            with _plain_errors(self):
                fs, path = _resolve(self)
                fs.rm_file(path)

    def put(self, source: Path) -> None:
        """Upload the local file `source`; on an object store this is atomic."""
        with _plain_errors(self):
            fs, path = _resolve(self)
            try:
                fs.put_file(str(source), path)
            except FileNotFoundError:  # the file system has folders, or the bucket does not exist
                if not fs.exists(path[: path.find("/", 1)]):
                    raise
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                fs.put_file(str(source), path)


AnyPath = Path | UrlPath


class _File:
    """An open file with the methods that FFmpeg needs."""

    def __init__(self, path: UrlPath, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self.tell, self.close = file.tell, file.close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read(self, size: int = -1) -> bytes:
        with _plain_errors(self._path):
            return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _plain_errors(self._path):
            return self._file.seek(offset, whence)


def is_url(path: str | AnyPath) -> bool:
    """Return whether this is a URL other than hf://, even if `Path` removed one of its slashes."""
    match = _URL.fullmatch(str(path))
    return (match is not None and match["scheme"] != _HUB) or _CHAINED.fullmatch(str(path)) is not None


def path_at(address: str | AnyPath) -> AnyPath:
    """Return the path object for a URL or a local path.

    Raises `UserError` for a URL with a password or query, and for chained URLs.
    """
    if isinstance(address, UrlPath):
        return address
    if not is_url(address):
        return Path(address)
    match = _URL.fullmatch(str(address))
    if match is None or _CHAINED.fullmatch(str(address)):
        scheme = str(address).partition("::")[0]
        raise UserError(f"{scheme}::...: chained URLs are not supported; give the inner one alone")
    scheme, rest = match["scheme"].lower(), match["rest"]
    if scheme == "file":
        return Path(f"/{rest}")
    if re.match(r"[^/]*:[^/]*@", rest) or "?" in rest:
        raise UserError(
            f"{scheme}://...: contains a password or a query; leave it out and give your credentials where "
            f"the {scheme} file system looks for them (environment variables or ~/.config/fsspec)"
        )
    return UrlPath(f"{scheme}:/{rest}")


def as_given(path: str | AnyPath) -> str:
    """Return a path or URL (also hf://) as the user gave it: `Path` keeps only one of two slashes."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?=[^/])", r"\1://", str(path))


def require_folder(path: Path, does: str = "writes to local folders; choose one") -> None:
    """Raise `UserError` if `path` is really a URL; `does` says what the command does with local folders."""
    if is_url(path):
        raise UserError(f"{path_at(path)}: is a URL, but this command {does}")


COPY = "reads local folders; copy it to one"
"""The argument `does` of `require_folder` for a path that is read."""


def require_regular(path: AnyPath, most: int | None = None) -> None:
    """Raise `UserError` for a pipe, socket or device, which could block or never end.

    Also raises it for a file of more than `most` bytes. Call this before opening any untrusted file.
    """
    if not isinstance(path, Path):
        return
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):  # a folder fails when opened
        raise UserError(f"{path}: is not a regular file but a pipe, socket or device; put a file there")
    if most is not None and status.st_size > most:
        raise UserError(f"{path}: is too large for such a file (above 1 GiB); restore it or make it again")


def content_of(path: AnyPath) -> bytes:
    """Read an untrusted file; raises `UserError` if it is not a regular file or is larger than 1 GiB."""
    require_regular(path, _MAX_IN_MEMORY_BYTES)
    return path.read_bytes()


def existing(root: AnyPath, names: Sequence[str]) -> set[str]:
    """Return the `names` that exist below `root`; at a URL, each folder is listed only once."""
    if isinstance(root, Path):
        return {name for name in names if (root / name).exists()}
    listed = set()
    for folder in {name.rpartition("/")[0] for name in names}:
        listed |= {f"{folder}/{name}".removeprefix("/") for name in _list_names(root / folder)}
    return listed & set(names)


def read_files(root: AnyPath, names: Sequence[str]) -> Mapping[str, bytes]:
    """Read small files below `root`, concurrently from a URL; returns their contents by name."""
    if isinstance(root, Path) or not names:
        return {name: content_of(root / name) for name in names}
    with _plain_errors(root):
        fs, _ = _resolve(root)
        paths = [fs._strip_protocol(str(root / name)) for name in names]
        contents = fs.cat_ranges(paths, None, None, on_error="return")  # fs.cat takes names for patterns
    for name, content in zip(names, contents, strict=True):
        if isinstance(content, Exception):
            with _plain_errors(root / name):
                raise content
    return dict(zip(names, contents, strict=True))


def remove_files(root: AnyPath, names: Sequence[str]) -> None:
    """Remove the `names` that exist below `root`; at a URL, a thousand at a time."""
    if isinstance(root, Path):
        for name in names:
            (root / name).unlink(missing_ok=True)
        return
    for start in range(0, len(names), _BATCH):
        batch = sorted(existing(root, names[start : start + _BATCH]))
        with _plain_errors(root):
            fs, _ = _resolve(root)
            paths = [fs._strip_protocol(str(root / name)) for name in batch]
            if any(set(path) & set(_GLOB_CHARACTERS) for path in paths):
                for path in paths:
                    fs.rm_file(path)
            elif paths:
                fs.rm(paths)


def num_bytes(path: AnyPath) -> int:
    """Return the size of a file."""
    if isinstance(path, Path):
        return path.stat().st_size
    with _plain_errors(path):
        fs, inner = _resolve(path)
        return int(fs.size(inner))


def remove_tree(folder: AnyPath) -> None:
    """Remove a folder and its content, if it exists."""
    if isinstance(folder, Path):
        if folder.exists():
            shutil.rmtree(folder)
        return
    remove_files(folder, [path.relative_to(folder).as_posix() for path in files_below(folder)])


def files_below(root: AnyPath) -> Iterator[AnyPath]:
    """Yield every file below a folder, one folder at a time."""
    if isinstance(root, Path):
        for path in sorted(root.iterdir()):
            if path.is_dir() and not path.is_symlink():
                yield from files_below(path)
            elif path.is_file():
                yield path
        return
    with _plain_errors(root):
        fs, top = _resolve_uncached(root)
        for folder, _, names in fs.walk(top):
            inner = str(folder)[len(top) :].strip("/")
            yield from (root / inner / name for name in sorted(names) if name)


def _list_names(folder: UrlPath) -> set[str]:
    with _plain_errors(folder):
        fs, path = _resolve_uncached(folder)
        try:
            return {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in fs.ls(path, detail=False)}
        except (FileNotFoundError, NotADirectoryError):
            return set()


def _resolve(path: UrlPath) -> tuple[Any, str]:
    """Return the file system of a URL (fsspec keeps one per process) and the path in it."""
    from fsspec.core import url_to_fs

    fs, inner = url_to_fs(str(path))
    return fs, str(inner)


def _resolve_uncached(path: UrlPath) -> tuple[Any, str]:
    """Do the same without cached listings, since other processes write there too."""
    fs, inner = _resolve(path)
    fs.invalidate_cache()
    return fs, inner


@contextmanager
def _plain_errors(path: UrlPath) -> Iterator[None]:
    """Turn a file system's errors into errors of one sentence, without any text from the server."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or error.name or "the package of its file system"
        raise UserError(f"{path}: needs a package that is not installed: pip install {missing}") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if _is_web_failure(error.__cause__):
            raise _unreachable(path, error.__cause__) from error
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except Exception as error:  # fsspec, aiohttp, botocore, google.auth, ...: each file system has its own
        if isinstance(error, ValueError) and str(error).startswith("Protocol not known"):
            raise UserError(f"{path}: fsspec has no file system for this scheme; check the URL") from error
        raise _unreachable(path, error) from error


def _is_web_failure(cause: BaseException | None) -> bool:
    """Return whether fsspec reported a web server's refusal or silence as a missing file."""
    is_from_web = type(cause).__module__.startswith("aiohttp")
    return is_from_web and getattr(cause, "status", None) not in (404, 410)


def _unreachable(path: UrlPath, error: BaseException | None) -> UserError:
    return UserError(
        f"{path}: cannot be read or written ({type(error).__name__}); check the URL, the network and your "
        "credentials"
    )
