"""Detection of revisits: frames whose pose returns to one of the context.

Poses are compared because frustum overlap tells nothing about paths with many loops.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

REVISIT_RADIUS_BLOCKS = 2.0
REVISIT_TURN_DEGREES = 30.0
_SHORT, _MEDIUM, _LONG = slice(0, 64), slice(64, 256), slice(256, 768)
"""The parts of the horizon that the paper averages over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisitStatistics:
    """Statistics of how much an episode requires memory.

    A horizon frame is a revisit if its pose is within 2 blocks and 30 degrees of yaw of a context pose and
    the agent has been away since the context; staying where the context ended does not count. Fractions of
    frames that the episode does not reach are NaN, and so is the age if nothing is revisited.
    """

    revisited: float
    """Fraction of the horizon's frames that are revisits."""
    revisited_short: float
    """The same for the horizon's frames 1-64."""
    revisited_medium: float
    """The same for its frames 65-256."""
    revisited_long: float
    """The same for its frames 257-768."""
    context_revisited: float
    """Fraction of the context's frames that are revisited."""
    num_returns: int
    """How many times the agent returns after having been away."""
    median_age_frames: float
    """Median over revisits of the number of frames since the latest context frame that they match."""


def find_revisits(poses: Float[np.ndarray, "T 5"], num_context: int) -> Bool[np.ndarray, " horizon"]:
    """Return which horizon frames are revisits, as defined by `RevisitStatistics`."""
    return _are_revisits(_match_poses(poses[num_context:], poses[:num_context]))


def revisit_ages(poses: Float[np.ndarray, "T 5"], num_context: int) -> Int64[np.ndarray, " horizon"]:
    """Return for each revisit the number of frames since the latest matching context frame, else 0."""
    matches = _match_poses(poses[num_context:], poses[:num_context])
    return np.where(_are_revisits(matches), _ages(matches), 0)


def nearest_context_frames(
    poses: Float[np.ndarray, "T 5"], num_context: int
) -> Int64[np.ndarray, " horizon"]:
    """Return for each horizon frame the context frame of nearest pose; 2 blocks count like 30 degrees."""
    offsets, turns = _differences(poses[num_context:], poses[:num_context])
    distances = (offsets**2).sum(axis=2) / REVISIT_RADIUS_BLOCKS**2 + (turns / REVISIT_TURN_DEGREES) ** 2
    nearest: Int64[np.ndarray, " horizon"] = distances.argmin(axis=1)
    return nearest


def revisit_statistics(poses: Float[np.ndarray, "T 5"], num_context: int) -> RevisitStatistics:
    """Compute the statistics of an episode's poses (x, y, z, yaw_deg, pitch_deg)."""
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
    """Return the frames since the latest match of each horizon frame; meaningless without a match."""
    ages: Int64[np.ndarray, " horizon"] = np.arange(len(matches)) + 1 + matches[:, ::-1].argmax(axis=1)
    return ages


def _match_poses(
    poses: Float[np.ndarray, "N 5"], others: Float[np.ndarray, "M 5"]
) -> Bool[np.ndarray, "N M"]:
    offsets, turns = _differences(poses, others)
    is_near = (offsets**2).sum(axis=2) <= REVISIT_RADIUS_BLOCKS**2
    matches: Bool[np.ndarray, "N M"] = is_near & (np.abs(turns) <= REVISIT_TURN_DEGREES)
    return matches


def _differences(
    poses: Float[np.ndarray, "N 5"], others: Float[np.ndarray, "M 5"]
) -> tuple[Float[np.ndarray, "N M 3"], Float[np.ndarray, "N M"]]:
    """Return the offsets in blocks and turns in degrees, from -180 to 180, between all pairs of poses."""
    turns = (poses[:, None, 3] - others[None, :, 3] + 180) % 360 - 180
    return poses[:, None, :3] - others[None, :, :3], turns


def _are_revisits(matches: Bool[np.ndarray, "horizon context"]) -> Bool[np.ndarray, " horizon"]:
    """Return which frames match the context after the agent has been away."""
    at_known_place: Bool[np.ndarray, " horizon"] = np.any(matches, axis=1)
    has_been_away = np.logical_or.accumulate(~at_known_place)
    return at_known_place & has_been_away


def _fraction(mask: Bool[np.ndarray, " N"]) -> float:
    return float(mask.mean()) if len(mask) else float("nan")
