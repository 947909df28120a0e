"""Open a data set, ours or one in the paper's layout, and read any part of it as NumPy arrays.

    dataset = open_dataset("loopcraft-test")
    frames = dataset.frames("000/003", 256, 273)     # uint8 (17, H, W, 3), exactly those frames
    states = dataset.states("000/003")               # float32 (T, 6): action, x, y, z, yaw, pitch

So is one on the Hugging Face Hub, `open_dataset("hf://ORG/NAME")`: episodes are fetched when first used.

Nothing large is kept in memory, so one object serves many processes. For torch views see `torch_views`.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int64, UInt8

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, is_key, read_json
from loopcraft.dataset.layout import EPISODES, INDEX, MANIFEST, STATE_COLUMNS
from loopcraft.dataset.manifest import MOST_PIXELS, read_manifest
from loopcraft.dataset.mask_files import SUFFIX, Masks, read_masks
from loopcraft.dataset.parquet_damage import plain_damage
from loopcraft.video.h264 import iterate_frames, read_frames
from loopcraft.walks.actions import actions_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One whole episode: row t of `states` holds the action that made frame t and the pose after it."""

    key: str
    frames: UInt8[np.ndarray, "T H W 3"]
    states: Float32[np.ndarray, "T 6"]


class Source(Protocol):
    """Where the files of a data set that is not all here come from."""

    def fetch(self, key: str) -> None:
        """Put video and states of an episode in their place."""


