"""Loops in a walk: against plain loops over all pairs, and on walks made by hand."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.memory.loops import find_loops

CONTEXT = 20


def pose(x: float, yaw: float, z: float = 0.0) -> list[float]:
    return [x, 64.0, z, yaw, 0.0]


def plain_loops(poses: np.ndarray, num_context: int) -> tuple[dict[int, set[int]], dict[int, set[int]]]:
    """Of every frame the earlier ones that it may be compared with: generated ones, and the context's."""
    own: dict[int, set[int]] = {}
    shown: dict[int, set[int]] = {}

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
                (own if earlier >= num_context else shown).setdefault(frame, set()).add(earlier)
    return own, shown


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_loops_are_those_of_plain_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.choice([-10.0, 0.0, 10.0], 90)
    yaw = (np.cumsum(steps) + 180) % 360 - 180
    poses = np.array([pose(x, turn) for x, turn in zip(np.cumsum(rng.normal(0, 0.08, 90)), yaw, strict=True)])
    for found, allowed in zip(find_loops(poses, CONTEXT), plain_loops(poses, CONTEXT), strict=True):
        assert len(found) == min(len(allowed), (90 - CONTEXT) // 24)
        for frame, earlier in found:
            best = min(away(poses[frame], poses[other]) for other in allowed[frame])
            assert earlier in allowed[frame]
            assert away(poses[frame], poses[earlier]) == best


def away(one: np.ndarray, other: np.ndarray) -> float:
    turn = abs(one[3] - other[3]) % 360
    return math.dist(one[:3], other[:3]) / 0.5 + min(turn, 360 - turn) / 5


def test_who_stays_has_no_loop() -> None:
    assert find_loops(np.array([pose(0, 0)] * 60), CONTEXT) == ([], [])


def test_a_full_turn_on_the_spot_is_a_loop() -> None:
    poses = np.array([pose(0, (10.0 * step + 180) % 360 - 180) for step in range(CONTEXT + 60)])
    own, shown = find_loops(poses, CONTEXT)
    assert all(frame - earlier == 36 and earlier >= CONTEXT for frame, earlier in own)
    assert all((frame - earlier) % 36 == 0 and earlier < CONTEXT for frame, earlier in shown)
    assert len(own) == len(shown) == 60 // 24


def test_the_nearest_pose_is_taken() -> None:
    poses = np.array([pose(0.4, 0)] * 10 + [pose(0.1, 4)] * 10 + [pose(9, 0)] * 20 + [pose(0, 0)])
    assert find_loops(poses, CONTEXT) == (
        [],
        [(40, 0)],
    )  # 0.4 blocks are 0.8 of the tolerance, 4 degrees more
