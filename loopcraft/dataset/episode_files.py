"""The files of a data set, each read whole, compared with its checksum where it has one, and checked."""

import hashlib
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float32

from loopcraft.core.checksums import add_sums, read_bytes, read_json, require_sha256, sums_of
from loopcraft.core.errors import UserError
from loopcraft.core.files import encode_json, is_key, whole_file
from loopcraft.dataset.layout import EPISODES, INDEX, MANIFEST, STATE_COLUMNS
from loopcraft.dataset.parquet_damage import plain_damage, read_whole_table

ITS_SUM = "its SHA-256"
AGAIN = "delete it and make it again"


def fingerprint(episodes: Iterable[tuple[str | int, ...]]) -> str:
    """SHA-256 over (key, frames, checksum of the video, checksum of the states) of episodes sorted by key."""
    digest = hashlib.sha256()
    for episode in episodes:
        digest.update(f"{' '.join(str(part) for part in episode)}\n".encode())
    return digest.hexdigest()


def read_index(root: Path) -> dict[str, int]:
    """The frames of each episode, sorted by key. Raises `UserError` where the file cannot be an index."""
    path = root / INDEX
    index = read_json(root, INDEX)
    if not isinstance(index, dict) or not index:
        raise UserError(f"{path}: names no episodes; restore it or make the data set again")
    for key, frames in index.items():
        if not is_key(key) or not isinstance(frames, int) or isinstance(frames, bool) or frames < 1:
            raise UserError(
                f"{path}: no valid entry {key!r}: {frames!r}; restore it or make the data set again"
            )
    return dict(sorted(index.items()))


def write_index(root: Path, frames: Mapping[str, int]) -> None:
    """Say that a data set is finished: write the checksums of index, table and manifest, then the index."""
    content = encode_json(frames)
    names = [name for name in (MANIFEST, EPISODES) if (root / name).exists()]
    add_sums(root, {**sums_of(root, names), INDEX: hashlib.sha256(content).hexdigest()})
    with whole_file(root / INDEX) as temporary:
        temporary.write_bytes(content)


def read_episodes(root: Path) -> pd.DataFrame:
    """The table of episodes. Raises `UserError` where the file is damaged."""
    path = root / EPISODES
    content = read_bytes(root, EPISODES)
    with plain_damage(f"{path}: not a readable table", "restore it"):
        table: pd.DataFrame = read_whole_table(content).to_pandas()
        keys, frames = table["key"], table["frames"]
        if not keys.is_unique or not all(isinstance(key, str) for key in keys):
            raise ValueError("its keys are not names of episodes, each once")
        if frames.dtype.kind not in "iu":
            raise ValueError("its frames are no numbers of frames")
    return table


def read_states(path: Path, num_frames: int, sha256: str | None = None) -> Float32[np.ndarray, "T 6"]:
    """An episode's states. Raises `UserError` where the file is damaged or of another length."""
    data = path.read_bytes()
    require_sha256(path, data, sha256, ITS_SUM, AGAIN)
    try:
        states: Float32[np.ndarray, "T 6"] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # of NumPy or Python's tokenizer: damaged bytes raise a dozen kinds
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable array ({reason}); restore it or make it again") from error
    if states.dtype != np.float32 or states.shape != (num_frames, len(STATE_COLUMNS)):
        raise UserError(
            f"{path}: holds {states.dtype} {states.shape}, but the index says float32 "
            f"{(num_frames, len(STATE_COLUMNS))}; restore it or make it again"
        )
    return states