class LoopcraftDataset:
    """A folder with an index.json and its episodes, which may come from a `source`; see `open_dataset`."""

    def __init__(self, root: Path, source: Source | None = None) -> None:
        self.root = root
        self._source = source
        self._num_frames = read_index(root)
        self.keys = tuple(self._num_frames)
        """The names of the episodes, sorted."""

    def num_frames(self, key: str) -> int:
        """The length of an episode. Raises `UserError` for a key that the index lacks."""
        if key not in self._num_frames:
            raise UserError(
                f"{self.root}: no episode {key!r}; there are {len(self.keys)}, like {self.keys[0]!r}"
            )
        return self._num_frames[key]

    def video_path(self, key: str) -> Path:
        """Where the episode's video lies."""
        return self._fetched(key, ".mp4")

    def states_path(self, key: str) -> Path:
        """Where the episode's states lie."""
        return self._fetched(key, ".npy")

    def masks_path(self, key: str) -> Path:
        """Where the episode's recall masks lie, if it has any."""
        self._fetched(key, ".npy")  # they come with it
        return self.root / f"{key}{SUFFIX}"

    def masks(self, key: str) -> Masks | None:
        """The episode's recall masks (see masks.py); None if it has none."""
        path = self.masks_path(key)
        return read_masks(path, self.num_frames(key), self.num_pixels(key)) if path.exists() else None

    def num_pixels(self, key: str) -> int:
        """Height times width of an episode's frames, as far as manifest or video tell; else the most."""
        if self.manifest is not None:
            return int(self.manifest["generator"]["resolution"]) ** 2
        try:
            _, height, width, _ = self.frames(key, 0, 1).shape
        except (UserError, OSError):
            return MOST_PIXELS**2
        return int(height * width)

    def _fetched(self, key: str, suffix: str) -> Path:
        path = self.root / f"{key}{suffix}"
        if self._source is not None and self.num_frames(key) and not path.exists():
            self._source.fetch(key)
        return path

    def states(self, key: str) -> Float32[np.ndarray, "T 6"]:
        """Rows of action, x, y, z (blocks), yaw, pitch (degrees)."""
        return read_states(self.states_path(key), self.num_frames(key))

    def actions(self, key: str) -> Int64[np.ndarray, " T"]:
        """The action that made each frame; raises `UserError` where the file holds anything else."""
        return actions_of(self.states(key), self.states_path(key))

    def frames(self, key: str, start: int = 0, stop: int | None = None) -> UInt8[np.ndarray, "T H W 3"]:
        """Frames `start` to `stop` - 1, exact; the whole episode by default."""
        return read_frames(self.video_path(key), *self._window(key, start, stop))

    def iterate_frames(
        self, key: str, start: int = 0, stop: int | None = None
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The same frames one at a time, for episodes that should not lie in memory whole."""
        return iterate_frames(self.video_path(key), *self._window(key, start, stop))

    def episode(self, key: str) -> Episode:
        """All of one episode."""
        return Episode(key=key, frames=self.frames(key), states=self.states(key))

    def _window(self, key: str, start: int, stop: int | None) -> tuple[int, int]:
        length = self.num_frames(key)
        end = length if stop is None else stop
        if not 0 <= start < end <= length:
            raise UserError(
                f"{self.video_path(key)}: no window {start} to {end}; choose within its {length} frames"
            )
        return start, end

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """The content of dataset.json; None in the paper's layout."""
        return read_manifest(self.root) if (self.root / MANIFEST).exists() else None

    @property
    def world_id(self) -> str | None:
        """The world that the episodes were played in, where the data set says so."""
        return None if self.manifest is None else str(self.manifest["world"])

    @property
    def num_context(self) -> int | None:
        """Frames that count as context in masks and revisit statistics, where the data set says so."""
        return None if self.manifest is None else int(self.manifest["num_context"])

    @cached_property
    def metadata(self) -> pd.DataFrame:
        """A row an episode, by key: episodes.parquet where it exists, else the frame counts alone."""
        if (self.root / EPISODES).exists():
            return read_episodes(self.root).set_index("key", drop=False).rename_axis(None)
        return pd.DataFrame(
            {"key": self.keys, "frames": list(self._num_frames.values())}, index=list(self.keys)
        )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every episode's key, length and checksums: the same for the same content.

        Without episodes.parquet every file is read for it.
        """
        return fingerprint(
            (
                key,
                self.num_frames(key),
                *(
                    self.recorded_sha256(self.root / f"{key}{suffix}")
                    or file_sha256(self._fetched(key, suffix))
                    for suffix in (".mp4", ".npy")
                ),
            )
            for key in self.keys
        )

    def recorded_sha256(self, path: Path) -> str | None:
        """The checksum of a video or states file as episodes.parquet gives it, if it does."""
        key, column = path.relative_to(self.root).with_suffix("").as_posix(), f"{path.suffix[1:]}_sha256"
        if column not in self.metadata or key not in self.metadata.index:
            return None
        return str(self.metadata.at[key, column])


def open_dataset(path: str | Path) -> LoopcraftDataset:
    """Open the data set in `path`, or in the one folder below it that holds an index.json, or on the Hub.

    An address is hf://ORG/NAME[@REVISION][/CONFIGURATION]. Raises `UserError` where there is no data set,
    several, or an index that cannot be right.
    """
    if str(path).startswith("hf:/"):  # a Path has only one of the two slashes left
        from loopcraft.dataset.mirror import open_mirror

        return LoopcraftDataset(*open_mirror(str(path)))
    root = Path(path)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds {INDEX}")
    if (root / INDEX).exists():
        return LoopcraftDataset(root)
    inside = sorted(found.parent for found in root.glob(f"*/{INDEX}"))
    if len(inside) == 1:
        return LoopcraftDataset(inside[0])
    if inside:
        raise UserError(
            f"{root}: holds several data sets; choose {' or '.join(str(folder) for folder in inside)}"
        )
    if (root / MANIFEST).exists():
        raise UserError(f"{root}: is unfinished (no {INDEX}); run the same loopcraft.generate command again")
    raise UserError(f"{root}: holds no {INDEX}; give the folder of a data set")


open = open_dataset  # loopcraft.dataset.open(...), as of gzip or wave
"""The same as `open_dataset`, for those who import the module."""


def fingerprint(episodes: Iterable[tuple[str | int, ...]]) -> str:
    """SHA-256 over (key, frames, checksum of the video, checksum of the states) of episodes sorted by key."""
    digest = hashlib.sha256()
    for episode in episodes:
        digest.update(f"{' '.join(str(part) for part in episode)}\n".encode())
    return digest.hexdigest()


def read_index(root: Path) -> dict[str, int]:
    """The frames of each episode, sorted by key. Raises `UserError` where the file cannot be an index."""
    path = root / INDEX
    index = read_json(path)
    if not isinstance(index, dict) or not index:
        raise UserError(f"{path}: names no episodes; restore it or make the data set again")
    for key, frames in index.items():
        if not is_key(key) or not isinstance(frames, int) or isinstance(frames, bool) or frames < 1:
            raise UserError(
                f"{path}: no valid entry {key!r}: {frames!r}; restore it or make the data set again"
            )
    return dict(sorted(index.items()))


def read_episodes(root: Path) -> pd.DataFrame:
    """The table of episodes. Raises `UserError` where the file is damaged."""
    path = root / EPISODES
    with plain_damage(f"{path}: not a readable table", "restore it"):
        table = pd.read_parquet(path)
        keys, frames = table["key"], table["frames"]
        if not keys.is_unique or not all(isinstance(key, str) for key in keys):
            raise ValueError("its keys are not names of episodes, each once")
        if frames.dtype.kind not in "iu":
            raise ValueError("its frames are no numbers of frames")
    return table


def _unreadable(path: Path, what: str, error: Exception) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"{path}: not a readable {what} ({reason}); restore it or make it again")


def read_states(path: Path, num_frames: int) -> Float32[np.ndarray, "T 6"]:
    """An episode's states. Raises `UserError` where the file is damaged or of another length."""
    data = path.read_bytes()
    try:
        states: Float32[np.ndarray, "T 6"] = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # of NumPy or Python's tokenizer: damaged bytes raise a dozen kinds
        raise _unreadable(path, "array", error) from error
    if states.dtype != np.float32 or states.shape != (num_frames, len(STATE_COLUMNS)):
        raise UserError(
            f"{path}: holds {states.dtype} {states.shape}, but the index says float32 "
            f"{(num_frames, len(STATE_COLUMNS))}; restore it or make it again"
        )
    return states
