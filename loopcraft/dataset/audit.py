"""What can be wrong with an episode, as flags; each has a test that trips it alone.

stuck         walked less than 15 % of what its forward ticks make on flat ground
fell          dropped by more than 12 blocks within 30 ticks, or below height 0
misaligned    some tick's turn of yaw is not its action's: states and actions are shifted or damaged
short         the world ended before its actions did
black         some frame has no byte above 16
constant      some frame has one colour throughout, or repeats the one before it while turning
undecodable   the written video lacks frames, or its last frame is not the one that was written
"""

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float, Integer, UInt8

from loopcraft.core.errors import UserError
from loopcraft.walks.actions import TURN_DEGREES_PER_TICK, Action
from loopcraft.walks.selection import distance_walked

FLAGS: Final = ("stuck", "fell", "misaligned", "short", "black", "constant", "undecodable")

FREE_WALK_BLOCKS_PER_TICK = 0.2159
STUCK_SHARE = 0.15
FALL_BLOCKS = 12.0
# A free fall of 12 blocks takes 18 ticks; walking down a slope of 45 degrees makes half as much in 30.
FALL_TICKS = 30
BLACK_LEVEL = 16
YAW_TOLERANCE_DEGREES = 1e-3
# The codec's error is about 5 on average; another frame of the episode is far beyond.
LAST_FRAME_TOLERANCE = 24.0

_TURN_DEGREES = np.zeros(len(Action))
_TURN_DEGREES[Action.LEFT] = -TURN_DEGREES_PER_TICK
_TURN_DEGREES[Action.RIGHT] = TURN_DEGREES_PER_TICK


def audit_path(poses: Float[np.ndarray, "T 5"], actions: Integer[np.ndarray, " N"]) -> tuple[str, ...]:
    """The flags that poses and actions alone decide: stuck, fell, misaligned, short."""
    tests = {
        "stuck": is_stuck(poses, actions),
        "fell": has_fallen(poses),
        "misaligned": is_misaligned(poses[:, 3], actions[: len(poses)]),
        "short": len(poses) < len(actions),
    }
    return tuple(flag for flag, is_set in tests.items() if is_set)


def is_stuck(poses: Float[np.ndarray, "T 5"], actions: Integer[np.ndarray, " N"]) -> bool:
    """Whether the agent hardly moved for the forward ticks that it had."""
    forward_ticks = int(np.count_nonzero(actions == Action.FORWARD))
    return distance_walked(poses[:, :3]) < STUCK_SHARE * FREE_WALK_BLOCKS_PER_TICK * forward_ticks


def has_fallen(poses: Float[np.ndarray, "T 5"]) -> bool:
    """Whether the agent dropped deep at once or left the world downwards."""
    heights = poses[:, 1]
    drops = [np.max(heights[:-lag] - heights[lag:], initial=0.0) for lag in range(1, FALL_TICKS + 1)]
    return bool(max(drops) > FALL_BLOCKS or heights.min() < 0)


def is_misaligned(yaw_deg: Float[np.ndarray, " T"], actions: Integer[np.ndarray, " T"]) -> bool:
    """Whether some tick's change of yaw differs from its own action's turn (the first tick has no change)."""
    change = np.diff(yaw_deg.astype(np.float64)) - _TURN_DEGREES[actions[1:]]
    error = (change + 180) % 360 - 180
    return bool(np.any(np.abs(error) > YAW_TOLERANCE_DEGREES))


def shift_of_actions(yaw_deg: Float[np.ndarray, " T"], actions: Integer[np.ndarray, " T"]) -> int:
    """By how many rows the actions stand too far down (or up, negative), if that alone is wrong; else 0."""
    for shift in (0, 1, -1, 2, -2):
        rows = slice(max(0, -shift), len(actions) - max(0, shift))
        moved = slice(max(0, shift), len(actions) - max(0, -shift))
        if not is_misaligned(yaw_deg[rows], actions[moved]):
            return shift
    return 0


class FrameAudit:
    """Watches the frames of one episode go by: black, constant."""

    def __init__(self) -> None:
        self._flags: set[str] = set()
        self.last: UInt8[np.ndarray, "H W 3"] | None = None

    def watch(self, frame: UInt8[np.ndarray, "H W 3"], action: int) -> None:
        """Look at the next frame, made by `action`; it is copied, as a world may draw into one picture."""
        if frame.max() <= BLACK_LEVEL:
            self._flags.add("black")
        elif _is_one_colour(frame) or (action != Action.FORWARD and self._repeats_last(frame)):
            self._flags.add("constant")
        self.last = frame.copy()

    def _repeats_last(self, frame: UInt8[np.ndarray, "H W 3"]) -> bool:
        return self.last is not None and np.array_equal(frame, self.last)

    @property
    def flags(self) -> tuple[str, ...]:
        """What was seen, in the order of `FLAGS`."""
        return tuple(flag for flag in FLAGS if flag in self._flags)


def _is_one_colour(frame: UInt8[np.ndarray, "H W 3"]) -> bool:
    sparse = frame[::16, ::16]  # nearly always enough to say no
    return bool((sparse == frame[0, 0]).all() and (frame == frame[0, 0]).all())


def audit_video(path: Path, num_frames: int, last_frame: UInt8[np.ndarray, "H W 3"]) -> tuple[str, ...]:
    """The flag that reading the written file back decides: undecodable."""
    from loopcraft.video.h264 import (  # needs PyAV, which an audit of paths does without
        count_frames,
        read_frames,
    )

    try:
        read = read_frames(path, num_frames - 1, num_frames)[0]
        is_whole = count_frames(path) == num_frames
    except UserError:
        return ("undecodable",)
    is_close = np.abs(read.astype(np.int16) - last_frame).mean() < LAST_FRAME_TOLERANCE
    return () if is_whole and is_close else ("undecodable",)
