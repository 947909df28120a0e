"""Loops: frames at one pose with the agent away in between, where a model can be held to its own word."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from loopcraft.walks.revisits import REVISIT_RADIUS_BLOCKS, REVISIT_TURN_DEGREES

SAME_PLACE_BLOCKS = 0.5
SAME_YAW_DEGREES = 5.0
"""What counts as one pose: places at most so far apart, yaws at most so different."""
FRAMES_PER_LOOP = 24
"""One loop of each kind is compared for so many frames of the horizon: more cost more than they tell."""


class Loop(NamedTuple):
    """A generated frame and an earlier one at its pose, as indices into the episode."""

    frame: int
    earlier: int


def find_loops(poses: Float[np.ndarray, "T 5"], num_context: int) -> tuple[list[Loop], list[Loop]]:
    """Loops back to generated frames, and loops back to the context, evenly spread over those that there are.

    Of every frame of the horizon the earlier frame of the nearest pose since which the agent has been away:
    further off than 2 blocks or 30 degrees, as in `loopcraft/walks/revisits.py`.
    """
    own: list[Loop] = []
    shown: list[Loop] = []
    for frame in range(num_context, len(poses)):
        offsets = np.linalg.norm(poses[:frame, :3] - poses[frame, :3], axis=1)
        turns = np.abs((poses[:frame, 3] - poses[frame, 3] + 180.0) % 360.0 - 180.0)
        is_away = np.flatnonzero((offsets > REVISIT_RADIUS_BLOCKS) | (turns > REVISIT_TURN_DEGREES))
        if not len(is_away):
            continue
        before = int(is_away[-1])
        is_same = (offsets[:before] <= SAME_PLACE_BLOCKS) & (turns[:before] <= SAME_YAW_DEGREES)
        away = offsets[:before] / SAME_PLACE_BLOCKS + turns[:before] / SAME_YAW_DEGREES
        for loops, part in ((own, slice(num_context, None)), (shown, slice(0, num_context))):
            near = np.flatnonzero(is_same[part]) + part.start
            if len(near):
                loops.append(Loop(frame, int(near[away[near].argmin()])))
    most = max(1, (len(poses) - num_context) // FRAMES_PER_LOOP)
    return _spread(own, most), _spread(shown, most)


def _spread(loops: list[Loop], most: int) -> list[Loop]:
    """At most so many of them, evenly spaced."""
    if len(loops) <= most:
        return loops
    return [loops[int(place)] for place in np.linspace(0, len(loops) - 1, most).round()]
