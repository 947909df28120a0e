"""Plans: the rules for every plan, the numbers of the paper's plans, and refusals."""

import itertools
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopcraft.core.errors import UserError
from models.networks.tokens import Grid
from models.plans.__main__ import main
from models.plans.builders import NAMED_PLANS, framepack, framepack_mirrored, millivid, upscale
from models.plans.picture import COLORS, plan_pixels
from models.plans.plan import CONTEXT, DENOISED, UNSEEN, Plan


def play(plan: Plan, chunks: int = 3) -> np.ndarray:
    """Count how often each (level, frame) is denoised and assert that every context read is known."""
    known = {(level, frame) for level in range(plan.num_levels) for frame in range(plan.denoising_start)}
    counts = np.zeros((plan.num_levels, plan.num_frames + chunks * plan.width), int)
    for chunk in range(chunks):
        for step in plan.steps:
            for level, frame in np.argwhere(step == CONTEXT).tolist():
                assert (level, frame + chunk * plan.width) in known
            for level, frame in np.argwhere(step == DENOISED).tolist():
                known.add((level, frame + chunk * plan.width))
                counts[level, frame + chunk * plan.width] += 1
    return counts[:, plan.denoising_start : plan.denoising_start + chunks * plan.width]


@pytest.mark.parametrize("name", NAMED_PLANS)
def test_every_finest_token_is_denoised_once_from_known_context(name):
    counts = play(NAMED_PLANS[name].build(Grid()))
    assert (counts[0] == 1).all()
    if name != "framepack-mirrored":
        assert (counts == 1).all()  # only that plan redoes drafts


@pytest.mark.parametrize("name", NAMED_PLANS)
def test_budget_is_the_same_in_all_steps(name):
    plan = NAMED_PLANS[name].build(Grid())
    assert len(set(plan.num_tokens(Grid(levels=plan.num_levels)).tolist())) == 1


@given(st.integers(1, 3), st.lists(st.integers(1, 4), min_size=0, max_size=2), st.integers(0, 2))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_any_millivid_plan_is_sound(finest, factors, extra):
    windows = list(itertools.accumulate([finest, *factors], operator.mul))
    plan = millivid(windows, extra * 256)
    assert (play(plan, 2) == 1).all()
    assert len(plan.steps) == sum(windows[-1] // window for window in windows)
    assert len(set(plan.num_tokens(Grid(levels=len(windows))).tolist())) == 1


@given(st.integers(1, 3), st.lists(st.integers(1, 4), min_size=1, max_size=2), st.integers(1, 2))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_nested_plan_reads_the_same_frames_at_all_coarser_levels(finest, factors, extra):
    windows = list(itertools.accumulate([finest, *factors], operator.mul))
    plain, nested = (millivid(windows, extra * 256, nested=nested) for nested in (False, True))
    assert (play(nested, 2) == 1).all()
    assert nested.groups == plain.groups
    for step, bare in zip(nested.steps, plain.steps, strict=True):
        assert (step[bare != UNSEEN] == bare[bare != UNSEEN]).all()
        assert ((step == DENOISED) == (bare == DENOISED)).all()
        for finer, coarser in itertools.pairwise(step):
            assert (coarser[finer != UNSEEN] != UNSEEN).all()
        coarsest = np.flatnonzero(step[-1])
        assert (np.diff(coarsest) == 1).all()  # no gap: the oldest frames were added
    grid = Grid(levels=len(windows))
    tokens = nested.num_tokens(grid)
    reaches_back = np.array([step[-1, 0] != UNSEEN for step in nested.steps])
    assert (tokens.max() - tokens < np.where(reaches_back, tokens.max(), grid.tokens_per_level[-1])).all()


def test_the_numbers_of_the_main_setting():
    plan = NAMED_PLANS["millivid"].build(Grid())
    assert (plan.num_frames, plan.denoising_start, plan.width, len(plan.steps)) == (447, 255, 192, 85)
    assert plan.num_chunks(768) == 4
    assert plan.num_chunks(1) == 1
    assert set(plan.num_tokens(Grid()).tolist()) == {3840}


def test_first_steps_of_a_small_plan():
    plan = millivid([1, 2], 16, tokens_at_0=16)  # 16 tokens at level 0, 4 at level 1
    assert plan.steps.tolist() == [
        [[0, 0, 0, 0, 1, 0, 0], [1, 1, 1, 1, 0, 2, 2]],
        [[0, 0, 0, 0, 1, 2, 0], [0, 0, 0, 0, 0, 1, 1]],
        [[0, 0, 0, 0, 0, 1, 2], [0, 0, 0, 0, 1, 0, 1]],
    ]


def test_groups_are_drawn_equally_often():
    plan = millivid([1, 4], 16, tokens_at_0=16)
    np.testing.assert_allclose(np.diff(plan.step_cdf(), prepend=0), [1 / 2] + [1 / 8] * 4)


def test_drafts_of_a_mirrored_plan():
    plan = framepack_mirrored([1, 2, 8, 32], [1, 2, 8, 32])
    assert (plan.width, plan.num_drafts, plan.denoising_start) == (1, 42, 43)
    assert plan.num_chunks_within(768) == 726


def test_windows_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match=r"\[2, 5, 11\] must each divide"):
        millivid([2, 5, 11], 256)


def mutants():
    once = framepack([1, 2], 1).steps
    hole = upscale(4, 3).steps.copy()
    hole[-2, 0, np.flatnonzero(hole[-2, 0])[1]] = UNSEEN
    return {"twice": np.concatenate([once, once]), "hole": hole}


@pytest.mark.parametrize(
    ("name", "message"),
    [("twice", "denoised 2 times, not once"), ("hole", "denoised 0 times, not once")],
)
def test_broken_plans_are_refused(name, message):
    with pytest.raises(UserError, match=message):
        Plan(steps=mutants()[name], groups=(0,) * len(mutants()[name]))


def test_reading_the_future_is_refused():
    steps = upscale(4, 3).steps.copy()
    with pytest.raises(UserError, match="before it is denoised"):
        Plan(steps=steps[::-1].copy(), groups=(0,) * len(steps))


def test_the_picture_has_a_line_per_level_with_coarse_ones_on_top():
    plan = millivid([1, 2], 16, tokens_at_0=16)
    pixels = plan_pixels(plan, max_steps=2)
    assert pixels.shape == (2 * 3 - 1, 7, 3)
    assert tuple(pixels[0, 5]) == COLORS[DENOISED]  # step 0, level 1
    assert tuple(pixels[1, 4]) == COLORS[CONTEXT]  # step 0, level 0
    assert tuple(pixels[2, 0]) == (255, 255, 255)


def test_command_draws_and_refuses(tmp_path, capsys):
    out = tmp_path / "plan.png"
    assert main(["millivid-3-level", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert "21 steps of [1024] tokens finish 16 frames, from 21 context frames" in capsys.readouterr().out
    assert main(["nonsense"]) == 2
    assert "there is no plan 'nonsense'; choose one of millivid," in capsys.readouterr().err
