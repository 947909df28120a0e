"""Division of a data set into shards, whose names tell whether the Hub already has them.

data/CONFIGURATION/CONTENT/NUMBER-ROWS.parquet: ROWS is a digest of the shard's rows, and CONTENT a digest of
all shards' digests. Both are known before any shard is built.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from loopcraft.core.checksums import require_sha256
from loopcraft.core.files import file_sha256
from loopcraft.core.urls import AnyPath, num_bytes
from loopcraft.dataset.episode_files import AGAIN, ITS_SUM, read_table, rows_of_keys
from loopcraft.dataset.layout import EPISODES
from loopcraft.dataset.reader import LoopcraftDataset
from loopcraft.dataset.shards import LAYOUT, Content, write_shard

SHARD_BYTES = 500_000_000
MOST_SHARDS = 3000
"""Maximum per configuration: three configurations stay below the 10,000 files that the Hub recommends."""
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Rows `start` to `stop` - 1 of a table of episodes, stored in one file of the repository.

    Shards with the same `digest` have the same content.
    """

    path: str
    digest: str
    start: int
    stop: int
    num_bytes: int


def episode_table(dataset: LoopcraftDataset) -> pa.Table:
    """Return the episodes' metadata, sorted by key; without episodes.parquet only lengths and checksums."""
    if (dataset.root / EPISODES).exists():
        table = read_table(dataset.root)
        return table.take(rows_of_keys(table, dataset.keys)).replace_schema_metadata(None)
    return pa.table(
        {
            "key": pa.array(dataset.keys, pa.string()),
            "frames": pa.array([dataset.num_frames(key) for key in dataset.keys], pa.int32()),
            "mp4_sha256": [file_sha256(dataset.video_path(key)) for key in dataset.keys],
            "npy_sha256": [file_sha256(dataset.states_path(key)) for key in dataset.keys],
        }
    )


def plan_shards(
    dataset: LoopcraftDataset, table: pa.Table, configuration: str, *, shard_bytes: int = SHARD_BYTES
) -> tuple[Shard, ...]:
    """Divide the rows of `table` into shards of about `shard_bytes`, or larger if there would be too many."""
    sizes = [sum(num_bytes(path) for path in _files(dataset, key)) for key in table["key"].to_pylist()]
    ends = list(shard_ends(sizes, max(shard_bytes, -(-sum(sizes) // MOST_SHARDS))))
    starts = [0, *ends[:-1]]
    digests = [_digest(_rows(dataset, table.slice(a, b - a))) for a, b in zip(starts, ends, strict=True)]
    folder = f"data/{configuration}/{_digest(digests)}"
    return tuple(
        Shard(
            path=f"{folder}/{number:05d}-{digest}.parquet",
            digest=digest,
            start=start,
            stop=stop,
            num_bytes=sum(sizes[start:stop]),
        )
        for number, (start, stop, digest) in enumerate(zip(starts, ends, digests, strict=True))
    )


def _rows(dataset: LoopcraftDataset, table: pa.Table) -> Iterator[str]:
    """The parts of a shard's digest: each row with the checksum of the episode's masks."""
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            masks = dataset.masks_path(row["key"])
            yield json.dumps([row, file_sha256(masks) if masks.exists() else None])


def shard_ends(sizes: Sequence[int], target: int) -> Iterator[int]:
    """Yield where shards of episodes of these `sizes` end: each as soon as it holds `target` bytes."""
    filled = 0
    for stop, size in enumerate(sizes, 1):
        filled += size
        if filled >= target or stop == len(sizes):
            yield stop
            filled = 0


def _digest(parts: Iterable[str]) -> str:
    """The digest of the JSON text of [LAYOUT, *parts], without holding it in memory."""
    digest = hashlib.sha256(f"[{LAYOUT}".encode())
    for part in parts:
        digest.update(f", {json.dumps(part)}".encode())
    digest.update(b"]")
    return digest.hexdigest()[:16]


def build_shard(path: Path, dataset: LoopcraftDataset, table: pa.Table, shard: Shard) -> None:
    """Write the shard's file; raise `UserError` if an episode does not match its checksums."""
    rows = table.slice(shard.start, shard.stop - shard.start).to_pylist()
    write_shard(path, table.schema, ((row, _content(dataset, row)) for row in rows))


def _content(dataset: LoopcraftDataset, row: dict[str, Any]) -> Content:
    return Content(
        mp4=_read_checked(dataset.video_path(row["key"]), row["mp4_sha256"]),
        npy=_read_checked(dataset.states_path(row["key"]), row["npy_sha256"]),
        masks=dataset.masks(row["key"]),
    )


def _read_checked(path: AnyPath, sha256: str) -> bytes:
    content = path.read_bytes()
    require_sha256(path, content, sha256, ITS_SUM, AGAIN)
    return content


def _files(dataset: LoopcraftDataset, key: str) -> list[AnyPath]:
    masks = dataset.masks_path(key)
    return [dataset.video_path(key), dataset.states_path(key), *([masks] if masks.exists() else [])]
