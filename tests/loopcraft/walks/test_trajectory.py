"""Flat simulation, Chamfer selection against the literal formula, and what counts as a return."""

import math
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from loopcraft.core import seeding
from loopcraft.walks import selection as trajectory
from loopcraft.walks.actions import Action, draw_walk, draw_walks
from loopcraft.walks.revisits import revisit_statistics
from loopcraft.walks.selection import (
    chamfer_distance,
    distance_walked,
    lowest_chamfer,
    select_most_distant,
    select_walk,
    simulate_flat,
)

F, L, R = Action.FORWARD, Action.LEFT, Action.RIGHT
PINNED_CANDIDATE, PINNED_CHAMFER = 55, 24.821437106400033


def naive_chamfer(a, b) -> float:
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))
    return float(distances.min(1).mean() + distances.min(0).mean())


def naive_lowest(paths, num_context, num_lowest):
    distances = np.array([naive_chamfer(path[:num_context], path[num_context:]) for path in paths])
    order = sorted(range(len(paths)), key=lambda i: (distances[i], i))[:num_lowest]
    return order, distances[order]


# --- the flat turtle


def test_turtle_by_hand():
    positions = simulate_flat(np.array([F, F] + [R] * 9 + [F] + [L] * 18 + [F, F]))
    assert positions[0].tolist() == [0, 1]
    assert positions[10].tolist() == [0, 2]
    assert positions[11].tolist() == [1, 2]
    assert positions[-1].tolist() == [-1, 2]


def test_a_walk_of_whole_entries_stays_on_the_lattice():
    positions = simulate_flat(draw_walk(np.random.default_rng(0), 9 * 1000))
    np.testing.assert_array_equal(positions, np.round(positions))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(hnp.arrays(np.int64, st.integers(1, 300), elements=st.integers(0, 2)))
def test_turtle_against_complex_numbers(actions):
    position, heading, expected = 0j, 0, []
    for action in actions:
        heading += {F: 0, L: -10, R: 10}[Action(action)]
        if action == F:
            position += 1j * np.exp(-1j * math.radians(heading))
        expected.append((position.real, position.imag))
    np.testing.assert_allclose(simulate_flat(actions), expected, atol=1e-10)


def test_a_batch_matches_its_walks():
    walks = draw_walks(np.random.default_rng(2), 6, 50).reshape(2, 3, 50)
    batch = simulate_flat(walks)
    assert batch.shape == (2, 3, 50, 2)
    np.testing.assert_array_equal(batch[1, 2], simulate_flat(walks[1, 2]))


# --- Chamfer distance and selection

coordinates = st.floats(-1e3, 1e3) | st.integers(-5, 5).map(float)
point_sets = hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(2)), elements=coordinates)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(point_sets, point_sets)
def test_chamfer_equals_the_formula_to_the_last_bit(a, b):
    assert chamfer_distance(a, b) == naive_chamfer(a, b)
    assert chamfer_distance(a, a) == 0


def test_chamfer_by_hand():
    a, b = np.array([[0.0, 0.0], [0.0, 6.0]]), np.array([[3.0, 4.0]])
    assert chamfer_distance(a, b) == pytest.approx((5 + math.sqrt(13)) / 2 + math.sqrt(13))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 60))
def test_the_lower_bound_holds(seed, num_context, num_rest):
    rng = np.random.default_rng(seed)
    paths = rng.choice([1.0, 0.1, 30.0]) * rng.normal(size=(5, num_context + num_rest, 2)).cumsum(axis=1)
    exact = [naive_chamfer(path[:num_context], path[num_context:]) for path in paths]
    assert (trajectory._chamfer_lower_bounds(paths, num_context) <= np.array(exact) + 1e-12).all()


def tied_paths(seed: int) -> np.ndarray:
    """Short walks with many turns, among copies, mirror images and reversals of each other."""
    rng = np.random.default_rng(seed)
    paths = simulate_flat(draw_walks(rng, 8, 60))
    copies = [paths, paths[::-1], paths * (-1, 1), paths[:, :, ::-1], np.zeros((3, 60, 2))]
    return np.concatenate(copies)[rng.permutation(35)]


