"""The distribution of walks, how they are cut, and their determinism."""

import subprocess
import sys
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from loopcraft.core import seeding
from loopcraft.walks.actions import (
    TICKS_PER_ENTRY,
    TURN_COUNT_PROBABILITIES,
    TURN_COUNTS,
    Action,
    draw_bundle,
    draw_walk,
    draw_walks,
    heading_sines,
)

NUM_BUNDLES = 100_000
PINNED_ENTRIES = "FFFFLFLFFFFLLFLLFFFFFFFRRFRRFFRRFFFFFLLFF"


@pytest.fixture(scope="module")
def bundles() -> list[tuple[int, ...]]:
    rng = seeding.generator(0, "test bundles")
    return [tuple(draw_bundle(rng).tolist()) for _ in range(NUM_BUNDLES)]


def _turns(bundle):
    return sum(entry != Action.FORWARD for entry in bundle)


def _assert_law(observed: Counter, law: dict) -> None:
    """Chi-squared at 1e-4 (the draw is fixed, so this either always passes or shows a wrong law)."""
    assert set(observed) <= set(law)
    total = observed.total()
    counts = [observed[key] for key in law]
    assert stats.chisquare(counts, [total * law[key] for key in law]).pvalue > 1e-4


def test_number_of_turns(bundles):
    _assert_law(Counter(map(_turns, bundles)), dict(zip(TURN_COUNTS, TURN_COUNT_PROBABILITIES, strict=True)))
    assert dict(zip(TURN_COUNTS, TURN_COUNT_PROBABILITIES, strict=True)) == {1: 0.1, 2: 0.3, 3: 0.1, 4: 0.5}


@pytest.mark.parametrize("turns", TURN_COUNTS)
def test_number_of_forwards_is_uniform_from_k_to_3k_less_1(bundles, turns):
    forwards = Counter(len(b) - 1 - turns for b in bundles if _turns(b) == turns)
    _assert_law(forwards, dict.fromkeys(range(turns, 3 * turns), 1 / (2 * turns)))


@pytest.mark.parametrize("turns", TURN_COUNTS)
def test_each_bundle_turns_in_one_fair_direction(bundles, turns):
    sides = Counter(frozenset(b) - {Action.FORWARD} for b in bundles if _turns(b) == turns)
    _assert_law(sides, {frozenset({Action.LEFT}): 0.5, frozenset({Action.RIGHT}): 0.5})


def test_a_bundle_starts_with_a_forward(bundles):
    assert all(bundle[0] == Action.FORWARD for bundle in bundles)


@pytest.mark.parametrize(("turns", "forwards"), [(1, 1), (1, 2), (2, 2), (2, 5), (3, 3), (4, 4)])
def test_every_order_of_turns_and_forwards_is_equally_likely(bundles, turns, forwards):
    slots = turns + forwards
    orders = Counter(
        tuple(i for i, entry in enumerate(b[1:]) if entry != Action.FORWARD)
        for b in bundles
        if _turns(b) == turns and len(b) == 1 + slots
    )
    law = list(combinations(range(slots), turns))
    _assert_law(orders, dict.fromkeys(law, 1 / len(law)))


def test_consecutive_bundles_are_independent(bundles):
    table = np.zeros((4, 4))
    for first, second in zip(bundles[::2], bundles[1::2], strict=True):
        table[_turns(first) - 1, _turns(second) - 1] += 1
    assert stats.chi2_contingency(table).pvalue > 1e-4


@pytest.mark.parametrize("num_ticks", [0, 1, 8, 9, 10, 100, 1024])
def test_a_walk_is_bundles_held_nine_ticks_and_cut(num_ticks):
    walk = draw_walk(np.random.default_rng(5), num_ticks)
    assert walk.shape == (num_ticks,)
    assert walk.dtype == np.int8
    rng = np.random.default_rng(5)
    entries: list[int] = []
    while len(entries) * 9 < num_ticks:
        entries += draw_bundle(rng).tolist()
    np.testing.assert_array_equal(walk, np.repeat(entries, 9)[:num_ticks])


def test_a_batch_is_successive_single_walks():
    rng = np.random.default_rng(3)
    singles = [draw_walk(rng, 100) for _ in range(7)]
    np.testing.assert_array_equal(draw_walks(np.random.default_rng(3), 7, 100), singles)


def test_compiled_and_plain_python_agree():
    compiled = draw_walks(np.random.default_rng(1), 3, 1024)
    np.testing.assert_array_equal(compiled, draw_walks.py_func(np.random.default_rng(1), 3, 1024))


def test_a_pinned_walk_in_another_process():
    script = (
        "from loopcraft.walks import actions; from loopcraft.core import seeding;"
        "walk = actions.draw_walk(seeding.generator(7, 'walk', 3), 9 * 41);"
        "print(''.join('FLR'[a] for a in walk[::9]))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.strip() == PINNED_ENTRIES
    walk = draw_walk(seeding.generator(7, "walk", 3), TICKS_PER_ENTRY * len(PINNED_ENTRIES))
    assert "".join("FLR"[action] for action in walk[::TICKS_PER_ENTRY]) == PINNED_ENTRIES


def test_sines_are_exact_where_possible():
    sines = heading_sines()
    assert sines[[0, 3, 9, 15, 18, 21, 27, 33]].tolist() == [0, 0.5, 1, 0.5, 0, -0.5, -1, -0.5]
    assert not np.signbit(sines[18])
    np.testing.assert_allclose(sines, np.sin(np.deg2rad(np.arange(0, 360, 10))), atol=5e-16)
    np.testing.assert_array_equal(sines[:18], -sines[18:])
