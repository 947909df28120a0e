"""Audit of an episode: flags for its faults. Each flag has a test that triggers it alone.

stuck         walked less than 15 % of the distance that its forward ticks cover on flat ground
fell          dropped by more than 12 blocks within 30 ticks, or below height 0
misaligned    a tick's change of yaw does not match its action: states and actions are shifted or damaged
short         the world ended before the actions did
black         a frame has no byte above 16
constant      a frame has a single colour, or repeats the previous frame during a turn
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
# A free fall of 12 blocks takes 18 ticks; walking down a 45 degree slope drops half as far in 30.
FALL_TICKS = 30
BLACK_LEVEL = 16
YAW_TOLERANCE_DEGREES = 1e-3
# The codec's mean error is about 5; any other frame of the episode differs by far more.
LAST_FRAME_TOLERANCE = 24.0

_TURN_DEGREES = np.zeros(len(Action))
_TURN_DEGREES[Action.LEFT] = -TURN_DEGREES_PER_TICK
_TURN_DEGREES[Action.RIGHT] = TURN_DEGREES_PER_TICK


def audit_path(poses: Float[np.ndarray, "T 5"], actions: Integer[np.ndarray, " N"]) -> tuple[str, ...]:
    """Return the flags that depend on poses and actions alone: stuck, fell, misaligned, short."""
    tests = {
        "stuck": is_stuck(poses, actions),
        "fell": has_fallen(poses),
        "misaligned": is_misaligned(poses[:, 3], actions[: len(poses)]),
        "short": len(poses) < len(actions),
    }
    return tuple(flag for flag, is_set in tests.items() if is_set)


def is_stuck(poses: Float[np.ndarray, "T 5"], actions: Integer[np.ndarray, " N"]) -> bool:
    """Return whether the agent hardly moved, given its number of forward ticks."""
    forward_ticks = int(np.count_nonzero(actions == Action.FORWARD))
    return distance_walked(poses[:, :3]) < STUCK_SHARE * FREE_WALK_BLOCKS_PER_TICK * forward_ticks


def has_fallen(poses: Float[np.ndarray, "T 5"]) -> bool:
    """Return whether the agent fell a long way or below the world."""
    heights = poses[:, 1]
    drops = [np.max(heights[:-lag] - heights[lag:], initial=0.0) for lag in range(1, FALL_TICKS + 1)]
    return bool(max(drops) > FALL_BLOCKS or heights.min() < 0)


def is_misaligned(yaw_deg: Float[np.ndarray, " T"], actions: Integer[np.ndarray, " T"]) -> bool:
    """Return whether a tick's change of yaw differs from its action's turn; the first tick is not checked."""
    change = np.diff(yaw_deg.astype(np.float64)) - _TURN_DEGREES[actions[1:]]
    error = (change + 180) % 360 - 180
    return bool(np.any(np.abs(error) > YAW_TOLERANCE_DEGREES))


def shift_of_actions(yaw_deg: Float[np.ndarray, " T"], actions: Integer[np.ndarray, " T"]) -> int:
    """Return by how many rows (-2 to 2) the actions are too late, if that alone misaligns them; else 0."""
    for shift in (0, 1, -1, 2, -2):
        rows = slice(max(0, -shift), len(actions) - max(0, shift))
        moved = slice(max(0, shift), len(actions) - max(0, -shift))
        if not is_misaligned(yaw_deg[rows], actions[moved]):
            return shift
    return 0


class FrameAudit:
    """Audit of one episode's frames, fed one at a time: black, constant."""

    def __init__(self) -> None:
        self._flags: set[str] = set()
        self.last: UInt8[np.ndarray, "H W 3"] | None = None

    def watch(self, frame: UInt8[np.ndarray, "H W 3"], action: int) -> None:
        """Audit the next frame, made by `action`, and keep a copy: a world may reuse its frame buffer."""
        if frame.max() <= BLACK_LEVEL:
            self._flags.add("black")
        elif _is_one_colour(frame) or (action != Action.FORWARD and self._repeats_last(frame)):
            self._flags.add("constant")
        self.last = frame.copy()

    def _repeats_last(self, frame: UInt8[np.ndarray, "H W 3"]) -> bool:
        return self.last is not None and np.array_equal(frame, self.last)

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags raised so far, in the order of `FLAGS`."""
        return tuple(flag for flag in FLAGS if flag in self._flags)


def _is_one_colour(frame: UInt8[np.ndarray, "H W 3"]) -> bool:
    sparse = frame[::16, ::16]  # cheap check that rejects nearly every frame
    return bool((sparse == frame[0, 0]).all() and (frame == frame[0, 0]).all())


def audit_video(path: Path, num_frames: int, last_frame: UInt8[np.ndarray, "H W 3"]) -> tuple[str, ...]:
    """Return the flag that depends on reading the written file back: undecodable."""
    from loopcraft.video.h264 import count_frames, read_frames  # needs PyAV, which path audits do not

    try:
        decoded = read_frames(path, num_frames - 1, num_frames)[0]
        is_whole = count_frames(path) == num_frames
    except UserError:
        return ("undecodable",)
    is_close = np.abs(decoded.astype(np.int16) - last_frame).mean() < LAST_FRAME_TOLERANCE
    return () if is_whole and is_close else ("undecodable",)
