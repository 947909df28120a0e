"""loopcraft.json, what a published repository says about itself: its configurations, shards and checksums.

It names every file that belongs to a revision, and is replaced in the same commit as the card: a reader never
sees half of a new data set. Anybody may have written it: nothing is used unless every field is right.
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
_REMEDY = "remove it there and publish the data set again"
PREFERENCE = ("train", "test", "val", TINY)
"""Which configuration is read when none is named: the first of these that is there."""


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """One file of episodes in the repository."""

    path: str
    sha256: str
    episodes: int


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A data set in the repository; `manifest` is its dataset.json, None for the paper's layout.

    `table_sha256` is None in catalogs of older versions.
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
        """How many there are."""
        return sum(shard.episodes for shard in self.shards)

    @property
    def folder(self) -> str:
        """Where the shards lie: another folder for other content."""
        return self.shards[0].path.rsplit("/", 1)[0]


Catalog = dict[str, Configuration]


@dataclass(frozen=True, kw_only=True)
class _Document:
    """The whole file."""

    format: Literal["loopcraft-hub"]
    version: Literal[1]
    configurations: Mapping[str, Configuration]
    sha256: str | None = None
    """Of the configurations; older versions have none."""


def encode_catalog(catalog: Catalog) -> bytes:
    """The content of loopcraft.json."""
    configurations = {name: dataclasses.asdict(found) for name, found in sorted(catalog.items())}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "configurations": configurations,
        "sha256": json_sha256(configurations),
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def decode_catalog(text: bytes, repository: str) -> Catalog:
    """The reverse; raises `UserError` for another format or version, and for what is not as it should be."""
    place = f"{repository}: its {CATALOG}"
    document = parse_json(text, place, _REMEDY)
    header = (document.get("format"), document.get("version")) if isinstance(document, dict) else None
    if header != (FORMAT, VERSION):
        raise UserError(f"{place} is not of version {VERSION}; update loopcraft")
    try:
        decoded = decode(_Document, document)
        if decoded.sha256 not in (None, json_sha256(document["configurations"])):
            raise SchemaError("it is not what its SHA-256 says")
        found = decoded.configurations
        for name, configuration in found.items():
            _check(name, configuration)
    except SchemaError as error:
        raise UserError(f"{place} is damaged ({error}); {_REMEDY}") from error
    return dict(found)


def _check(name: str, found: Configuration) -> None:
    """What types cannot say; raises `SchemaError`."""
    path = f"configurations.{name[:60]}"
    if not re.fullmatch(r"\w+", name) or not re.fullmatch(r"\w+", found.split):
        raise SchemaError(f"{path}: its name or its split is no plain word")
    if found.table != f"episodes/{name}.parquet":
        raise SchemaError(f"{path}.table: not episodes/{name}.parquet")
    if not found.shards or min(found.frames, found.num_bytes, *(s.episodes for s in found.shards)) < 1:
        raise SchemaError(f"{path}: has no shards, or fewer than one frame, byte or episode")
    for shard in found.shards:
        if not SHARD_PATH.fullmatch(shard.path) or shard.path.rsplit("/", 1)[0] != found.folder:
            raise SchemaError(f"{path}.shards: {shard.path[:80]!r} is no shard of its folder")
    sums = [found.fingerprint, *(shard.sha256 for shard in found.shards)]
    sums += [] if found.table_sha256 is None else [found.table_sha256]
    if not all(re.fullmatch(r"[0-9a-f]{64}", checksum) for checksum in sums):
        raise SchemaError(f"{path}: a checksum is no SHA-256")
    if found.manifest is not None:
        try:
            check_manifest(found.manifest, f"{path}.manifest")
        except UserError as error:
            raise SchemaError(str(error)) from error


def preferred(names: list[str]) -> str:
    """The configuration that is read when none is named."""
    return min(
        names, key=lambda name: (PREFERENCE.index(name) if name in PREFERENCE else len(PREFERENCE), name)
    )
