"""Which episodes make a shard and what it is called, so that its name tells whether the Hub has it already.

data/CONFIGURATION/CONTENT/NUMBER-ROWS.parquet: ROWS is a digest of the shard's rows and CONTENT one of all
the shards' digests. Nothing has to be built to know them.
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
"""Of one configuration: three of them and all else stay below the Hub's advice of 10,000 files."""
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Rows `start` to `stop` - 1 of a table of episodes, in one file of the repository.

    Shards with the same `digest` hold the same.
    """

    path: str
    digest: str
    start: int
    stop: int
    num_bytes: int


def episode_table(dataset: LoopcraftDataset) -> pa.Table:
    """The metadata of each episode, sorted by key; without episodes.parquet lengths and checksums alone."""
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
    """The rows of `table` in stretches of about `shard_bytes`, larger where there would be too many."""
    keys = table["key"]
    sizes = [sum(num_bytes(path) for path in _files(dataset, key.as_py())) for key in keys]
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
    """What a shard's digest is of: each row, and the checksum of the episode's masks."""
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        for row in batch.to_pylist():
            yield json.dumps([row, _masks_sha256(dataset, row["key"])])


def shard_ends(sizes: Sequence[int], target: int) -> Iterator[int]:
    """Where shards of episodes of these `sizes` end: each as soon as it holds `target` bytes."""
    filled = 0
    for place, size in enumerate(sizes):
        filled += size
        if filled >= target or place == len(sizes) - 1:
            yield place + 1
            filled = 0


def _digest(parts: Iterable[str]) -> str:
    """Of the JSON text of [LAYOUT, *parts], which is never in memory whole."""
    digest = hashlib.sha256(f"[{LAYOUT}".encode())
    for part in parts:
        digest.update(f", {json.dumps(part)}".encode())
    digest.update(b"]")
    return digest.hexdigest()[:16]


def build_shard(path: Path, dataset: LoopcraftDataset, table: pa.Table, shard: Shard) -> None:
    """Write the shard's file. Raises `UserError` where an episode is no longer what its checksum says."""
    rows = table.slice(shard.start, shard.stop - shard.start).to_pylist()
    write_shard(path, table.schema, ((row, _content(dataset, row)) for row in rows))


def _content(dataset: LoopcraftDataset, row: dict[str, Any]) -> Content:
    return Content(
        mp4=_checked(dataset.video_path(row["key"]), row["mp4_sha256"]),
        npy=_checked(dataset.states_path(row["key"]), row["npy_sha256"]),
        masks=dataset.masks(row["key"]),
    )


def _checked(path: AnyPath, sha256: str) -> bytes:
    content = path.read_bytes()
    require_sha256(path, content, sha256, ITS_SUM, AGAIN)
    return content


def _files(dataset: LoopcraftDataset, key: str) -> list[AnyPath]:
    masks = dataset.masks_path(key)
    return [dataset.video_path(key), dataset.states_path(key), *([masks] if masks.exists() else [])]


def _masks_sha256(dataset: LoopcraftDataset, key: str) -> str | None:
    path = dataset.masks_path(key)
    return file_sha256(path) if path.exists() else None
