"""Reading and validation of a data set's files. Where a file has a checksum, it is verified."""

import hashlib
import io
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float32, Int32

from loopcraft.core.checksums import add_sums, read_bytes, read_json, require_file, require_sha256, sums_of
from loopcraft.core.errors import UserError
from loopcraft.core.files import encode_json, is_key, whole_file
from loopcraft.core.urls import AnyPath, content_of
from loopcraft.dataset.layout import EPISODES, INDEX, MANIFEST, STATE_COLUMNS
from loopcraft.dataset.parquet_damage import plain_damage, read_parquet

ITS_SUM = "its SHA-256"
AGAIN = "delete it and make it again"
MOST_FRAMES = 2**31 - 1
"""Maximum length of an episode."""


@dataclass(frozen=True, kw_only=True)
class EpisodeIndex:
    """The keys of all episodes, sorted, and their numbers of frames; takes 70 bytes per episode."""

    keys: tuple[str, ...]
    frames: Int32[np.ndarray, " episodes"]

    def find(self, key: str) -> int | None:
        """Return the position of a key, None if it is absent."""
        position = bisect_left(self.keys, key)
        return position if position < len(self.keys) and self.keys[position] == key else None


def fingerprint(episodes: Iterable[tuple[str | int, ...]]) -> str:
    """Return the SHA-256 of (key, frames, SHA-256 of video, SHA-256 of states) of episodes sorted by key."""
    digest = hashlib.sha256()
    for episode in episodes:
        digest.update(f"{' '.join(str(part) for part in episode)}\n".encode())
    return digest.hexdigest()


def read_index(root: AnyPath) -> EpisodeIndex:
    """Read index.json; raise `UserError` if it is not a valid index."""
    path = root / INDEX
    index = read_json(root, INDEX)
    if not isinstance(index, dict) or not index:
        raise UserError(f"{path}: lists no episodes; restore it or make the data set again")
    for key, frames in index.items():
        if not is_key(key) or type(frames) is not int or not 1 <= frames <= MOST_FRAMES:
            raise UserError(
                f"{path}: invalid entry {key!r}: {frames!r}; restore it or make the data set again"
            )
    keys = tuple(sorted(index))
    return EpisodeIndex(keys=keys, frames=np.fromiter((index[key] for key in keys), np.int32, len(keys)))


def write_index(root: AnyPath, frames: Mapping[str, int]) -> None:
    """Mark a data set as finished: write the checksums of index, table and manifest, then the index."""
    content = encode_json(frames)
    names = [name for name in (MANIFEST, EPISODES) if (root / name).exists()]
    add_sums(root, {**sums_of(root, names), INDEX: hashlib.sha256(content).hexdigest()})
    with whole_file(root / INDEX) as temporary:
        temporary.write_bytes(content)


def read_table(root: AnyPath, columns: Collection[str] | None = None) -> pa.Table:
    """Read the table of episodes, or those of `columns` (which include key and frames) that it has.

    Every value of every column is checked. Raises `UserError` if the file is damaged.
    """
    path = root / EPISODES
    is_stream = columns is not None and isinstance(path, Path)
    if is_stream:
        require_file(root, EPISODES)
    source = path.open("rb") if is_stream else io.BytesIO(read_bytes(root, EPISODES))
    with source, plain_damage(f"{path}: not a readable table", "restore it"):
        table = read_parquet(source, columns)
        keys, frames = table["key"], table["frames"]
        is_text = pa.types.is_string(keys.type) or pa.types.is_large_string(keys.type)
        if not is_text or keys.null_count or pc.count_distinct(keys).as_py() != len(keys):
            raise ValueError("its keys are not unique names of episodes")
        if not pa.types.is_integer(frames.type) or frames.null_count:
            raise ValueError("its frames are not all integers")
    return table


def rows_of_keys(table: pa.Table, keys: Iterable[str] | pa.Array) -> pa.Array:
    """Return the row number of each key in a table of episodes; null for a key that is absent."""
    names = table["key"].combine_chunks()
    wanted = keys.cast(names.type) if isinstance(keys, pa.Array) else pa.array(keys, names.type)
    return pc.index_in(wanted, value_set=names)


def read_states(path: AnyPath, num_frames: int, sha256: str | None = None) -> Float32[np.ndarray, "T 6"]:
    """Read an episode's states; raise `UserError` if the file is damaged or its length differs."""
    data = content_of(path)
    require_sha256(path, data, sha256, ITS_SUM, AGAIN)
    try:
        states: Float32[np.ndarray, "T 6"] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # damaged bytes raise a dozen kinds, from NumPy and Python's tokenizer
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable array ({reason}); restore it or make it again") from error
    if states.dtype != np.float32 or states.shape != (num_frames, len(STATE_COLUMNS)):
        raise UserError(
            f"{path}: holds {states.dtype} {states.shape}, but the index says float32 "
            f"{(num_frames, len(STATE_COLUMNS))}; restore it or make it again"
        )
    return states
