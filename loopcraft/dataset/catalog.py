"""Catalog of a published repository (loopcraft.json): its configurations, shards and checksums.

It lists every file of a revision and is replaced in the same commit as the card, so a reader never sees half
of a new data set. The file is not trusted: nothing in it is used unless every field is valid.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from loopcraft.core.checksums import json_sha256
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.files import parse_json
from loopcraft.dataset.manifest import check_manifest

CATALOG = "loopcraft.json"
FORMAT = "loopcraft-hub"
VERSION = 1
TINY = "tiny"
SHARD_PATH = re.compile(r"data/\w+/[0-9a-f]{16}/\d{5}-([0-9a-f]{16})\.parquet")
_REMEDY = "delete it from the repository and publish the data set again"
PREFERENCE = ("train", "test", "val", TINY)
"""The default configuration is the first of these that exists."""


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """One file of episodes in the repository."""

    path: str
    sha256: str
    episodes: int


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A data set in the repository.

    `manifest` is its dataset.json, None for the paper's layout. `table_sha256` is None in older catalogs.
    """

    split: str
    frames: int
    num_bytes: int
    fingerprint: str
    manifest: Mapping[str, Any] | None
    table: str
    shards: tuple[ShardEntry, ...]
    table_sha256: str | None = None

    @property
    def episodes(self) -> int:
        """Number of episodes."""
        return sum(shard.episodes for shard in self.shards)

    @property
    def folder(self) -> str:
        """Folder of the shards; its name depends on their content."""
        return self.shards[0].path.rsplit("/", 1)[0]


Catalog = dict[str, Configuration]


@dataclass(frozen=True, kw_only=True)
class _Document:
    format: Literal["loopcraft-hub"]
    version: Literal[1]
    configurations: Mapping[str, Configuration]
    sha256: str | None = None
    """SHA-256 of the configurations; None in older catalogs."""


def encode_catalog(catalog: Catalog) -> bytes:
    """Encode a catalog as the content of loopcraft.json."""
    configurations = {name: dataclasses.asdict(entry) for name, entry in sorted(catalog.items())}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "configurations": configurations,
        "sha256": json_sha256(configurations),
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def decode_catalog(text: bytes, repository: str) -> Catalog:
    """Decode loopcraft.json; raise `UserError` if its format, version or any field is invalid."""
    source = f"{repository}: its {CATALOG}"
    document = parse_json(text, source, _REMEDY)
    header = (document.get("format"), document.get("version")) if isinstance(document, dict) else None
    if header != (FORMAT, VERSION):
        raise UserError(f"{source} is not version {VERSION}; update loopcraft")
    try:
        decoded = decode(_Document, document)
        if decoded.sha256 not in (None, json_sha256(document["configurations"])):
            raise SchemaError("it does not match its SHA-256")
        for name, configuration in decoded.configurations.items():
            _check(name, configuration)
    except SchemaError as error:
        raise UserError(f"{source} is damaged ({error}); {_REMEDY}") from error
    return dict(decoded.configurations)


def _check(name: str, entry: Configuration) -> None:
    """Check what the types do not; raise `SchemaError`."""
    path = f"configurations.{name[:60]}"
    if not re.fullmatch(r"\w+", name) or not re.fullmatch(r"\w+", entry.split):
        raise SchemaError(f"{path}: its name or split is not a plain word")
    if entry.table != f"episodes/{name}.parquet":
        raise SchemaError(f"{path}.table: not episodes/{name}.parquet")
    if not entry.shards or min(entry.frames, entry.num_bytes, *(s.episodes for s in entry.shards)) < 1:
        raise SchemaError(f"{path}: has no shards, or less than one frame, byte or episode")
    for shard in entry.shards:
        if not SHARD_PATH.fullmatch(shard.path) or shard.path.rsplit("/", 1)[0] != entry.folder:
            raise SchemaError(f"{path}.shards: {shard.path[:80]!r} is not a shard in its folder")
    sums = [entry.fingerprint, *(shard.sha256 for shard in entry.shards)]
    sums += [] if entry.table_sha256 is None else [entry.table_sha256]
    if not all(re.fullmatch(r"[0-9a-f]{64}", checksum) for checksum in sums):
        raise SchemaError(f"{path}: a checksum is not a SHA-256")
    if entry.manifest is not None:
        try:
            check_manifest(entry.manifest, f"{path}.manifest")
        except UserError as error:
            raise SchemaError(str(error)) from error


def preferred(names: list[str]) -> str:
    """Return the configuration to read by default."""
    return min(
        names, key=lambda name: (PREFERENCE.index(name) if name in PREFERENCE else len(PREFERENCE), name)
    )
