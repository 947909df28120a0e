"""The table of episodes (episodes.parquet), and the row files that precede it during generation.

A finished episode has a row file, 000/000.json, beside its video and states. Once all episodes are finished,
the rows are merged into the table and the row files are removed.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from loopcraft.core.checksums import json_sha256
from loopcraft.core.errors import UserError
from loopcraft.core.files import parse_json, whole_file, write_json
from loopcraft.core.urls import AnyPath, existing, read_files, remove_files
from loopcraft.dataset.audit import FLAGS
from loopcraft.dataset.episode_files import read_table, rows_of_keys
from loopcraft.dataset.layout import EPISODES

Item = TypeVar("Item")
Row = dict[str, Any]
ROW_GROUP = 10_000
"""Rows written at once, held in memory at 2.2 kB each."""
_ROWS_AT_ONCE = 1000
"""Rows read at once."""
FAILED = -1.0
"""`distance_walked` of a candidate that could not be played; its row lacks most columns."""
_SUFFIX = ".json"
_SUM = "sha256"
"""Key of a row's checksum in its row file."""

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "key": (pa.string(), "name of the episode: KEY.mp4 and KEY.npy"),
    "world": (pa.string(), "name and version of the world"),
    "world_seed": (pa.int64(), "seed of the world: with the actions it gives the same frames again"),
    "draw": (pa.int32(), "which draw gave walk and world: the attempt (train) or the candidate (val, test)"),
    "rejected": (pa.string(), "why each attempt before was dropped, separated by commas"),
    "frames": (pa.int32(), "number of frames"),
    "mp4_sha256": (pa.string(), "checksum of the video"),
    "npy_sha256": (pa.string(), "checksum of the states"),
    "distance_walked": (pa.float64(), "length of the path in blocks"),
    "chamfer_planned": (pa.float64(), "Chamfer distance of context and rest on a flat plane, in steps"),
    "chamfer_realised": (pa.float64(), "the same of the path that was walked, in blocks"),
    "revisited": (pa.float64(), "fraction of the frames after the context that revisit it"),
    "revisited_short": (pa.float64(), "the same of the horizon's frames 1-64"),
    "revisited_medium": (pa.float64(), "the same of its frames 65-256"),
    "revisited_long": (pa.float64(), "the same of its frames 257-768"),
    "context_revisited": (pa.float64(), "fraction of the context's frames that are come back to"),
    "num_returns": (pa.int32(), "how many times the agent comes back, having been away"),
    "median_age_frames": (pa.float64(), "median over the revisits of the frames since"),
    **{flag: (pa.bool_(), f"audit: see loopcraft/dataset/audit.py, {flag}") for flag in FLAGS},
}


def write_row(root: AnyPath, row: Row) -> None:
    """Mark the episode of `row` as finished."""
    write_json(_row_path(root, row["key"]), {**row, _SUM: json_sha256(row)})


def read_rows(root: AnyPath, keys: Iterable[str]) -> Iterator[Row]:
    """Yield the rows of the finished episodes among `keys`, in that order, with few in memory at a time.

    A row file takes precedence over the table, as it is newer.
    """
    wanted = pa.array(keys, pa.string())
    table = _read_table(root) if (root / EPISODES).exists() else None
    positions = rows_of_keys(table, wanted) if table is not None else pa.nulls(len(wanted), pa.int32())
    for start in range(0, len(wanted), _ROWS_AT_ONCE):
        batch = wanted.slice(start, _ROWS_AT_ONCE).to_pylist()
        rows: dict[str, Row] = {}
        if table is not None:
            known = table.take(positions.slice(start, _ROWS_AT_ONCE).drop_null())
            rows = {row["key"]: row for row in known.to_pylist()}
        names = existing(root, [f"{key}{_SUFFIX}" for key in batch])
        contents = read_files(root, sorted(names))
        for key in batch:
            if (content := contents.get(f"{key}{_SUFFIX}")) is not None:
                yield _read_row(_row_path(root, key), content, key)
            elif key in rows:
                yield rows[key]


def write_table(root: AnyPath, rows: Iterable[Row]) -> None:
    """Write episodes.parquet in groups of rows; the same rows give the same bytes."""
    schema = pa.schema(
        [pa.field(name, kind, metadata={"description": text}) for name, (kind, text) in COLUMNS.items()]
    )
    with whole_file(root / EPISODES) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for group in batches(rows, ROW_GROUP):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`; the last may be shorter."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def remove_rows(root: AnyPath, keys: Iterable[str]) -> None:
    """Remove the row files, once the table holds all rows."""
    remove_files(root, [f"{key}{_SUFFIX}" for key in keys])


def _read_table(root: AnyPath) -> pa.Table:
    table = read_table(root)
    if not set(COLUMNS) <= set(table.column_names):
        raise UserError(f"{root / EPISODES}: not a readable table (it lacks columns); restore it")
    return table


def _read_row(path: AnyPath, content: bytes, key: str) -> Row:
    """Decode a row file; raise `UserError` unless it is a valid row of that episode."""
    row: Row = parse_json(content, path)
    is_row = isinstance(row, dict) and row.get("key") == key
    is_row = is_row and (_SUM not in row or row.pop(_SUM) == json_sha256(row))
    if is_row and row.get("distance_walked", 0) != FAILED:
        is_row = all(name in row and _fits(row[name], kind) for name, (kind, _) in COLUMNS.items())
    if not is_row:
        raise UserError(f"{path}: not the row of episode {key}; delete it and run the same command again")
    return row


def _fits(value: Any, kind: pa.DataType) -> bool:
    """Return whether a column of type `kind` can hold a value."""
    if value is None:
        return True
    if pa.types.is_string(kind):
        return isinstance(value, str)
    if pa.types.is_boolean(kind):
        return isinstance(value, bool)
    return type(value) is int or (type(value) is float and pa.types.is_floating(kind))


def _row_path(root: AnyPath, key: str) -> AnyPath:
    return root / f"{key}{_SUFFIX}"