@pytest.mark.parametrize("seed", range(6))
def test_the_lowest_match_the_formula(seed):
    paths = simulate_flat(draw_walks(np.random.default_rng(seed), 40, 512))
    lowest, distances = lowest_chamfer(paths, 128, 10)
    expected, expected_distances = naive_lowest(paths, 128, 10)
    assert lowest.tolist() == expected
    np.testing.assert_array_equal(distances, expected_distances)


@pytest.mark.parametrize("seed", range(60))
def test_ties_keep_the_order_of_candidates(seed):
    paths = tied_paths(seed)
    for num_context, num_lowest in ((20, 10), (1, 3), (59, 35), (30, 1)):
        expected, expected_distances = naive_lowest(paths, num_context, num_lowest)
        lowest, distances = lowest_chamfer(paths, num_context, num_lowest)
        assert lowest.tolist() == expected
        np.testing.assert_array_equal(distances, expected_distances)


def test_a_bound_that_is_too_high_is_detected(monkeypatch):
    bounds = trajectory._chamfer_lower_bounds
    monkeypatch.setattr(trajectory, "_chamfer_lower_bounds", lambda p, n: bounds(p, n)[::-1].copy())
    paths = simulate_flat(draw_walks(np.random.default_rng(0), 40, 512))
    assert lowest_chamfer(paths, 128, 10)[0].tolist() != naive_lowest(paths, 128, 10)[0]


def test_selection_is_uniform_among_the_lowest():
    ranks: Counter[int] = Counter()
    for index in range(2000):
        selected = select_walk(
            seeding.generator(1, "test", index), num_ticks=90, num_context=30, num_candidates=12, num_lowest=5
        )
        walks = draw_walks(seeding.generator(1, "test", index), 12, 90)
        np.testing.assert_array_equal(selected.actions, walks[selected.candidate])
        lowest, distances = lowest_chamfer(simulate_flat(walks), 30, 5)
        rank = lowest.tolist().index(selected.candidate)
        assert selected.chamfer == distances[rank]
        ranks[rank] += 1
    assert stats.chisquare([ranks[i] for i in range(5)]).pvalue > 1e-4


def test_a_pinned_selection_in_another_process():
    script = (
        "from loopcraft.core import seeding; from loopcraft.walks import selection as trajectory;"
        "s = trajectory.select_walk(seeding.generator(7, 'walk', 3));"
        "print(s.candidate, repr(s.chamfer), len(s.actions))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.split() == [str(PINNED_CANDIDATE), repr(PINNED_CHAMFER), "1024"]
    selected = select_walk(seeding.generator(7, "walk", 3))
    assert (selected.candidate, selected.chamfer) == (PINNED_CANDIDATE, PINNED_CHAMFER)
    path = simulate_flat(selected.actions)
    assert naive_chamfer(path[:256], path[256:]) == PINNED_CHAMFER


@pytest.mark.parametrize(
    "wrong", [{"num_context": 0}, {"num_context": 1024}, {"num_lowest": 0}, {"num_lowest": 101}]
)
def test_impossible_selections_are_refused(wrong):
    with pytest.raises(ValueError, match="cannot choose"):
        select_walk(np.random.default_rng(0), **wrong)


# --- the distance filter


def test_distance_ignores_hopping_in_place():
    assert distance_walked(np.array([[0.0, 4, 0], [3, 9, 4], [3, 0, 4], [3, 0, 5]])) == 6
    assert distance_walked(np.zeros((1, 3))) == 0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 5).map(float), max_size=30), st.data())
def test_the_most_distant_are_kept_and_the_first_of_ties(distances, data):
    keep = data.draw(st.integers(0, len(distances)))
    ranked = sorted(range(len(distances)), key=lambda i: (-distances[i], i))
    assert select_most_distant(np.array(distances), keep).tolist() == sorted(ranked[:keep])


