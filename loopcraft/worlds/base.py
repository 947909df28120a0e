"""The interface of worlds: actions in, one observation per action out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Integer, UInt8, UInt64

UNDRAWN = "undrawn"
"""Quality of a world that is used only for its surfaces: its frames are black."""


class Pose(NamedTuple):
    """Position of the agent's feet, in blocks with y up, and its view direction in degrees.

    As in Minecraft, yaw 0 looks along +z and yaw 90 along -x: yaw is positive to the right, in [-180, 180).
    Pitch is positive downwards.
    """

    x: float
    y: float
    z: float
    yaw_deg: float
    pitch_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Result of one tick: the frame and the pose AFTER its action.

    `surface`, if the world provides it, is the id of the block face that each pixel shows (0 is the sky). The
    same face of the same block has the same id in every frame of an episode.
    """

    frame: UInt8[np.ndarray, "H W 3"]
    pose: Pose
    surface: UInt64[np.ndarray, "H W"] | None = None


class GroundPicture(NamedTuple):
    """The ground of a world seen from above, with north up and positions in blocks."""

    image: UInt8[np.ndarray, "H W 3"]
    west: float
    """x of the image's left edge."""
    north: float
    """z of the image's top edge."""
    blocks_per_pixel: float = 1.0


class PlayError(Exception):
    """Raised when a world cannot play an episode to its end; another attempt may succeed.

    `reason` is one word for tables and counts, `detail` a sentence for the log.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class World(Protocol):
    """An environment in which walks are played.

    The same (`world_id`, seed, actions) gives the same observations, regardless of earlier episodes.
    """

    @property
    def world_id(self) -> str:
        """Name and version of the world's appearance and rules, as in "voxel-v1"."""

    @property
    def resolution(self) -> int:
        """Height and width of a frame in pixels."""

    def play(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Iterator[Observation]:
        """Start a fresh episode in the world of `seed` and yield one observation per action."""


@runtime_checkable
class PathWorld(World, Protocol):
    """A world that can compute an episode's poses without rendering it."""

    def path(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Float64[np.ndarray, "T 5"]:
        """Return the poses (x, y, z, yaw_deg, pitch_deg) after each action, exactly as `play` yields them."""


class SurfaceWorld(World, Protocol):
    """A world that knows which block face each pixel shows."""

    def play(
        self, seed: int, actions: Integer[np.ndarray, " T"], *, surfaces: bool = False
    ) -> Iterator[Observation]:
        """Play an episode as in `World`; with `surfaces`, each observation has its `surface`."""
