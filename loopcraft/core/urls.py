"""Addresses as paths: SCHEME://PLACE/FOLDER, as in s3://lab/set, of what fsspec has a file system for.

A `UrlPath` has those operations of `pathlib.Path` that data sets need, under the same names, and no others.
A file is read by ranges of bytes and put whole; there are no folders, renames or locks. Who may read or
write is what the file system finds in its own environment (AWS_ACCESS_KEY_ID, ~/.config/fsspec, ...): an
address with a password in it is refused, and of what a server says only the kind of its error is shown.

hf:// is not of these: dataset/mirror.py reads the Hub.
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

_ADDRESS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/{1,3}(?P<rest>[^/].*)")
_CHAINED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*::.*:/.*")
_HUB = "hf"
BLOCK_BYTES = 1 << 18
"""What is asked for at a time: a second or so of video at 256 x 256."""
_LISTED_AT_ONCE = 1000
_MOST_IN_MEMORY = 1 << 30
"""The largest file that is read at once. An index of 200,000 episodes has 14 MB."""
_OF_PATTERNS = "*?[]"
"""Characters by which fsspec takes a name for a pattern, where it takes several names."""


class UrlPath(PurePosixPath):
    """A file or folder at an address: `str` gives the address; `/`, `parent`, `name` are those of a path."""

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def open(self, mode: str = "rb") -> BinaryIO:
        """The file, seekable, read in blocks as they are needed; of it a few megabytes are in memory."""
        assert mode == "rb"
        with _plain_errors(self):
            fs, path = _place(self)
            if fs.protocol == "memory":  # hands all its readers one file, with one place in it
                return BytesIO(fs.cat_file(path))
            file = fs.open(path, "rb", block_size=BLOCK_BYTES, cache_type="blockcache")
        return cast(BinaryIO, _File(self, file))

    def read_bytes(self) -> bytes:
        """All that the file holds."""
        with _plain_errors(self):
            fs, path = _place(self)
            return bytes(fs.cat_file(path))

    def exists(self) -> bool:
        """Whether there is something; no answer, or one that forbids to ask, is an error."""
        try:
            with _plain_errors(self):
                fs, path = _fresh_place(self)
                fs.info(path)
        except FileNotFoundError:
            return False
        return True

    def is_file(self) -> bool:
        """The same as `exists`: there is nothing but files."""
        return self.exists()

    def iterdir(self) -> Iterator["UrlPath"]:
        """What lies in the folder; nothing where there is none, or where the server does not tell."""
        for name in sorted(_names_in(self)):
            yield self / name

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file."""
        if not missing_ok or self.exists():
            with _plain_errors(self):
                fs, path = _place(self)
                fs.rm_file(path)

    def put(self, source: Path) -> None:
        """Make the file what the local file `source` is: on an object store, whole or not at all."""
        with _plain_errors(self):
            fs, path = _place(self)
            try:
                fs.put_file(str(source), path)
            except FileNotFoundError:  # of a file system that has folders, or there is no such bucket
                if not fs.exists(path[: path.find("/", 1)]):
                    raise
                fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                fs.put_file(str(source), path)


AnyPath = Path | UrlPath


class _File:
    """An open file, as far as FFmpeg needs one."""

    def __init__(self, path: UrlPath, file: BinaryIO) -> None:
        self._path, self._file = path, file
        self.tell, self.close = file.tell, file.close

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read(self, size: int = -1) -> bytes:
        """The next bytes, fetched where no block in memory has them."""
        with _plain_errors(self._path):
            return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        with _plain_errors(self._path):
            return self._file.seek(offset, whence)


def is_url(path: str | AnyPath) -> bool:
    """Whether this is an address of a file system, though `Path` may have taken one of its slashes."""
    match = _ADDRESS.fullmatch(str(path))
    return (match is not None and match["scheme"] != _HUB) or _CHAINED.fullmatch(str(path)) is not None


def path_at(address: str | AnyPath) -> AnyPath:
    """The path that an address or a local path stands for.

    Raises `UserError` for a password in it, and for addresses within addresses.
    """
    if isinstance(address, UrlPath) or not is_url(address):
        return address if isinstance(address, UrlPath) else Path(address)
    match = _ADDRESS.fullmatch(str(address))
    if match is None or _CHAINED.fullmatch(str(address)):
        scheme = str(address).partition("::")[0]
        raise UserError(f"{scheme}::...: addresses within addresses are not taken; give the inner one alone")
    scheme, rest = match["scheme"].lower(), match["rest"]
    if scheme == "file":
        return Path(f"/{rest}")
    if re.match(r"[^/]*:[^/]*@", rest) or "?" in rest:
        raise UserError(
            f"{scheme}://...: holds a password or a query; leave it out, and give your credentials where the "
            f"file system {scheme} looks for them (variables of the environment, or ~/.config/fsspec)"
        )
    return UrlPath(f"{scheme}:/{rest}")


def as_given(path: str | AnyPath) -> str:
    """The path or address (also of the Hub) as it was given: of two slashes `Path` keeps one."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]+):/(?=[^/])", r"\1://", str(path))


def require_folder(path: Path, does: str = "writes to folders; choose a folder") -> None:
    """Raise `UserError` for an address that was taken for a local path; `does` is what the command does."""
    if is_url(path):
        raise UserError(f"{path_at(path)}: is an address, and this command {does}")


COPY = "reads this from folders; copy it to one"
"""What a command does, to which `require_folder` refuses an address that is read."""


def require_regular(path: AnyPath, most: int | None = None) -> None:
    """Raise `UserError` for a pipe, socket or device, which can be waited for or read without end.

    So it does for a file of more than `most` bytes. Of what strangers hand over, nothing is opened before
    this was asked.
    """
    if not isinstance(path, Path):
        return
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):  # a folder is an error of its own
        raise UserError(f"{path}: is no regular file but a pipe, socket or device; put a file there")
    if most is not None and found.st_size > most:
        raise UserError(f"{path}: is too large to be such a file (above 1 GiB); restore it or make it again")


def content_of(path: AnyPath) -> bytes:
    """All that a stranger's file holds; raises `UserError` for what is no regular file, or above 1 GiB."""
    require_regular(path, _MOST_IN_MEMORY)
    return path.read_bytes()


