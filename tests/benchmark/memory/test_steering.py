"""Steering measured from frames: turns in a synthetic panorama, and measures worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.harness.steering_scores import lag, measure_steering
from benchmark.memory.steering import FIELD_OF_VIEW_DEG, changes, correlations, on_cylinder, turns

NUM_FRAMES = 40


def panorama(seed: int, height: int = 256, width: int = 1440) -> np.ndarray:
    """Draw a grey panorama (H, W) with blotches at several scales, four columns per degree."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for cell in (8, 20, 60):
        rows, columns = -(-height // cell), width // cell
        grid = rng.normal(size=(rows, columns)).repeat(cell, axis=0)[:height].repeat(cell, axis=1)
        total += np.pad(grid, ((0, 0), (0, width - grid.shape[1])), mode="wrap")
    return 127 + 100 * total / np.abs(total).max()


def view(picture: np.ndarray, yaw_deg: float, side: int = 64) -> np.ndarray:
    """Render a pinhole view pixel by pixel: column -> angle, row -> height on a unit cylinder."""
    focal = side / 2 / math.tan(math.radians(FIELD_OF_VIEW_DEG / 2))
    frame = np.zeros((side, side, 3), np.uint8)
    for column in range(side):
        x = (column + 0.5 - side / 2) / focal
        angle = yaw_deg + math.degrees(math.atan(x))
        for row in range(side):
            height = (row + 0.5 - side / 2) / focal / math.hypot(1, x)
            source_row = int(np.clip((height + 1) / 2 * len(picture), 0, len(picture) - 1))
            frame[row, column] = picture[source_row, int(angle * 4) % picture.shape[1]]
    return frame


@pytest.mark.parametrize("side", [48, 64, 128])
@pytest.mark.parametrize("turn_deg", [-10.0, 0.0, 10.0, 20.0])
def test_a_turn_of_the_camera_is_found(turn_deg: float, side: int) -> None:
    picture = panorama(0)
    frames = np.stack([view(picture, 50 + turn_deg * step, side) for step in range(3)])
    np.testing.assert_allclose(turns(frames), turn_deg, atol=0.7)


def test_a_mirrored_picture_turns_the_other_way() -> None:
    frames = np.stack([view(panorama(1), yaw) for yaw in (0, 10, 14, 14, 4)])
    np.testing.assert_allclose(turns(frames[:, :, ::-1]), -turns(frames), atol=1e-6)


def test_correlations_match_numpy() -> None:
    one, other = (on_cylinder(view(panorama(2), yaw)) for yaw in (0, 7))
    values = correlations(one, other, 20)
    for shift in (-20, -3, 0, 7, 20):
        a, b = (one[:, shift:], other[:, : 64 - shift]) if shift >= 0 else (one[:, :shift], other[:, -shift:])
        both = (a >= 0) & (b >= 0)
        assert values[shift + 20] == pytest.approx(np.corrcoef(a[both], b[both])[0, 1], abs=1e-6)


def test_frames_without_texture_have_finite_turns() -> None:
    flat = np.full((3, 16, 16, 3), 90, np.uint8)
    assert np.isfinite(turns(flat)).all()
    assert changes(flat).tolist() == [0, 0]
    flat[1:] += 30
    assert changes(flat).tolist() == [30, 0]


def make_perfect_steering(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Make the steering rows and states of a perfect model: turns of 9 frames, walks of 9."""
    rng = np.random.default_rng(seed)
    true = np.repeat(rng.choice([-10.0, 0.0, 10.0], 12), 9)
    states = np.zeros((len(true) + 1, 6))
    states[:, 4] = (np.concatenate([[170.0], 170.0 + np.cumsum(true)]) + 180) % 360 - 180
    states[1:, 0] = np.select([true < 0, true > 0], [1, 2], 0)
    states[1:, 1] = np.cumsum(np.where(true == 0, 0.2, 0.0))
    rows = np.stack([true, np.full_like(true, 8.0), true, np.full_like(true, 8.0)], axis=1)
    return rows, states


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_a_model_that_turns_as_instructed_is_on_course(seed: int) -> None:
    rows, states = make_perfect_steering(seed)
    steering = measure_steering(rows, states)
    assert steering.on_course.all()
    assert steering.numbers["yaw_error_deg"] < 1e-9
    assert steering.numbers["turns_followed"] in (1.0, pytest.approx(math.nan, nan_ok=True))
    assert steering.numbers["standing_still"] in (0.0, pytest.approx(math.nan, nan_ok=True))


def test_a_missed_turn_leads_off_course_until_corrected() -> None:
    rows, states = make_perfect_steering(0)
    rows[20, 0] += 10.0
    rows[21, 0] += 10.0
    rows[60, 0] -= 10.0
    rows[100, 0] += 2.4  # within the dead band
    steering = measure_steering(rows, states)
    assert np.flatnonzero(~steering.on_course).tolist() == list(range(21, 60))
    assert steering.numbers["yaw_error_deg"] == pytest.approx(32.4 / len(rows))
    assert steering.numbers["true_yaw_error_deg"] == 0


def test_a_frozen_picture_stands_still_and_follows_no_turn() -> None:
    rows, states = make_perfect_steering(3)
    rows[:, :2] = 0.0
    steering = measure_steering(rows, states)
    assert steering.numbers["turns_followed"] == 0.0
    assert steering.numbers["standing_still"] == 1.0
    assert math.isnan(steering.numbers["lag_frames"])


def test_walking_into_a_wall_is_not_standing_still() -> None:
    rows, states = make_perfect_steering(3)
    rows[:, 1] = 0.0
    states[:, 1] = 0.0  # forward is pressed, and nothing moves
    assert math.isnan(measure_steering(rows, states).numbers["standing_still"])


@pytest.mark.parametrize("frames", [-8, -3, 0, 1, 8])
def test_a_lag_is_found(frames: int) -> None:
    true = np.repeat(np.random.default_rng(1).choice([-10.0, 0.0, 10.0], 20), 9)
    assert lag(np.roll(true, frames), true) == frames


def test_noise_has_no_lag() -> None:
    rng = np.random.default_rng(2)
    true = np.repeat(rng.choice([-10.0, 0.0, 10.0], 20), 9)
    assert math.isnan(lag(rng.normal(size=len(true)), true))
    assert math.isnan(lag(true, np.zeros_like(true)))
