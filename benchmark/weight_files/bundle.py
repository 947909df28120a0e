"""A folder of pretrained weights for use offline: what belongs in it, and whether its files are intact.

weights.json          what was fetched: source, revision, size and SHA-256 of every file; written last
NETWORK/PATH          each network's files: as published, or one file of tensors converted from them
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from benchmark.weight_files.tensor_files import read_tensors, tensors_sha256
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, read_json, write_json
from loopcraft.core.urls import COPY, require_folder

TABLE = Path(__file__).with_name("weights.toml")
MANIFEST = "weights.json"


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """What is known of a file before it is fetched; `sha256` holds the published leading digits, if any.

    `tensors` is the checksum of a safetensors file's content (see tensor_files.py): it pins a network that
    comes from several sources in several formats.
    """

    path: str
    size: int | None = None
    sha256: str = ""
    tensors: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A source of a network: an entry of weights.toml, which explains the fields."""

    address: str
    revision: str
    archive: str = ""
    convert: tuple[PublishedFile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Network:
    """A pretrained network: a table of weights.toml, which explains the fields."""

    title: str
    licence: str
    files: tuple[PublishedFile, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A fetched file; `tensors` is the checksum of its tensors if that is pinned."""

    size: int
    sha256: str
    tensors: str = ""

    @property
    def checksum(self) -> str:
        """The checksum that identifies the weights in results: that of the tensors if known."""
        return self.tensors or self.sha256


@dataclass(frozen=True, kw_only=True)
class NetworkRecord:
    """A fetched network; `revision` is the source's commit if it has commits."""

    source: str
    revision: str
    files: Mapping[str, FileRecord]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of weights.json."""

    format: Literal["loopcraft-weights"] = "loopcraft-weights"
    version: Literal[1] = 1
    networks: Mapping[str, NetworkRecord] = field(default_factory=dict)


@cache
def load_networks() -> Mapping[str, Network]:
    """Return all networks of weights.toml by name."""
    table = tomllib.loads(TABLE.read_text())
    return {name: decode(Network, row, name) for name, row in table.items()}


class Bundle:
    """A folder of weights, `root`; it may be empty or not exist yet."""

    def __init__(self, root: Path, networks: Mapping[str, Network] | None = None) -> None:
        """`networks` is the table to check files against; raises `UserError` for an invalid weights.json."""
        self.root = root
        self.networks = load_networks() if networks is None else networks
        self._manifest = _read_manifest(root / MANIFEST)

    def __contains__(self, name: str) -> bool:
        """Return whether the network has been fetched."""
        return name in self._manifest.networks

    def folder(self, name: str) -> Path:
        """Return the folder for a network's files."""
        return self.root / name

    def record(self, name: str) -> NetworkRecord:
        """Return the record of a fetched network."""
        return self._manifest.networks[name]

    def verify(self, name: str) -> Path:
        """Check every byte of a fetched network and return its folder; raises `UserError` for a bad file."""
        for published in self.networks[name].files:
            path = self.folder(name) / published.path
            fetched = self.record(name).files.get(published.path)
            if fetched is None or not path.exists():
                raise self._refusal(name, path, "missing")
            size = path.stat().st_size
            if size != fetched.size:
                raise self._refusal(name, path, f"{size} bytes, but {fetched.size} were fetched")
            record = record_file(path, published)
            if record.sha256 != fetched.sha256:
                raise self._refusal(
                    name, path, f"damaged: its SHA-256 is {record.sha256}, but {fetched.sha256!r} was fetched"
                )
            check_published(path, published, record)
        return self.folder(name)

    def add(self, name: str, *, source: str, revision: str) -> NetworkRecord:
        """Record a network in its folder and its origin; raises `UserError` if files are not as published."""
        files = {}
        for published in self.networks[name].files:
            path = self.folder(name) / published.path
            files[published.path] = record_file(path, published)
            check_published(path, published, files[published.path])
        record = NetworkRecord(source=source, revision=revision, files=files)
        self._manifest = Manifest(networks={**self._manifest.networks, name: record})
        write_json(self.root / MANIFEST, asdict(self._manifest))
        return record

    def _refusal(self, name: str, path: Path, reason: str) -> UserError:
        return UserError(f"{path}: {reason}; fetch it again: {fetch_command(name, self.root)}")


def open_bundle(root: Path) -> Bundle:
    """Open the bundle of a user's folder; raises `UserError` if nothing was ever fetched into it."""
    require_folder(root, COPY)
    if not (root / MANIFEST).exists():
        raise UserError(f"{root}: holds no {MANIFEST}; make it with {fetch_command('NAME', root)}")
    return Bundle(root)


def fetch_command(name: str, root: Path | str) -> str:
    """Return the command that fetches a network into the folder `root`."""
    return f"python -m benchmark.weights fetch --only {name} --to {root}"


def record_file(path: Path, published: PublishedFile) -> FileRecord:
    """Return the record of a file; raises `UserError` if its tensors are pinned and it holds none."""
    tensors = tensors_sha256(read_tensors(path)) if published.tensors else ""
    return FileRecord(size=path.stat().st_size, sha256=file_sha256(path), tensors=tensors)


def check_published(path: Path, published: PublishedFile, record: FileRecord) -> None:
    """Raise `UserError` if a file is not the published one."""
    if published.size is not None and record.size != published.size:
        raise UserError(
            f"{path}: {record.size} bytes, but {published.size} are published; the download was cut short or "
            f"its source has changed: fetch it again"
        )
    if not record.sha256.startswith(published.sha256):
        raise UserError(
            f"{path}: its SHA-256 is {record.sha256}, but {published.sha256} is published; the download was "
            f"damaged or its source has changed: fetch it again"
        )
    if record.tensors != published.tensors:
        raise UserError(
            f"{path}: the SHA-256 of its tensors is {record.tensors}, but {published.tensors} is pinned; "
            f"these are different weights: fetch it again"
        )


def _read_manifest(path: Path) -> Manifest:
    if not path.exists():
        return Manifest()
    try:
        return decode(Manifest, read_json(path))
    except SchemaError as error:
        raise UserError(f"{path}: not a list of weights ({error}); fetch them again") from error
