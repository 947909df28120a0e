"""The interface of a data set; `loopcraft.dataset.open_dataset` returns one that has it."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from loopcraft.core.errors import UserError
from loopcraft.dataset.mask_files import Masks


class FrameFiles(Protocol):
    """Videos that are looked up by key."""

    def iterate_frames(self, key: str, start: int, stop: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Yield frames start to stop - 1 of a video."""


class Episodes(FrameFiles, Protocol):
    """Videos and their actions, of which any range can be read."""

    @property
    def keys(self) -> Sequence[str]:
        """The keys of the episodes, in order."""

    @property
    def fingerprint(self) -> str:
        """An identifier of the content: data sets with equal fingerprints hold the same videos."""

    @property
    def world_id(self) -> str | None:
        """The world in which the videos were recorded, if known."""

    def num_frames(self, key: str) -> int:
        """Return the number of frames of an episode."""

    def actions(self, key: str) -> Int64[np.ndarray, " T"]:
        """Return the action that led to each frame."""

    def states(self, key: str) -> Float32[np.ndarray, "T 6"]:
        """Return one row per frame: the action that led to it, x, y, z (blocks), yaw and pitch (degrees)."""

    def frames(self, key: str, start: int, stop: int) -> UInt8[np.ndarray, "T H W 3"]:
        """Return frames start to stop - 1 of an episode."""


class MaskedEpisodes(Episodes, Protocol):
    """Episodes that can have recall masks."""

    @property
    def num_context(self) -> int | None:
        """The number of context frames for which the masks were made, if known."""

    def masks(self, key: str) -> Masks | None:
        """Return the recall masks of an episode; None if it has none."""


def frame_shape(episodes: Episodes) -> tuple[int, int, int]:
    """Return the shape (3, H, W) of a data set's frames."""
    height, width, _ = episodes.frames(episodes.keys[0], 0, 1).shape[1:]
    return 3, height, width


def load_frames(
    episodes: Episodes, keys: Sequence[str], start: int, stop: int
) -> UInt8[np.ndarray, "B T H W 3"]:
    """Return frames start to stop - 1 of several episodes."""
    return np.stack([episodes.frames(key, start, stop) for key in keys])


def load_actions(episodes: Episodes, keys: Sequence[str], start: int, stop: int) -> Int64[np.ndarray, "B T"]:
    """Return the actions of frames start to stop - 1 of several episodes."""
    return np.stack([episodes.actions(key)[start:stop] for key in keys])


def load_poses(
    episodes: Episodes, keys: Sequence[str], start: int, stop: int
) -> Float32[np.ndarray, "B T 5"]:
    """Return the poses (x, y, z, yaw_deg, pitch_deg) of frames start to stop - 1 of several episodes."""
    return np.stack([episodes.states(key)[start:stop, 1:] for key in keys]).astype(np.float32, copy=False)


class FrameStreams:
    """Frames start to stop - 1 of several videos, each decoded once, in order."""

    def __init__(self, files: FrameFiles, keys: Sequence[str], start: int, stop: int) -> None:
        self._streams = [(key, files.iterate_frames(key, start, stop)) for key in keys]

    def take(self, count: int) -> UInt8[np.ndarray, "B T H W 3"]:
        """Return the next `count` frames of each video; raise `UserError` if one ends too early."""
        videos = []
        for key, stream in self._streams:
            frames = list(islice(stream, count))
            if len(frames) < count:
                raise UserError(f"video {key} is shorter than its index or header says; restore it")
            videos.append(np.stack(frames))
        return np.stack(videos)


def to_tensor(frames: UInt8[np.ndarray, "B T H W 3"]) -> UInt8[Tensor, "B T 3 H W"]:
    """Return a copy of the frames in the layout of models: channels first."""
    return torch.from_numpy(frames).permute(0, 1, 4, 2, 3).contiguous()


def to_array(frames: UInt8[Tensor, "B T 3 H W"]) -> UInt8[np.ndarray, "B T H W 3"]:
    """Return the frames in the layout of metrics and files: channels last, on the CPU."""
    array: np.ndarray = frames.permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()
    return array
