"""Bring a repository to a wanted state: shards in commits of a few, then all that names them in one commit.

Until that last commit readers see the old data set, whole. Each step begins by asking the Hub what it has, so
it may be repeated: what broke off goes on, and what is there is not sent again.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

from loopcraft.core.errors import UserError
from loopcraft.core.progress import progress_bar
from loopcraft.core.writing import working_folder
from loopcraft.dataset.catalog import CATALOG, SHARD_PATH, Catalog, Configuration, ShardEntry, encode_catalog
from loopcraft.dataset.episode_files import fingerprint
from loopcraft.dataset.mirror import ROW, SHARD, read_content
from loopcraft.dataset.reader import LoopcraftDataset
from loopcraft.hub import repository as hub
from loopcraft.publishing.packing import Shard, build_shard

COMMIT_SHARDS = 8
"""How many shards are built, sent and committed together: 4 GB of temporary space."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A configuration to publish: the episodes in `table`, whose files are the data set's."""

    name: str
    split: str
    dataset: LoopcraftDataset
    table: pa.Table
    shards: tuple[Shard, ...]

    def missing(self, listing: hub.Listing | None) -> list[Shard]:
        """The shards that the Hub has nowhere."""
        present = () if listing is None else [*digests(listing)]
        return [shard for shard in self.shards if shard.digest not in present]

    def is_in(self, catalog: Catalog) -> bool:
        """Whether the catalog names this part's shards."""
        found = catalog.get(self.name)
        return found is not None and [shard.path for shard in found.shards] == [s.path for s in self.shards]


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a repository is to hold beside its shards: files by their path, and the catalog."""

    files: dict[str, bytes]
    catalog: Catalog


def digests(listing: hub.Listing) -> dict[str, str]:
    """A path of each shard in the repository by the digest of its rows."""
    matches = ((path, SHARD_PATH.fullmatch(path)) for path in listing.files)
    return {match[1]: path for path, match in matches if match}


def upload_shards(repository: str, parts: Sequence[Part]) -> None:
    """Put every shard in its place. Raises `UserError` where an episode's file is not what it should be."""
    batches = [
        (part, part.shards[start : start + COMMIT_SHARDS])
        for part in parts  # a commit holds shards of one: another's may be copies of them
        for start in range(0, len(part.shards), COMMIT_SHARDS)
    ]
    with progress_bar("uploading", sum(len(part.shards) for part in parts), "shards") as advance:
        for part, batch in batches:
            with working_folder() as folder:
                hub.persistently(lambda: _commit_batch(repository, part, batch, folder))  # noqa: B023
            for _ in batch:
                advance()


def _commit_batch(repository: str, part: Part, batch: Sequence[Shard], folder: Path) -> None:
    listing = hub.list_files(repository)
    present = digests(listing)
    operations: list[hub.Operation] = []
    for shard in batch:
        if shard.path in listing.files:
            continue
        if shard.digest in present:
            operations.append(CommitOperationCopy(present[shard.digest], shard.path))
            continue
        path = folder / f"{shard.digest}.parquet"
        if not path.exists():
            build_shard(path, part.dataset, part.table, shard)
        operations.append(CommitOperationAdd(shard.path, path))
    if operations:
        hub.commit(repository, operations, f"Add {len(operations)} shards", listing.commit)


def describe(part: Part, listing: hub.Listing) -> Configuration:
    """The catalog's entry of a part whose shards are all on the Hub."""
    manifest = part.dataset.manifest
    rows = part.table.select(["key", "frames", "mp4_sha256", "npy_sha256"]).to_pylist()
    return Configuration(
        split=part.split,
        frames=sum(row["frames"] for row in rows),
        num_bytes=sum(shard.num_bytes for shard in part.shards),
        fingerprint=fingerprint(tuple(row.values()) for row in rows),
        manifest=manifest,
        table=f"episodes/{part.name}.parquet",
        shards=tuple(
            ShardEntry(
                path=shard.path,
                sha256=hub.stored_sha256(listing, shard.path),
                episodes=shard.stop - shard.start,
            )
            for shard in part.shards
        ),
    )


def write_located_table(path: Path, part: Part) -> None:
    """Write the table of a part's episodes with where each lies: number of its shard, row in it."""
    places = [(number, row) for number, s in enumerate(part.shards) for row in range(s.stop - s.start)]
    shards, rows = (pa.array(column, pa.int32()) for column in zip(*places, strict=True))
    pq.write_table(part.table.append_column(SHARD, shards).append_column(ROW, rows), path)


def switch(
    repository: str, parts: Sequence[Part], content_at: Callable[[hub.Listing], Content]
) -> tuple[str, Content]:
    """In one commit: put what `content_at` names, remove those shards of `parts` that its catalog does not.

    Returns the commit and its content, which is asked for anew at whatever the Hub holds by then: others may
    publish their parts to the same repository. One that is so already gets no commit.
    """
    ours = {part.name for part in parts}

    def step() -> tuple[str, Content]:
        listing = hub.list_files(repository)
        lost = [part for part in parts if any(shard.path not in listing.files for shard in part.shards)]
        if lost:  # another's commit took them for stale ones
            upload_shards(repository, lost)
            listing = hub.list_files(repository)
        content = content_at(listing)
        wanted = content.files | {CATALOG: encode_catalog(content.catalog)}
        operations: list[hub.Operation] = [
            CommitOperationAdd(path, data)
            for path, data in wanted.items()
            if not hub.is_same(data, listing.files.get(path))
        ]
        kept = {shard.path for found in content.catalog.values() for shard in found.shards}
        shards = (path for path in listing.files if SHARD_PATH.fullmatch(path))
        stale = sorted(path for path in shards if path.split("/")[1] in ours and path not in kept)
        operations += [CommitOperationDelete(path) for path in stale]
        if not operations:
            return listing.commit, content
        return hub.commit(repository, operations, "Publish the data set", listing.commit), content

    return hub.persistently(step)


def check(repository: str, commit: str, parts: Sequence[Part], wanted: Content) -> None:
    """Compare what the Hub has now with what it should have, and read an episode of each part back.

    Raises `UserError` naming the first file that differs.
    """
    listing = hub.persistently(lambda: hub.list_files(repository, commit))
    shards = {shard.path: shard.sha256 for found in wanted.catalog.values() for shard in found.shards}
    wrong = [path for path, sha256 in shards.items() if hub.stored_sha256(listing, path) != sha256]
    wrong += [path for path, data in wanted.files.items() if not hub.is_same(data, listing.files.get(path))]
    for part in parts:
        row: dict[str, Any] = part.table.slice(0, 1).to_pylist()[0]
        content = hub.persistently(lambda: read_content(repository, commit, part.shards[0].path, 0))  # noqa: B023
        sums = [hashlib.sha256(data).hexdigest() for data in (content.mp4, content.npy)]
        if sums != [row["mp4_sha256"], row["npy_sha256"]]:
            wrong.append(part.shards[0].path)
    if wrong:
        raise UserError(f"{repository}: {wrong[0]} did not arrive as it was sent; run the same command again")
