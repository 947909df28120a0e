"""What the benchmark asks of a data set; `loopcraft.dataset.open_dataset` gives one."""

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
    """Videos found by key."""

    def iterate_frames(self, key: str, start: int, stop: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The frames start to stop - 1 of a video, one at a time."""


class Episodes(FrameFiles, Protocol):
    """Videos with their actions, read in any window."""

    @property
    def keys(self) -> Sequence[str]:
        """The key of every episode, in order."""

    @property
    def fingerprint(self) -> str:
        """What identifies the data: two sets with one fingerprint hold the same videos."""

    @property
    def world_id(self) -> str | None:
        """The world in which the videos were recorded, where the set says so."""

    def num_frames(self, key: str) -> int:
        """The length of an episode."""

    def actions(self, key: str) -> Int64[np.ndarray, " T"]:
        """The action that made each frame."""

    def states(self, key: str) -> Float32[np.ndarray, "T 6"]:
        """Of each frame the action that made it, and x, y, z (blocks), yaw and pitch (degrees) in it."""

    def frames(self, key: str, start: int, stop: int) -> UInt8[np.ndarray, "T H W 3"]:
        """The frames start to stop - 1 of an episode."""


class MaskedEpisodes(Episodes, Protocol):
    """Episodes that may have recall masks."""

    @property
    def num_context(self) -> int | None:
        """The context for which the masks were made, where the set says so."""

    def masks(self, key: str) -> Masks | None:
        """The recall masks of an episode, where it has any."""


def frame_shape(episodes: Episodes) -> tuple[int, int, int]:
    """The shape (3, H, W) of the set's frames."""
    height, width, _ = episodes.frames(episodes.keys[0], 0, 1).shape[1:]
    return 3, height, width


def load_frames(
    episodes: Episodes, keys: Sequence[str], start: int, stop: int
) -> UInt8[np.ndarray, "B T H W 3"]:
    """The same stretch of several episodes."""
    return np.stack([episodes.frames(key, start, stop) for key in keys])


def load_actions(episodes: Episodes, keys: Sequence[str], start: int, stop: int) -> Int64[np.ndarray, "B T"]:
    """The actions of the same stretch of several episodes."""
    return np.stack([episodes.actions(key)[start:stop] for key in keys])


def load_poses(
    episodes: Episodes, keys: Sequence[str], start: int, stop: int
) -> Float32[np.ndarray, "B T 5"]:
    """The poses (x, y, z, yaw_deg, pitch_deg) of the same stretch of several episodes."""
    return np.stack([episodes.states(key)[start:stop, 1:] for key in keys]).astype(np.float32, copy=False)


class FrameStreams:
    """The same stretch of several videos, decoded once from front to back."""

    def __init__(self, files: FrameFiles, keys: Sequence[str], start: int, stop: int) -> None:
        self._streams = [(key, files.iterate_frames(key, start, stop)) for key in keys]

    def take(self, count: int) -> UInt8[np.ndarray, "B T H W 3"]:
        """The next `count` frames of each; raises `UserError` where a video ends before them."""
        return np.stack([self._take_one(key, stream, count) for key, stream in self._streams])

    def _take_one(
        self, key: str, stream: Iterator[UInt8[np.ndarray, "H W 3"]], count: int
    ) -> UInt8[np.ndarray, "T H W 3"]:
        frames = list(islice(stream, count))
        if len(frames) < count:
            raise UserError(f"video {key} ends before the frame that its index or header names; restore it")
        return np.stack(frames)


def to_tensor(frames: UInt8[np.ndarray, "B T H W 3"]) -> UInt8[Tensor, "B T 3 H W"]:
    """Frames as models see them: channels first, in memory of their own."""
    return torch.from_numpy(frames).permute(0, 1, 4, 2, 3).contiguous()


def to_array(frames: UInt8[Tensor, "B T 3 H W"]) -> UInt8[np.ndarray, "B T H W 3"]:
    """Frames as metrics and files see them: channels last, on the CPU."""
    array: np.ndarray = frames.permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()
    return array
