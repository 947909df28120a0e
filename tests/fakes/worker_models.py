"""Models for runs with several workers, whose processes import them from here."""

import ctypes
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tests.fakes.benchmark_data import SIDE, make_frames

SECOND = "000/001"
"""The video on which models fail, in the data set of `write_dataset`."""
CHUNK = 48


class Noise:
    """The last frame plus noise from the video's seed: a stand-in for any sampling model."""

    name, frame_shape, max_context = "noise", (3, SIDE, SIDE), 1

    def __init__(self, marker: str = "/") -> None:
        self.marker = Path(marker)
        """A file that exists once the failure has happened."""

    def act(self) -> None:
        """A hook that is called on the second video."""

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Yield the newest frame with noise."""
        second = torch.from_numpy(make_frames(1)[63]).permute(2, 0, 1)
        noise = [torch.Generator().manual_seed(seed) for seed in seeds]
        for start in range(context.shape[1], actions.shape[1], CHUNK):
            if start > context.shape[1] and any(torch.equal(video[-1], second) for video in context):
                self.act()
            drawn = torch.stack([torch.rand(CHUNK, 3, SIDE, SIDE, generator=rng) for rng in noise])
            yield 0.9 * context[:, -1:] / 255 + 0.1 * drawn


class KilledOnce(Noise):
    """Its process is killed the first time."""

    def act(self) -> None:
        """Leave the marker and be killed."""
        if not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class FailingUnless(Noise):
    """Fails until the marker exists."""

    def act(self) -> None:
        """Raise an exception."""
        if not self.marker.exists():
            raise RuntimeError("not yet")


class Crashing(Noise):
    """Its process crashes every time."""

    def act(self) -> None:
        """Read invalid memory."""
        ctypes.string_at(0)
