"""Reader of data sets, in Loopcraft's or the paper's layout, as NumPy arrays.

    dataset = open_dataset("loopcraft-test")
    frames = dataset.frames("000/003", 256, 273)     # uint8 (17, H, W, 3), exactly those frames
    states = dataset.states("000/003")               # float32 (T, 6): action, x, y, z, yaw, pitch

A data set can also be on the Hugging Face Hub, `open_dataset("hf://ORG/NAME")`, where each episode is fetched
on first use, or in any file system that fsspec supports, `open_dataset("s3://BUCKET/FOLDER")`, where only the
bytes that are read are fetched.

Nothing large is kept in memory, so one object serves many processes. For torch see `torch_views`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64, UInt8

from loopcraft.core.checksums import SUMS, Sums, read_sums
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from loopcraft.core.urls import AnyPath, UrlPath, existing, path_at
from loopcraft.dataset.episode_files import (
    AGAIN,
    ITS_SUM,
    fingerprint,
    read_index,
    read_states,
    read_table,
    rows_of_keys,
)
from loopcraft.dataset.layout import EPISODES, INDEX, MANIFEST
from loopcraft.dataset.manifest import MOST_PIXELS, read_manifest
from loopcraft.dataset.mask_files import SUFFIX, Masks, read_masks
from loopcraft.video.h264 import iterate_frames, read_frames
from loopcraft.walks.actions import actions_of

if TYPE_CHECKING:
    import pandas as pd

SHORT_WINDOW = 4
"""A video's checksum is verified once, before the first window of at least a fourth of it is read: hashing
takes a hundredth of the time of decoding."""

_FILE_COLUMNS = ("key", "frames", "mp4_sha256", "npy_sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One whole episode: row t of `states` holds the action that made frame t and the pose after it."""

    key: str
    frames: UInt8[np.ndarray, "T H W 3"]
    states: Float32[np.ndarray, "T 6"]


class Source(Protocol):
    """Source of the episodes that a data set's folder lacks."""

    def fetch(self, key: str) -> None:
        """Put an episode's files into the folder."""


