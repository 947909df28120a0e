"""Loops in a walk: compared with a plain search over all pairs, and on handmade walks."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.memory.loops import find_loops

CONTEXT = 20


def pose(x: float, yaw: float, z: float = 0.0) -> list[float]:
    return [x, 64.0, z, yaw, 0.0]


def find_loops_plainly(
    poses: np.ndarray, num_context: int
) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """Map every frame to the earlier frames it may be compared with, among generated and context frames."""
    generated: dict[int, set[int]] = {}
    context: dict[int, set[int]] = {}

    def differ(one: int, other: int) -> tuple[float, float]:
        turn = abs(poses[one][3] - poses[other][3]) % 360
        return math.dist(poses[one][:3], poses[other][:3]), min(turn, 360 - turn)

    for frame in range(num_context, len(poses)):
        for earlier in range(frame):
            distance, turn = differ(frame, earlier)
            was_away = any(
                d > 2 or t > 30 for d, t in (differ(frame, between) for between in range(earlier + 1, frame))
            )
            if distance <= 0.5 and turn <= 5 and was_away:
                (generated if earlier >= num_context else context).setdefault(frame, set()).add(earlier)
    return generated, context


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_loops_match_a_plain_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.choice([-10.0, 0.0, 10.0], 90)
    yaw = (np.cumsum(steps) + 180) % 360 - 180
    poses = np.array([pose(x, turn) for x, turn in zip(np.cumsum(rng.normal(0, 0.08, 90)), yaw, strict=True)])
    for loops, allowed in zip(find_loops(poses, CONTEXT), find_loops_plainly(poses, CONTEXT), strict=True):
        assert len(loops) == min(len(allowed), (90 - CONTEXT) // 24)
        for frame, earlier in loops:
            best = min(pose_distance(poses[frame], poses[other]) for other in allowed[frame])
            assert earlier in allowed[frame]
            assert pose_distance(poses[frame], poses[earlier]) == best


def pose_distance(one: np.ndarray, other: np.ndarray) -> float:
    turn = abs(one[3] - other[3]) % 360
    return math.dist(one[:3], other[:3]) / 0.5 + min(turn, 360 - turn) / 5


def test_standing_still_has_no_loop() -> None:
    assert find_loops(np.array([pose(0, 0)] * 60), CONTEXT) == ([], [])


def test_a_full_turn_on_the_spot_is_a_loop() -> None:
    poses = np.array([pose(0, (10.0 * step + 180) % 360 - 180) for step in range(CONTEXT + 60)])
    generated, context = find_loops(poses, CONTEXT)
    assert all(frame - earlier == 36 and earlier >= CONTEXT for frame, earlier in generated)
    assert all((frame - earlier) % 36 == 0 and earlier < CONTEXT for frame, earlier in context)
    assert len(generated) == len(context) == 60 // 24


def test_the_nearest_pose_is_taken() -> None:
    poses = np.array([pose(0.4, 0)] * 10 + [pose(0.1, 4)] * 10 + [pose(9, 0)] * 20 + [pose(0, 0)])
    assert find_loops(poses, CONTEXT) == (
        [],
        [(40, 0)],
    )  # 0.4 blocks are 0.8 of the tolerance, 4 degrees more
