"""Synthetic episodes for the contract checks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from loopcraft.core.seeding import generator
from loopcraft.walks.actions import TURN_DEGREES_PER_TICK, Action, draw_walk
from loopcraft.walks.selection import simulate_flat

_COARSE = 8
"""Side of the random grid that is enlarged to a frame, so that patches contain structure."""
SPEED_BLOCKS = 0.2159
"""Distance that the agent walks per tick."""


@dataclass(frozen=True, kw_only=True)
class SyntheticEpisodes:
    """Videos of drifting blotches, with walks distributed like those of real data sets.

    Frames from `future_starts` on depend on `future`, and actions from `later_starts` on depend on `later`:
    two instances that differ in only one of them show whether a model uses it.
    """

    height: int
    width: int
    length: int
    keys: Sequence[str] = ("000/000", "000/001")
    future_starts: int = 0
    future: int = 0
    later_starts: int = 0
    later: int = 0
    world_id: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        """The fields, which determine everything."""
        return repr(self)

    def num_frames(self, key: str) -> int:
        """Return the number of frames of every episode."""
        return self.length

    def actions(self, key: str) -> Int64[np.ndarray, " T"]:
        """Return the video's walk; from `later_starts` on, its actions depend on `later`."""
        walk = draw_walk(generator(0, "synthetic walk", *key.encode()), self.length).astype(np.int64)
        if self.later:
            other = draw_walk(generator(self.later, "synthetic walk", *key.encode()), self.length)
            walk[self.later_starts :] = (other[self.later_starts :] + 1) % 3
        return walk

    def states(self, key: str) -> Float32[np.ndarray, "T 6"]:
        """Return the walk's actions and its poses on open flat ground, at `SPEED_BLOCKS` per tick."""
        walk = self.actions(key)
        yaw_deg = TURN_DEGREES_PER_TICK * np.cumsum((walk == Action.RIGHT) - 1 * (walk == Action.LEFT))
        position = SPEED_BLOCKS * simulate_flat(walk)  # simulate_flat's +y is our +z, its +x our -x
        states = np.zeros((self.length, 6), np.float32)
        states[:, 0], states[:, 1], states[:, 3] = walk, -position[:, 0], position[:, 1]
        states[:, 4] = (yaw_deg + 180) % 360 - 180
        return states

    def frames(self, key: str, start: int, stop: int) -> UInt8[np.ndarray, "T H W 3"]:
        """Return frames start to stop - 1."""
        return np.stack(list(self.iterate_frames(key, start, stop)))

    def iterate_frames(self, key: str, start: int, stop: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Yield frames start to stop - 1."""
        for frame in range(start, stop):
            future = self.future if frame >= self.future_starts else 0
            blotches = generator(future, "synthetic frame", *key.encode())
            grid = blotches.integers(0, 256, (_COARSE, _COARSE, 3), dtype=np.uint8)
            rows = (np.arange(self.height) * _COARSE // self.height + frame) % _COARSE
            columns = np.arange(self.width) * _COARSE // self.width
            yield grid[rows][:, columns]
