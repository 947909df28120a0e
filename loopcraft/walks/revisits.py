"""What a path tells about memory: where the agent is back at what the context showed.

Frustum overlap is no criterion: with many loops it says nothing.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

REVISIT_RADIUS_BLOCKS = 2.0
REVISIT_TURN_DEGREES = 30.0
_SHORT, _MEDIUM, _LONG = slice(0, 64), slice(64, 256), slice(256, 768)
"""The stretches of the horizon that the paper averages over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisitStatistics:
    """How much an episode asks of memory.

    A horizon frame is a revisit if its pose lies within 2 blocks and 30 degrees of yaw of some context pose,
    and the agent has been away since the context: to stay where the context ended is no return. Fractions of
    a stretch that the episode does not reach, and the age where nothing is revisited, are NaN.
    """

    revisited: float
    """Fraction of the horizon's frames that are revisits."""
    revisited_short: float
    """The same of the horizon's frames 1-64."""
    revisited_medium: float
    """The same of its frames 65-256."""
    revisited_long: float
    """The same of its frames 257-768."""
    context_revisited: float
    """Fraction of the context's frames that some revisit comes back to."""
    num_returns: int
    """How many times the agent comes back, having been away."""
    median_age_frames: float
    """Median over the revisits of the frames since the newest context frame they come back to."""


def find_revisits(poses: Float[np.ndarray, "T 5"], num_context: int) -> Bool[np.ndarray, " horizon"]:
    """Which frames of the horizon are revisits, as `RevisitStatistics` defines them."""
    return _are_revisits(_match_poses(poses[num_context:], poses[:num_context]))


def revisit_ages(poses: Float[np.ndarray, "T 5"], num_context: int) -> Int64[np.ndarray, " horizon"]:
    """Of every revisit the frames since the newest context frame it comes back to; 0 where none is."""
    matches = _match_poses(poses[num_context:], poses[:num_context])
    return np.where(_are_revisits(matches), _ages(matches), 0)


def nearest_context_frames(
    poses: Float[np.ndarray, "T 5"], num_context: int
) -> Int64[np.ndarray, " horizon"]:
    """Of every horizon frame the context frame of the nearest pose; 2 blocks weigh as much as 30 degrees."""
    offsets, turns = _differences(poses[num_context:], poses[:num_context])
    away = (offsets**2).sum(axis=2) / REVISIT_RADIUS_BLOCKS**2 + (turns / REVISIT_TURN_DEGREES) ** 2
    nearest: Int64[np.ndarray, " horizon"] = away.argmin(axis=1)
    return nearest


def revisit_statistics(poses: Float[np.ndarray, "T 5"], num_context: int) -> RevisitStatistics:
    """Count the returns of an episode's poses (x, y, z, yaw_deg, pitch_deg) to those of its context."""
    matches = _match_poses(poses[num_context:], poses[:num_context])
    revisited = _are_revisits(matches)
    ages = _ages(matches)[revisited]
    return RevisitStatistics(
        revisited=_fraction(revisited),
        revisited_short=_fraction(revisited[_SHORT]),
        revisited_medium=_fraction(revisited[_MEDIUM]),
        revisited_long=_fraction(revisited[_LONG]),
        context_revisited=_fraction(np.any(matches[revisited], axis=0)),
        num_returns=int(np.count_nonzero(revisited[1:] & ~revisited[:-1])),
        median_age_frames=float(np.median(ages)) if len(ages) else float("nan"),
    )


def _ages(matches: Bool[np.ndarray, "horizon context"]) -> Int64[np.ndarray, " horizon"]:
    """Frames from the newest match to each horizon frame; of no meaning where there is none."""
    ages: Int64[np.ndarray, " horizon"] = np.arange(len(matches)) + 1 + matches[:, ::-1].argmax(axis=1)
    return ages


def _match_poses(
    poses: Float[np.ndarray, "N 5"], others: Float[np.ndarray, "M 5"]
) -> Bool[np.ndarray, "N M"]:
    """Which pairs of poses are close in place and yaw."""
    offsets, turns = _differences(poses, others)
    is_near = (offsets**2).sum(axis=2) <= REVISIT_RADIUS_BLOCKS**2
    matches: Bool[np.ndarray, "N M"] = is_near & (np.abs(turns) <= REVISIT_TURN_DEGREES)
    return matches


def _differences(
    poses: Float[np.ndarray, "N 5"], others: Float[np.ndarray, "M 5"]
) -> tuple[Float[np.ndarray, "N M 3"], Float[np.ndarray, "N M"]]:
    """Offsets in blocks and turns in degrees, from -180 to 180, between any two poses."""
    turns = (poses[:, None, 3] - others[None, :, 3] + 180) % 360 - 180
    return poses[:, None, :3] - others[None, :, :3], turns


def _are_revisits(matches: Bool[np.ndarray, "horizon context"]) -> Bool[np.ndarray, " horizon"]:
    """Which frames are back at a place of the context after having been away."""
    at_known_place: Bool[np.ndarray, " horizon"] = np.any(matches, axis=1)
    has_been_away = np.logical_or.accumulate(~at_known_place)
    return at_known_place & has_been_away


def _fraction(mask: Bool[np.ndarray, " N"]) -> float:
    """The fraction that is true; NaN of nothing."""
    return float(mask.mean()) if len(mask) else float("nan")
