"""A folder of pretrained weights that serves without a network: what belongs in it, and is it there unharmed.

weights.json          what was fetched: source, revision, size and SHA-256 of every file; written last
NETWORK/PATH          the files of each network, under their paths at the source
"""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from benchmark.schema import SchemaError, decode
from loopcraft.cli import UserError
from loopcraft.storage import file_sha256, read_json, write_json

TABLE = Path(__file__).with_name("weights.toml")
MANIFEST = "weights.json"


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file as its source publishes it: `sha256` holds the leading digits known in advance, maybe none."""

    path: str
    size: int | None = None
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A pretrained network: a row of weights.toml, where the fields are explained."""

    title: str
    licence: str
    source: str
    revision: str
    files: tuple[PublishedFile, ...]


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """A file as it was fetched."""

    size: int
    sha256: str


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
            found = file_sha256(path)
            if found != fetched.sha256:
                raise self._refusal(
                    name, path, f"damaged, SHA-256 {found} where {fetched.sha256} was fetched"
                )
            check_published(path, published, fetched)
        return self.folder(name)

    def add(self, name: str, revision: str) -> NetworkRecord:
        """Take up a network whose files lie in its folder; raises `UserError` if one is not as published."""
        network = self.networks[name]
        files = {}
        for published in network.files:
            path = self.folder(name) / published.path
            files[published.path] = FileRecord(size=path.stat().st_size, sha256=file_sha256(path))
            check_published(path, published, files[published.path])
        record = NetworkRecord(source=network.source, revision=revision, files=files)
        self._manifest = Manifest(networks={**self._manifest.networks, name: record})
        write_json(self.root / MANIFEST, asdict(self._manifest))
        return record

    def _refusal(self, name: str, path: Path, reason: str) -> UserError:
        return UserError(f"{path}: {reason}; fetch it again: {fetch_command(name, self.root)}")


def open_bundle(root: Path) -> Bundle:
    """The bundle that a user names; raises `UserError` if nothing was ever fetched into the folder."""
    if not (root / MANIFEST).exists():
        raise UserError(f"{root}: holds no {MANIFEST}; make it with {fetch_command('NAME', root)}")
    return Bundle(root)


def fetch_command(name: str, root: Path | str) -> str:
    """The command that puts a network into the folder `root`."""
    return f"python -m benchmark.weights fetch --only {name} --to {root}"


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


def _read_manifest(path: Path) -> Manifest:
    if not path.exists():
        return Manifest()
    try:
        return decode(Manifest, read_json(path))
    except SchemaError as error:
        raise UserError(f"{path}: not a list of weights ({error}); fetch them again") from error
