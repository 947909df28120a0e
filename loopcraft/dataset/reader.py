"""Open a data set, ours or one in the paper's layout, and read any part of it as NumPy arrays.

    dataset = open_dataset("loopcraft-test")
    frames = dataset.frames("000/003", 256, 273)     # uint8 (17, H, W, 3), exactly those frames
    states = dataset.states("000/003")               # float32 (T, 6): action, x, y, z, yaw, pitch

So is one on the Hugging Face Hub, `open_dataset("hf://ORG/NAME")`: episodes are fetched when first used; and
one in any file system that fsspec knows, `open_dataset("s3://BUCKET/FOLDER")`: what is read is fetched.

Nothing large is kept in memory, so one object serves many processes. For torch views see `torch_views`.
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
"""A video is compared with its checksum once, before the first window of a fourth of it or more is read: to
hash it takes a hundredth of the time that decoding it takes."""

_OF_FILES = ("key", "frames", "mp4_sha256", "npy_sha256")


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
    """A folder with an index.json and its episodes, which may come from a `source`; see `open_dataset`.

    It is a mapping: `len(data)`, `key in data`, `for key in data` in the order of `data.keys`, `data[key]`.
    Whatever takes a key raises `UserError` for one that the index lacks.
    """

    def __init__(self, root: AnyPath, source: Source | None = None) -> None:
        self.root = root
        """The folder, or its address."""
        self._source = source
        self._index = read_index(root)
        self._checked: set[AnyPath] = set()
        self.keys = self._index.keys
        """The names of the episodes, sorted."""

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._index.place(key) is not None

    def __getitem__(self, key: str) -> Episode:
        """All of one episode."""
        return Episode(key=key, frames=self.frames(key), states=self.states(key))

    def num_frames(self, key: str) -> int:
        """The length of an episode."""
        return int(self._index.frames[self._place(key)])

    def _place(self, key: object) -> int:
        """Where a key stands in the index; raises `UserError` for one that it lacks."""
        place = self._index.place(key) if isinstance(key, str) else None
        if place is None:
            raise UserError(
                f"{self.root}: no episode {key!r}; there are {len(self.keys)}, like {self.keys[0]!r}"
            )
        return place

    def video_path(self, key: str) -> AnyPath:
        """Where the episode's video lies."""
        return self._fetched(key, ".mp4")

    def states_path(self, key: str) -> AnyPath:
        """Where the episode's states lie."""
        return self._fetched(key, ".npy")

    def masks_path(self, key: str) -> AnyPath:
        """Where the episode's recall masks lie, if it has any."""
        self._fetched(key, ".npy")  # they come with it
        return self.root / f"{key}{SUFFIX}"

    def masks(self, key: str) -> Masks | None:
        """The episode's recall masks by name, each (T, H, W); None if it has none.

        `seen` bool: the context showed the surface that the pixel shows; `age` uint16: frames since it last
        did, 0 if never or if the surface has been in sight ever since; `sky` bool: no surface is there. H and
        W may be fractions of the frame's. `python -m loopcraft.masks` makes them.
        """
        path = self.masks_path(key)
        sha256 = self.recorded_sha256(path)
        if sha256 is None and not path.exists():
            return None
        return read_masks(path, self.num_frames(key), self.num_pixels(key), sha256)

    def num_pixels(self, key: str) -> int:
        """Height times width of an episode's frames, as far as manifest or video tell; else the most."""
        self._place(key)
        if self.manifest is not None:
            return int(self.manifest["generator"]["resolution"]) ** 2
        try:
            _, height, width, _ = self.frames(key, 0, 1).shape
        except (UserError, OSError):
            return MOST_PIXELS**2
        return int(height * width)

    def _fetched(self, key: str, suffix: str) -> AnyPath:
        """Where a file of an episode lies, once it is there; raises `UserError` for a key of none."""
        self._place(key)
        path = self.root / f"{key}{suffix}"
        if self._source is not None and not path.exists():
            self._source.fetch(key)
        return path

    def states(self, key: str) -> Float32[np.ndarray, "T 6"]:
        """Rows of action, x, y, z (blocks), yaw, pitch (degrees)."""
        path = self.states_path(key)
        return read_states(path, self.num_frames(key), self.recorded_sha256(path))

    def actions(self, key: str) -> Int64[np.ndarray, " T"]:
        """The action that made each frame; raises `UserError` where the file holds anything else."""
        return actions_of(self.states(key), self.states_path(key))

    def frames(self, key: str, start: int = 0, stop: int | None = None) -> UInt8[np.ndarray, "T H W 3"]:
        """Frames `start` to `stop` - 1, exact; the whole episode by default."""
        return read_frames(*self._window(key, start, stop))

    def iterate_frames(
        self, key: str, start: int = 0, stop: int | None = None
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The same frames one at a time, for episodes that should not lie in memory whole."""
        return iterate_frames(*self._window(key, start, stop))

    def _window(self, key: str, start: int, stop: int | None) -> tuple[AnyPath, int, int]:
        """The video and the frames to read, compared with its checksum first unless they are few."""
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
        """The content of dataset.json; None in the paper's layout."""
        return read_manifest(self.root) if self._has(MANIFEST) else None

    def _has(self, name: str) -> bool:
        """Whether the folder holds a file, or should by its own SHA256SUMS."""
        return name in self.sums or (self.root / name).exists()

    @property
    def world_id(self) -> str | None:
        """The world that the episodes were played in, where the data set says so."""
        return None if self.manifest is None else str(self.manifest["world"])

    @property
    def num_context(self) -> int | None:
        """Frames that count as context in masks and revisit statistics, where the data set says so."""
        return None if self.manifest is None else int(self.manifest["num_context"])

    @cached_property
    def metadata(self) -> "pd.DataFrame":
        """A row an episode, by key: episodes.parquet where it exists, else the frame counts alone."""
        import pandas as pd  # slow to import

        if self._has(EPISODES):
            table: pd.DataFrame = read_table(self.root).to_pandas()
            return table.set_index("key", drop=False).rename_axis(None)
        return pd.DataFrame({"key": self.keys, "frames": self._index.frames}, index=list(self.keys))

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

    @cached_property
    def sums(self) -> Sums:
        """The checksums of files that episodes.parquet has none of, as SHA256SUMS gives them."""
        return read_sums(self.root)

    def recorded_sha256(self, path: AnyPath) -> str | None:
        """The checksum of a file as SHA256SUMS or, of a video or states, episodes.parquet gives it."""
        name = path.relative_to(self.root).as_posix()
        if name in self.sums:
            return self.sums[name]
        place, column = self._index.place(name.removesuffix(path.suffix)), f"{path.suffix[1:]}_sha256"
        known = self._known
        if known is None or column not in known.column_names or place is None:
            return None
        is_there = known["key"][place].is_valid
        return str(known[column][place]) if is_there else None

    @cached_property
    def _known(self) -> pa.Table | None:
        """Of each episode, in the order of `keys`, what the table says of its files; a row of nulls if none.

        It takes 140 bytes an episode, a tenth of what `metadata` takes.
        """
        if not self._has(EPISODES):
            return None
        table, keys = read_table(self.root, _OF_FILES), pa.array(self.keys)
        is_same = table["key"].type == keys.type and table["key"].combine_chunks().equals(keys)
        return table if is_same else table.take(rows_of_keys(table, keys))


def open_dataset(path: str | AnyPath) -> LoopcraftDataset:
    """Open the data set in `path`, or in the one folder below it that holds an index.json, or on the Hub.

    `path` may be an address: hf://ORG/NAME[@REVISION][/CONFIGURATION], or that of a folder in any file system
    that fsspec knows, as s3://BUCKET/FOLDER: of a video those bytes are fetched that a window needs. Raises
    `UserError` where there is no data set, several, or an index or SHA256SUMS that cannot be right.
    """
    if str(path).startswith("hf:/"):  # a Path has only one of the two slashes left
        from loopcraft.dataset.mirror import open_mirror

        return LoopcraftDataset(*open_mirror(str(path)))
    root = path_at(path)
    if not isinstance(root, UrlPath) and not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder that holds {INDEX}")
    if (root / INDEX).exists():
        return _complete(LoopcraftDataset(root))
    inside = sorted(str(folder) for folder in root.iterdir() if (folder / INDEX).exists())
    if len(inside) == 1:
        return _complete(LoopcraftDataset(path_at(inside[0])))
    if inside:
        raise UserError(f"{root}: holds several data sets; choose {' or '.join(inside)}")
    if (root / MANIFEST).exists():
        raise UserError(f"{root}: is unfinished (no {INDEX}); run the same loopcraft.generate command again")
    raise UserError(f"{root}: holds no {INDEX}; give the folder of a data set")


def _complete(dataset: LoopcraftDataset) -> LoopcraftDataset:
    """The same data set; raises `UserError` where its folder lacks a file that SHA256SUMS names.

    Such a name may be a mistyped one, whose file would be read unchecked. Table, manifest and the episodes'
    files are missed when they are read.
    """
    names = [name for name in dataset.sums if "/" not in name and name not in (MANIFEST, EPISODES)]
    missing = sorted(set(names) - existing(dataset.root, names))
    if missing:
        raise UserError(
            f"{dataset.root / missing[0]}: missing, though {SUMS} names it; restore it, or take its line out"
        )
    return dataset


open = open_dataset  # loopcraft.dataset.open(...), as of gzip or wave
"""The same as `open_dataset`, for those who import the module."""
