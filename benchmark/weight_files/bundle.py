"""A folder of pretrained weights that serves without a network: what belongs in it, and is it there unharmed.

weights.json          what was fetched: source, revision, size and SHA-256 of every file; written last
NETWORK/PATH          the files of each network: as published, or one of tensors that was made of what came
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
    """A file as it is known in advance: `sha256` holds the leading digits published, maybe none.

    `tensors` is the checksum of what a safetensors file holds (see tensor_files.py): it pins a network that
    comes from several sources in several formats.
    """

    path: str
    size: int | None = None
    sha256: str = ""
    tensors: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a network is to be had: a row of weights.toml, where the fields are explained."""

    address: str
    revision: str
    archive: str = ""
    convert: tuple[PublishedFile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Network:
    """A pretrained network: a row of weights.toml, where the fields are explained."""

    title: str
    licence: str
    files: tuple[PublishedFile, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A file as it was fetched; `tensors` is the checksum of what it holds, where that is pinned."""

    size: int
    sha256: str
    tensors: str = ""

    @property
    def checksum(self) -> str:
        """What says whether two results used the same weights: the tensors', where they are known by that."""
        return self.tensors or self.sha256


@dataclass(frozen=True, kw_only=True)
class NetworkRecord:
    """A network as it was fetched; `revision` is the source's commit where it has them."""

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
    """The table of all networks, by name."""
    table = tomllib.loads(TABLE.read_text())
    return {name: decode(Network, row, name) for name, row in table.items()}


class Bundle:
    """The folder `root`, which may be empty or not exist yet."""

    def __init__(self, root: Path, networks: Mapping[str, Network] | None = None) -> None:
        """`networks` is the table to hold the files against; raises `UserError` for a broken weights.json."""
        self.root = root
        self.networks = load_networks() if networks is None else networks
        self._manifest = _read_manifest(root / MANIFEST)

    def __contains__(self, name: str) -> bool:
        """Whether the network has been fetched."""
        return name in self._manifest.networks

    def folder(self, name: str) -> Path:
        """Where the files of a network belong."""
        return self.root / name

    def record(self, name: str) -> NetworkRecord:
        """What was fetched under that name."""
        return self._manifest.networks[name]

    def verify(self, name: str) -> Path:
        """The folder of a fetched network, every byte of it checked; raises `UserError` naming a bad file."""
        for published in self.networks[name].files:
            path = self.folder(name) / published.path
            fetched = self.record(name).files.get(published.path)
            if fetched is None or not path.exists():
                raise self._refusal(name, path, "missing")
            size = path.stat().st_size
            if size != fetched.size:
                raise self._refusal(name, path, f"{size} bytes where {fetched.size} were fetched")
            found = record_file(path, published)
            if found.sha256 != fetched.sha256:
                raise self._refusal(
                    name, path, f"damaged, SHA-256 {found.sha256} where {fetched.sha256!r} was fetched"
                )
            check_published(path, published, found)
        return self.folder(name)

    def add(self, name: str, *, source: str, revision: str) -> NetworkRecord:
        """Take up a network whose files lie in its folder, from where the caller says that they came.

        Raises `UserError` if one is not as published.
        """
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
    """The bundle that a user names; raises `UserError` if nothing was ever fetched into the folder."""
    require_folder(root, COPY)
    if not (root / MANIFEST).exists():
        raise UserError(f"{root}: holds no {MANIFEST}; make it with {fetch_command('NAME', root)}")
    return Bundle(root)


def fetch_command(name: str, root: Path | str) -> str:
    """The command that puts a network into the folder `root`."""
    return f"python -m benchmark.weights fetch --only {name} --to {root}"


def record_file(path: Path, published: PublishedFile) -> FileRecord:
    """What is found at `path`; raises `UserError` if its tensors are pinned and it holds none."""
    tensors = tensors_sha256(read_tensors(path)) if published.tensors else ""
    return FileRecord(size=path.stat().st_size, sha256=file_sha256(path), tensors=tensors)


def check_published(path: Path, published: PublishedFile, found: FileRecord) -> None:
    """Raise `UserError` if a file is not the one that its source publishes."""
    if published.size is not None and found.size != published.size:
        raise UserError(
            f"{path}: {found.size} bytes where {published.size} are published; the download was cut short or "
            f"its source has changed: fetch it again"
        )
    if not found.sha256.startswith(published.sha256):
        raise UserError(
            f"{path}: its SHA-256 is {found.sha256} and {published.sha256} is published; the download was "
            f"damaged or its source has changed: fetch it again"
        )
    if found.tensors != published.tensors:
        raise UserError(
            f"{path}: the SHA-256 of its tensors is {found.tensors} and {published.tensors} is pinned; these "
            f"are other weights: fetch it again"
        )


def _read_manifest(path: Path) -> Manifest:
    if not path.exists():
        return Manifest()
    try:
        return decode(Manifest, read_json(path))
    except SchemaError as error:
        raise UserError(f"{path}: not a list of weights ({error}); fetch them again") from error
