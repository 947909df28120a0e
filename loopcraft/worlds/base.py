"""The contract between worlds and everything else: actions in, one observation per action out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Integer, UInt8, UInt64

UNDRAWN = "undrawn"
"""The quality of a world that is asked for its surfaces alone: its frames stay black."""


class Pose(NamedTuple):
    """Where the agent stands (feet) and looks. Positions in blocks, y up; yaw positive to the right.

    As in Minecraft, yaw 0 looks along +z and yaw 90 along -x; yaw lies in [-180, 180). Pitch is positive
    downwards.
    """

    x: float
    y: float
    z: float
    yaw_deg: float
    pitch_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one tick gives: the picture and the pose AFTER its action.

    `surface` holds, where the world knows it, an id of the block face seen by each pixel (0 is the sky): the
    same face of the same block has the same id in every frame of an episode.
    """

    frame: UInt8[np.ndarray, "H W 3"]
    pose: Pose
    surface: UInt64[np.ndarray, "H W"] | None = None


class GroundPicture(NamedTuple):
    """The ground of a world seen from above, north up. Positions in blocks."""

    image: UInt8[np.ndarray, "H W 3"]
    west: float
    """x of the image's left edge."""
    north: float
    """z of its upper edge."""
    blocks_per_pixel: float = 1.0


class PlayError(Exception):
    """A world could not play an episode to its end; another attempt may do better.

    `reason` is one word for tables and counts, `detail` a sentence for the log.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class World(Protocol):
    """A place in which walks are played.

    The same (`world_id`, seed, actions) gives the same observations, whatever was played before.
    """

    @property
    def world_id(self) -> str:
        """Name and version of the world's looks and rules, as in "voxel-v1"."""

    @property
    def resolution(self) -> int:
        """Height and width of a frame in pixels."""

    def play(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Iterator[Observation]:
        """Start a fresh episode in the world of `seed` and yield one observation per action."""


@runtime_checkable
class PathWorld(World, Protocol):
    """A world that can tell an episode's poses without rendering it."""

    def path(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Float64[np.ndarray, "T 5"]:
        """The poses (x, y, z, yaw_deg, pitch_deg) after each action, exactly those that `play` yields."""


class SurfaceWorld(World, Protocol):
    """A world that can tell which block face each pixel shows."""

    def play(
        self, seed: int, actions: Integer[np.ndarray, " T"], *, surfaces: bool = False
    ) -> Iterator[Observation]:
        """As in any world; with `surfaces`, each observation holds its `surface`."""