def existing(root: AnyPath, names: Sequence[str]) -> set[str]:
    """Those of `names` that are files below `root`; at an address a folder is listed once for all of them."""
    if isinstance(root, Path):
        return {name for name in names if (root / name).exists()}
    found = set()
    for folder in {name.rpartition("/")[0] for name in names}:
        found |= {f"{folder}/{name}".removeprefix("/") for name in _names_in(root / folder)}
    return found & set(names)


def read_files(root: AnyPath, names: Sequence[str]) -> Mapping[str, bytes]:
    """The content of small files below `root`; from an address many at a time."""
    if isinstance(root, Path) or not names:
        return {name: content_of(root / name) for name in names}
    with _plain_errors(root):
        fs, _ = _place(root)
        places = [fs._strip_protocol(str(root / name)) for name in names]
        contents = fs.cat_ranges(places, None, None, on_error="return")  # fs.cat takes names for patterns
    for name, content in zip(names, contents, strict=True):
        if isinstance(content, Exception):
            with _plain_errors(root / name):
                raise content
    return dict(zip(names, contents, strict=True))


def remove_files(root: AnyPath, names: Sequence[str]) -> None:
    """Remove those of `names` that are files below `root`; at an address a thousand at a time."""
    if isinstance(root, Path):
        for name in names:
            (root / name).unlink(missing_ok=True)
        return
    for start in range(0, len(names), _LISTED_AT_ONCE):
        found = existing(root, names[start : start + _LISTED_AT_ONCE])
        with _plain_errors(root):
            fs, _ = _place(root)
            places = [fs._strip_protocol(str(root / name)) for name in sorted(found)]
            if any(set(place) & set(_OF_PATTERNS) for place in places):
                for place in places:
                    fs.rm_file(place)
            elif places:
                fs.rm(places)


def num_bytes(path: AnyPath) -> int:
    """The size of a file."""
    if isinstance(path, Path):
        return path.stat().st_size
    with _plain_errors(path):
        fs, inner = _place(path)
        return int(fs.size(inner))


def remove_tree(folder: AnyPath) -> None:
    """Remove a folder and all below it; there may be none."""
    if isinstance(folder, Path):
        if folder.exists():
            shutil.rmtree(folder)
        return
    remove_files(folder, [path.relative_to(folder).as_posix() for path in files_below(folder)])


def files_below(root: AnyPath) -> Iterator[AnyPath]:
    """Every file in a folder and below it, one folder at a time."""
    if isinstance(root, Path):
        for path in sorted(root.iterdir()):
            if path.is_dir() and not path.is_symlink():
                yield from files_below(path)
            elif path.is_file():
                yield path
        return
    with _plain_errors(root):
        fs, top = _fresh_place(root)
        for folder, _, names in fs.walk(top):
            inner = str(folder)[len(top) :].strip("/")
            yield from (root / inner / name for name in sorted(names) if name)


def _names_in(folder: UrlPath) -> set[str]:
    """The names of what lies in a folder."""
    with _plain_errors(folder):
        fs, path = _fresh_place(folder)
        try:
            return {str(found).rstrip("/").rsplit("/", 1)[-1] for found in fs.ls(path, detail=False)}
        except (FileNotFoundError, NotADirectoryError):
            return set()


def _place(path: UrlPath) -> tuple[Any, str]:
    """The file system of an address, which fsspec keeps for each process, and the path in it."""
    from fsspec.core import url_to_fs

    fs, inner = url_to_fs(str(path))
    return fs, str(inner)


def _fresh_place(path: UrlPath) -> tuple[Any, str]:
    """The same, without what the file system remembers: other processes write there too."""
    fs, inner = _place(path)
    fs.invalidate_cache()
    return fs, inner


@contextmanager
def _plain_errors(path: UrlPath) -> Iterator[None]:
    """What a file system raises becomes an error of one sentence, without anything that a server said."""
    try:
        yield
    except UserError:
        raise
    except ImportError as error:
        missing = getattr(error.__cause__, "name", None) or error.name or "the package of its file system"
        raise UserError(f"{path}: needs a package that is not here: pip install {missing}") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        if _is_no_answer(error.__cause__):
            raise _unreachable(path, error.__cause__) from error
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
    except Exception as error:  # of fsspec, aiohttp, botocore, google.auth ...: each file system has its own
        if isinstance(error, ValueError) and str(error).startswith("Protocol not known"):
            raise UserError(f"{path}: fsspec knows no file system of this kind; check the address") from error
        raise _unreachable(path, error) from error


def _is_no_answer(cause: BaseException | None) -> bool:
    """Whether a missing file is what fsspec makes of a web server that cannot be reached or that refuses."""
    is_of_web = type(cause).__module__.startswith("aiohttp")
    return is_of_web and getattr(cause, "status", None) not in (404, 410)


def _unreachable(path: UrlPath, error: BaseException | None) -> UserError:
    return UserError(
        f"{path}: cannot be read or written ({type(error).__name__}); check the address, the network and "
        "your credentials"
    )
