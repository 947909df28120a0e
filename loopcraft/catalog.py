"""loopcraft.json, what a published repository says about itself: its configurations, shards and checksums.

It names every file that belongs to a revision, and is replaced in the same commit as the card: a reader never
sees half of a new data set.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from loopcraft.cli import UserError

CATALOG = "loopcraft.json"
FORMAT = "loopcraft-hub"
VERSION = 1
TINY = "tiny"
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
    """A data set in the repository; `manifest` is its dataset.json, None for the paper's layout."""

    split: str
    frames: int
    num_bytes: int
    fingerprint: str
    manifest: dict[str, Any] | None
    table: str
    shards: tuple[ShardEntry, ...]

    @property
    def episodes(self) -> int:
        """How many there are."""
        return sum(shard.episodes for shard in self.shards)

    @property
    def folder(self) -> str:
        """Where the shards lie: another folder for other content."""
        return self.shards[0].path.rsplit("/", 1)[0]


Catalog = dict[str, Configuration]


def encode_catalog(catalog: Catalog) -> bytes:
    """The content of loopcraft.json."""
    configurations = {name: dataclasses.asdict(found) for name, found in sorted(catalog.items())}
    document = {"format": FORMAT, "version": VERSION, "configurations": configurations}
    return (json.dumps(document, indent=1) + "\n").encode()


def decode_catalog(text: str, repository: str) -> Catalog:
    """The reverse; raises `UserError` for another format or version."""
    document = json.loads(text)
    if (document.get("format"), document.get("version")) != (FORMAT, VERSION):
        raise UserError(f"{repository}: its {CATALOG} is not of version {VERSION}; update loopcraft")
    return {
        name: Configuration(**entry | {"shards": tuple(ShardEntry(**shard) for shard in entry["shards"])})
        for name, entry in document["configurations"].items()
    }


def preferred(names: list[str]) -> str:
    """The configuration that is read when none is named."""
    return min(
        names, key=lambda name: (PREFERENCE.index(name) if name in PREFERENCE else len(PREFERENCE), name)
    )
