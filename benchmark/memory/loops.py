"""Find loops, two frames at one pose with the agent away in between, to test a model's self-consistency."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from loopcraft.walks.revisits import REVISIT_RADIUS_BLOCKS, REVISIT_TURN_DEGREES

SAME_PLACE_BLOCKS = 0.5
SAME_YAW_DEGREES = 5.0
"""Largest distance and yaw difference of two frames at one pose."""
FRAMES_PER_LOOP = 24
"""Frames of the horizon per compared loop of each kind; more loops cost more than they add."""


class Loop(NamedTuple):
    """A generated frame and an earlier one at the same pose, as indices into the episode."""

    frame: int
    earlier: int


def find_loops(poses: Float[np.ndarray, "T 5"], num_context: int) -> tuple[list[Loop], list[Loop]]:
    """Return evenly spaced loops back to generated frames, and loops back to the context.

    Each frame of the horizon is paired with the frame of nearest pose since which the agent has been away: by
    more than 2 blocks or 30 degrees, as in `loopcraft/walks/revisits.py`.
    """
    generated: list[Loop] = []
    shown: list[Loop] = []
    for frame in range(num_context, len(poses)):
        offsets = np.linalg.norm(poses[:frame, :3] - poses[frame, :3], axis=1)
        turns = np.abs((poses[:frame, 3] - poses[frame, 3] + 180.0) % 360.0 - 180.0)
        is_away = np.flatnonzero((offsets > REVISIT_RADIUS_BLOCKS) | (turns > REVISIT_TURN_DEGREES))
        if not len(is_away):
            continue
        before = int(is_away[-1])
        is_same = (offsets[:before] <= SAME_PLACE_BLOCKS) & (turns[:before] <= SAME_YAW_DEGREES)
        distance = offsets[:before] / SAME_PLACE_BLOCKS + turns[:before] / SAME_YAW_DEGREES
        for loops, part in ((generated, slice(num_context, None)), (shown, slice(0, num_context))):
            near = np.flatnonzero(is_same[part]) + part.start
            if len(near):
                loops.append(Loop(frame, int(near[distance[near].argmin()])))
    count = max(1, (len(poses) - num_context) // FRAMES_PER_LOOP)
    return _thin_out(generated, count), _thin_out(shown, count)


def _thin_out(loops: list[Loop], count: int) -> list[Loop]:
    """Return at most `count` loops, evenly spaced."""
    if len(loops) <= count:
        return loops
    return [loops[int(index)] for index in np.linspace(0, len(loops) - 1, count).round()]
