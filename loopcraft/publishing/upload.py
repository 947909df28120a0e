"""Upload to the Hub: shards in commits of a few, then everything that refers to them in one commit.

Until that last commit, readers see the whole old data set. Each step starts by listing what the Hub has, so
it can be repeated: an interrupted upload continues, and nothing is sent twice.
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
"""Number of shards built, sent and committed together; they take 4 GB of temporary space."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A configuration to publish: the episodes in `table`, with the data set's files."""

    name: str
    split: str
    dataset: LoopcraftDataset
    table: pa.Table
    shards: tuple[Shard, ...]

    def missing(self, listing: hub.Listing | None) -> list[Shard]:
        """Return the shards that the repository does not have under any path."""
        present = () if listing is None else [*digests(listing)]
        return [shard for shard in self.shards if shard.digest not in present]

    def is_in(self, catalog: Catalog) -> bool:
        """Return whether the catalog lists this part's shards."""
        entry = catalog.get(self.name)
        return entry is not None and [shard.path for shard in entry.shards] == [s.path for s in self.shards]


@dataclass(frozen=True, kw_only=True)
class Content:
    """The content of a repository beside its shards: files by path, and the catalog."""

    files: dict[str, bytes]
    catalog: Catalog


def digests(listing: hub.Listing) -> dict[str, str]:
    """Map the digest of each shard in the repository to one of its paths."""
    matches = ((path, SHARD_PATH.fullmatch(path)) for path in listing.files)
    return {match[1]: path for path, match in matches if match}


def upload_shards(repository: str, parts: Sequence[Part]) -> None:
    """Upload all missing shards; raise `UserError` if an episode's file does not match its checksum."""
    batches = [
        (part, part.shards[start : start + COMMIT_SHARDS])
        for part in parts  # one part per commit: shards of another may be copies of them
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
    """Return the catalog's entry for a part whose shards are all on the Hub."""
    rows = part.table.select(["key", "frames", "mp4_sha256", "npy_sha256"]).to_pylist()
    return Configuration(
        split=part.split,
        frames=sum(row["frames"] for row in rows),
        num_bytes=sum(shard.num_bytes for shard in part.shards),
        fingerprint=fingerprint(tuple(row.values()) for row in rows),
        manifest=part.dataset.manifest,
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
    """Write the table of a part's episodes with the location of each: index of its shard, row in it."""
    locations = [(index, row) for index, s in enumerate(part.shards) for row in range(s.stop - s.start)]
    shards, rows = (pa.array(column, pa.int32()) for column in zip(*locations, strict=True))
    pq.write_table(part.table.append_column(SHARD, shards).append_column(ROW, rows), path)


def switch(
    repository: str, parts: Sequence[Part], content_at: Callable[[hub.Listing], Content]
) -> tuple[str, Content]:
    """Commit the content, and remove shards of `parts` that its catalog does not list, in one commit.

    `content_at` computes the content from the repository's listing. It is called again on each attempt, as
    others may publish to the same repository. Nothing is committed if nothing changes. Returns the commit and
    the content.
    """
    names = {part.name for part in parts}

    def step() -> tuple[str, Content]:
        listing = hub.list_files(repository)
        lost = [part for part in parts if any(shard.path not in listing.files for shard in part.shards)]
        if lost:  # another publisher's commit removed them as stale
            upload_shards(repository, lost)
            listing = hub.list_files(repository)
        content = content_at(listing)
        wanted = content.files | {CATALOG: encode_catalog(content.catalog)}
        operations: list[hub.Operation] = [
            CommitOperationAdd(path, data)
            for path, data in wanted.items()
            if not hub.is_same(data, listing.files.get(path))
        ]
        listed = {shard.path for entry in content.catalog.values() for shard in entry.shards}
        shards = (path for path in listing.files if SHARD_PATH.fullmatch(path))
        stale = sorted(path for path in shards if path.split("/")[1] in names and path not in listed)
        operations += [CommitOperationDelete(path) for path in stale]
        if not operations:
            return listing.commit, content
        return hub.commit(repository, operations, "Publish the data set", listing.commit), content

    return hub.persistently(step)


def check(repository: str, commit: str, parts: Sequence[Part], wanted: Content) -> None:
    """Compare the files on the Hub with the wanted ones, and read back an episode of each part.

    Raises `UserError` naming the first file that differs.
    """
    listing = hub.persistently(lambda: hub.list_files(repository, commit))
    shards = {shard.path: shard.sha256 for entry in wanted.catalog.values() for shard in entry.shards}
    bad = [path for path, sha256 in shards.items() if hub.stored_sha256(listing, path) != sha256]
    bad += [path for path, data in wanted.files.items() if not hub.is_same(data, listing.files.get(path))]
    for part in parts:
        row: dict[str, Any] = part.table.slice(0, 1).to_pylist()[0]
        content = hub.persistently(lambda: read_content(repository, commit, part.shards[0].path, 0))  # noqa: B023
        sums = [hashlib.sha256(data).hexdigest() for data in (content.mp4, content.npy)]
        if sums != [row["mp4_sha256"], row["npy_sha256"]]:
            bad.append(part.shards[0].path)
    if bad:
        raise UserError(f"{repository}: {bad[0]} did not arrive as it was sent; run the same command again")
