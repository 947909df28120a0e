"""Parquet shards of episodes: the columns (metadata, video, states, masks), writing and reading.

Each episode is a row group, so that range requests can read one; pages have Parquet's CRC-32 checksums.
"""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float32

from loopcraft.dataset.layout import STATE_COLUMNS
from loopcraft.dataset.mask_files import DTYPES, Masks

LAYOUT = 3
"""Version of the columns."""

_STATES_FEATURE = {
    "feature": {"feature": {"dtype": "float32", "_type": "Value"}, "length": 6, "_type": "List"},
    "_type": "List",
}
_SHAPE = "masks_shape"
_CONTENT_COLUMNS: dict[str, tuple[pa.DataType, dict[str, Any]]] = {
    "video": (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Video"}),
    "states": (pa.list_(pa.list_(pa.float32(), len(STATE_COLUMNS))), _STATES_FEATURE),
    **{
        name: (
            pa.list_(pa.from_numpy_dtype(dtype)),
            {"feature": {"dtype": dtype.name, "_type": "Value"}, "_type": "List"},
        )
        for name, dtype in [*DTYPES.items(), (_SHAPE, np.dtype(np.int32))]
    },
}
"""The Arrow type and the `datasets` feature of each column. Masks are flat lists in row-major order."""
_COMPRESSION = {f"{name}.list.element": "zstd" for name in DTYPES}
"""Masks shrink to a fiftieth or less; videos and states do not compress."""
_DATASETS_NAMES = {"double": "float64", "float": "float32"}
"""Types that `datasets` names differently from Arrow."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """An episode's video and states as file contents, and its masks, None if it has none."""

    mp4: bytes
    npy: bytes
    masks: Masks | None


def shard_schema(metadata: pa.Schema) -> pa.Schema:
    """Return the columns of a shard, metadata and content, with their description for `datasets`."""
    fields = [*metadata, *(pa.field(name, kind) for name, (kind, _) in _CONTENT_COLUMNS.items())]
    kinds = {field.name: str(field.type) for field in metadata}
    features = {
        **{name: {"dtype": _DATASETS_NAMES.get(k, k), "_type": "Value"} for name, k in kinds.items()},
        **{name: feature for name, (_, feature) in _CONTENT_COLUMNS.items()},
    }
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def write_shard(path: Path, metadata: pa.Schema, rows: Iterable[tuple[dict[str, Any], Content]]) -> None:
    """Write a shard of `rows`: an episode's metadata, with the columns of `metadata`, and its content."""
    schema = shard_schema(metadata)
    writer = pq.ParquetWriter(
        path,
        schema,
        compression=_COMPRESSION,
        use_dictionary=False,
        write_statistics=["key"],
        write_page_checksum=True,
    )
    with writer:
        for row, content in rows:
            columns = {name: [value] for name, value in row.items()} | {
                "video": [{"bytes": content.mp4, "path": f"{row['key']}.mp4"}],
                "states": _states_array(np.load(io.BytesIO(content.npy))),
                **_mask_columns(content.masks),
            }
            writer.write_table(pa.table(columns, schema=schema))


def _states_array(states: Float32[np.ndarray, "T 6"]) -> pa.Array:
    rows = pa.FixedSizeListArray.from_arrays(pa.array(states.reshape(-1)), states.shape[1])
    return pa.ListArray.from_arrays(pa.array([0, len(states)], pa.int32()), rows)


def _mask_columns(masks: Masks | None) -> dict[str, list[Any] | pa.Array]:
    columns: dict[str, list[Any] | pa.Array] = {name: [None] for name in (*DTYPES, _SHAPE)}
    for name, array in (masks or {}).items():
        columns[name] = pa.ListArray.from_arrays(pa.array([0, array.size], pa.int32()), array.reshape(-1))
        columns[_SHAPE] = [list(array.shape)]
    return columns


def _read_masks(row: pa.Table) -> Masks | None:
    (shape,) = row[_SHAPE].to_pylist()
    if shape is None:
        return None
    arrays = {name: row[name].chunk(0) for name in DTYPES if name in row.column_names}
    return {
        name: array.flatten().to_numpy(zero_copy_only=False).reshape(shape)
        for name, array in arrays.items()
        if array.null_count == 0
    }


def read_row(file: BinaryIO, row: int, footer: pq.FileMetaData) -> Content:
    """Read the episode in row `row` of a shard with this footer.

    Reads in this thread: an Arrow thread that still holds `file` when the interpreter exits aborts the
    process.
    """
    reader = pq.ParquetFile(file, metadata=footer, page_checksum_verification=True)
    table = reader.read_row_group(row, columns=list(_CONTENT_COLUMNS), use_threads=False).combine_chunks()
    table.validate(full=True)
    states = table["states"].chunk(0).flatten().flatten().to_numpy().reshape(-1, len(STATE_COLUMNS))
    npy = io.BytesIO()
    np.save(npy, states)
    (video,) = table["video"].to_pylist()
    return Content(mp4=video["bytes"], npy=npy.getvalue(), masks=_read_masks(table))