def test_keeping_more_than_exist_is_refused():
    with pytest.raises(ValueError, match="keep 3 of 2"):
        select_most_distant(np.array([1.0, 2.0]), 3)


# --- revisits


def path(*stretches: tuple[int, float, float]) -> np.ndarray:
    """Poses from stretches of (number of frames, x, yaw)."""
    return np.array([(x, 64.0, 0.0, yaw, 0.0) for count, x, yaw in stretches for _ in range(count)])


def test_staying_is_not_a_return():
    statistics = revisit_statistics(path((20, 0, 0)), 10)
    assert (statistics.revisited, statistics.context_revisited, statistics.num_returns) == (0, 0, 0)
    assert math.isnan(statistics.median_age_frames)


def test_there_and_back():
    # Context: 5 frames at x = 0, 5 at x = 10. Horizon: 2 more at 10, 4 away, 3 back at x = 0, 1 away.
    statistics = revisit_statistics(path((5, 0, 0), (7, 10, 0), (4, 50, 0), (3, 0, 0), (1, 50, 0)), 10)
    assert statistics.revisited == 3 / 10
    assert statistics.revisited_short == 3 / 10
    assert math.isnan(statistics.revisited_medium)
    assert math.isnan(statistics.revisited_long)
    assert statistics.context_revisited == 5 / 10
    assert statistics.num_returns == 1
    assert statistics.median_age_frames == 17 - 4  # frame 17 is the middle one; frame 4 was the last at x = 0


def test_looking_away_and_back_is_a_return():
    assert (
        revisit_statistics(path((4, 0, 0), (2, 0, 90), (2, 0, 0), (1, 0, 90), (1, 0, 0)), 4).num_returns == 2
    )


@pytest.mark.parametrize(
    ("x", "yaw", "counts"),
    [(2, 170, 1), (2.01, 170, 0), (0, -160, 1), (0, -150, 0), (0, -10, 0), (0, 140, 1)],
)
def test_thresholds_and_the_wrap_of_yaw(x, yaw, counts):
    assert revisit_statistics(path((1, 0, 170), (1, 90, 0), (1, x, yaw)), 1).num_returns == counts


def test_stretches_of_the_horizon():
    # Away for 64 frames, back for 192, away for 256, back for 256.
    poses = path((256, 0, 0), (64, 50, 0), (192, 0, 0), (256, 50, 0), (256, 0, 0))
    statistics = revisit_statistics(poses, 256)
    assert (statistics.revisited_short, statistics.revisited_medium, statistics.revisited_long) == (0, 1, 0.5)
    assert statistics.revisited == (192 + 256) / 768
    assert statistics.num_returns == 2


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_revisits_against_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    poses = np.zeros((120, 5))
    poses[:, :3] = rng.normal(size=(120, 3)).cumsum(axis=0)
    poses[:, 3] = 10.0 * rng.integers(-3, 4, 120).cumsum() % 360 - 180
    away, ages, returned = False, [], []
    for t in range(30, 120):
        matched = [
            s
            for s in range(30)
            if math.dist(poses[t, :3], poses[s, :3]) <= 2
            and min((poses[t, 3] - poses[s, 3]) % 360, (poses[s, 3] - poses[t, 3]) % 360) <= 30
        ]
        away = away or not matched
        returned.append(away and bool(matched))
        if returned[-1]:
            ages.append(t - matched[-1])
    statistics = revisit_statistics(poses, 30)
    assert statistics.revisited == pytest.approx(np.mean(returned))
    assert statistics.revisited_short == pytest.approx(np.mean(returned[:64]))
    assert statistics.revisited_medium == pytest.approx(np.mean(returned[64:]))
    assert statistics.num_returns == sum(b and not a for a, b in pairwise(returned))
    assert statistics.median_age_frames == pytest.approx(np.median(ages) if ages else np.nan, nan_ok=True)