class LoopcraftDataset:
    """A data set: a folder with an index.json and episodes, fetched from a `source` if given.

    Use `open_dataset` to open one. It supports `len(data)`, `key in data`, `for key in data` (in the order of
    `data.keys`) and `data[key]`. All methods that take a key raise `UserError` if the index lacks it.
    """

    def __init__(self, root: AnyPath, source: Source | None = None) -> None:
        self.root = root
        """The folder or its address."""
        self._source = source
        self._index = read_index(root)
        self._checked: set[AnyPath] = set()
        self.keys = self._index.keys
        """Keys of the episodes, sorted."""

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._index.find(key) is not None

    def __getitem__(self, key: str) -> Episode:
        """Return one whole episode."""
        return Episode(key=key, frames=self.frames(key), states=self.states(key))

    def num_frames(self, key: str) -> int:
        """Return the number of frames of an episode."""
        return int(self._index.frames[self._position(key)])

    def _position(self, key: object) -> int:
        """Return the position of a key in the index; raise `UserError` if it is absent."""
        position = self._index.find(key) if isinstance(key, str) else None
        if position is None:
            raise UserError(
                f"{self.root}: no episode {key!r}; there are {len(self.keys)}, like {self.keys[0]!r}"
            )
        return position

    def video_path(self, key: str) -> AnyPath:
        """Return the path of an episode's video."""
        return self._fetch(key, ".mp4")

    def states_path(self, key: str) -> AnyPath:
        """Return the path of an episode's states."""
        return self._fetch(key, ".npy")

    def masks_path(self, key: str) -> AnyPath:
        """Return the path of an episode's recall masks, which may not exist."""
        self._fetch(key, ".npy")  # fetches the masks as well
        return self.root / f"{key}{SUFFIX}"

    def masks(self, key: str) -> Masks | None:
        """Return an episode's recall masks by name, each (T, H, W), or None if it has none.

        `seen` bool: the context showed the surface that the pixel shows; `age` uint16: frames since it last
        did, 0 if never or if it has been in sight ever since; `sky` bool: the pixel shows no surface. H and W
        may be fractions of the frame's. `python -m loopcraft.masks` makes the masks.
        """
        path = self.masks_path(key)
        sha256 = self.recorded_sha256(path)
        if sha256 is None and not path.exists():
            return None
        return read_masks(path, self.num_frames(key), self.num_pixels(key), sha256)

    def num_pixels(self, key: str) -> int:
        """Return height times width of an episode's frames, by manifest or video, or else the maximum."""
        self._position(key)
        if self.manifest is not None:
            return int(self.manifest["generator"]["resolution"]) ** 2
        try:
            _, height, width, _ = self.frames(key, 0, 1).shape
        except (UserError, OSError):
            return MOST_PIXELS**2
        return int(height * width)

    def _fetch(self, key: str, suffix: str) -> AnyPath:
        """Return the path of an episode's file, fetching it from the source if it is missing."""
        self._position(key)
        path = self.root / f"{key}{suffix}"
        if self._source is not None and not path.exists():
            self._source.fetch(key)
        return path

    def states(self, key: str) -> Float32[np.ndarray, "T 6"]:
        """Return an episode's states: rows of action, x, y, z (blocks), yaw, pitch (degrees)."""
        path = self.states_path(key)
        return read_states(path, self.num_frames(key), self.recorded_sha256(path))

    def actions(self, key: str) -> Int64[np.ndarray, " T"]:
        """Return the action that made each frame; raise `UserError` if one is not a valid action."""
        return actions_of(self.states(key), self.states_path(key))

    def frames(self, key: str, start: int = 0, stop: int | None = None) -> UInt8[np.ndarray, "T H W 3"]:
        """Return exactly frames `start` to `stop` - 1; the whole episode by default."""
        return read_frames(*self._window(key, start, stop))

    def iterate_frames(
        self, key: str, start: int = 0, stop: int | None = None
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Yield the same frames as `frames` one at a time, to save memory."""
        return iterate_frames(*self._window(key, start, stop))

    def _window(self, key: str, start: int, stop: int | None) -> tuple[AnyPath, int, int]:
        """Return the video and the frames to read; verify its checksum first unless they are few."""
        path, length = self.video_path(key), self.num_frames(key)
        end = length if stop is None else stop
        if not 0 <= start < end <= length:
            raise UserError(f"{path}: no window {start} to {end}; choose within its {length} frames")
        if SHORT_WINDOW * (end - start) >= length:
            self._check_once(path)
        return path, start, end

    def _check_once(self, path: AnyPath) -> None:
        if path in self._checked:
            return
        sha256 = self.recorded_sha256(path)
        if sha256 is not None and file_sha256(path) != sha256:
            raise UserError(f"{path}: does not match {ITS_SUM}; {AGAIN}")
        self._checked.add(path)

    @cached_property
    def manifest(self) -> dict[str, Any] | None:
        """Content of dataset.json; None in the paper's layout."""
        return read_manifest(self.root) if self._has(MANIFEST) else None

    def _has(self, name: str) -> bool:
        """Return whether the folder holds a file, or should according to its SHA256SUMS."""
        return name in self.sums or (self.root / name).exists()

    @property
    def world_id(self) -> str | None:
        """Id of the world that the episodes were played in, None if unknown."""
        return None if self.manifest is None else str(self.manifest["world"])

    @property
    def num_context(self) -> int | None:
        """Number of context frames in masks and revisit statistics, None if unknown."""
        return None if self.manifest is None else int(self.manifest["num_context"])

    @cached_property
    def metadata(self) -> "pd.DataFrame":
        """One row per episode, indexed by key: episodes.parquet if it exists, else only frame counts."""
        import pandas as pd  # slow to import

        if self._has(EPISODES):
            table: pd.DataFrame = read_table(self.root).to_pandas()
            return table.set_index("key", drop=False).rename_axis(None)
        return pd.DataFrame({"key": self.keys, "frames": self._index.frames}, index=list(self.keys))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every episode's key, length and file checksums: the same for the same content.

        Without episodes.parquet, every file is read to compute it.
        """
        return fingerprint(
            (
                key,
                self.num_frames(key),
                *(
                    self.recorded_sha256(self.root / f"{key}{suffix}")
                    or file_sha256(self._fetch(key, suffix))
                    for suffix in (".mp4", ".npy")
                ),
            )
            for key in self.keys
        )

    @cached_property
    def sums(self) -> Sums:
        """SHA-256 by file name from SHA256SUMS, for files that episodes.parquet does not cover."""
        return read_sums(self.root)

    def recorded_sha256(self, path: AnyPath) -> str | None:
        """Return a file's SHA-256 from SHA256SUMS or episodes.parquet (video, states), or None."""
        name = path.relative_to(self.root).as_posix()
        if name in self.sums:
            return self.sums[name]
        position, column = self._index.find(name.removesuffix(path.suffix)), f"{path.suffix[1:]}_sha256"
        table = self._file_table
        if table is None or column not in table.column_names or position is None:
            return None
        return str(table[column][position]) if table["key"][position].is_valid else None

    @cached_property
    def _file_table(self) -> pa.Table | None:
        """The `_FILE_COLUMNS` of episodes.parquet in the order of `keys`; a row of nulls for a missing key.

        It takes 140 bytes per episode, a tenth of `metadata`.
        """
        if not self._has(EPISODES):
            return None
        table, keys = read_table(self.root, _FILE_COLUMNS), pa.array(self.keys)
        is_same = table["key"].type == keys.type and table["key"].combine_chunks().equals(keys)
        return table if is_same else table.take(rows_of_keys(table, keys))


def open_dataset(path: str | AnyPath) -> LoopcraftDataset:
    """Open the data set at `path`: a folder, its only subfolder with an index.json, or an address.

    An address is hf://ORG/NAME[@REVISION][/CONFIGURATION] on the Hub, or a folder in any file system that
    fsspec supports, as in s3://BUCKET/FOLDER: only the bytes of a video that a window needs are fetched.
    Raises `UserError` if there is no data set or several, or if the index or SHA256SUMS is invalid.
    """
    if str(path).startswith("hf:/"):  # Path collapses the two slashes into one
        from loopcraft.dataset.mirror import open_mirror

        return LoopcraftDataset(*open_mirror(str(path)))
    root = path_at(path)
    if not isinstance(root, UrlPath) and not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds {INDEX}")
    if (root / INDEX).exists():
        return _complete(LoopcraftDataset(root))
    folders = sorted(str(folder) for folder in root.iterdir() if (folder / INDEX).exists())
    if len(folders) == 1:
        return _complete(LoopcraftDataset(path_at(folders[0])))
    if folders:
        raise UserError(f"{root}: holds several data sets; choose {' or '.join(folders)}")
    if (root / MANIFEST).exists():
        raise UserError(f"{root}: is unfinished (no {INDEX}); run the same loopcraft.generate command again")
    raise UserError(f"{root}: holds no {INDEX}; give the folder of a data set")


def _complete(dataset: LoopcraftDataset) -> LoopcraftDataset:
    """Return the same data set; raise `UserError` if its folder lacks a file that SHA256SUMS lists.

    The name may be misspelled, and the real file would then be read unchecked. The table, the manifest and
    episode files are not checked here: reading them fails if they are missing.
    """
    names = [name for name in dataset.sums if "/" not in name and name not in (MANIFEST, EPISODES)]
    missing = sorted(set(names) - existing(dataset.root, names))
    if missing:
        raise UserError(
            f"{dataset.root / missing[0]}: missing, but {SUMS} lists it; restore it or delete its line"
        )
    return dataset


open = open_dataset
"""Alias of `open_dataset`, so that `loopcraft.dataset.open(...)` reads like `gzip.open`."""
