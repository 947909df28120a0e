"""MS-SSIM and SIFT matches: equal to torchmetrics and OpenCV, pinned, right on simple cases."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics.ms_ssim import SMALLEST_SIDE, ms_ssim
from benchmark.metrics.sift import MAX_FEATURES, describe, matches, sift, sift_map
from tests.fakes.tiny_networks import scenes
from tests.references.torchmetrics_calls import multiscale_structural_similarity

METRICS = [ms_ssim, sift]


def reference_ms_ssim(
    predicted: np.ndarray, target: np.ndarray, dtype: torch.dtype = torch.float32
) -> np.ndarray:
    a, b = (torch.from_numpy(x).permute(0, 3, 1, 2).to(dtype) / 255 for x in (predicted, target))
    return multiscale_structural_similarity(a, b, data_range=(0.0, 1.0), reduction=None).numpy()


def reference_sift(predicted: np.ndarray, target: np.ndarray) -> list[int]:
    """Match with OpenCV's own matcher, both ways."""
    extractor, matcher = cv2.SIFT_create(nfeatures=MAX_FEATURES), cv2.BFMatcher(cv2.NORM_L2)
    counts = []
    for pair in zip(predicted, target, strict=True):
        a, b = (
            extractor.detectAndCompute(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), None)[1] for frame in pair
        )
        ways = [
            {
                (best.queryIdx, best.trainIdx)
                for best, second in matcher.knnMatch(one, other, k=2)
                if best.distance < 0.8 * second.distance
            }
            for one, other in ((a, b), (b, a))
        ]
        counts.append(len(ways[0] & {(train, query) for query, train in ways[1]}))
    return counts


def disturb(frames: np.ndarray, strength: int, seed: int = 5) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-128, 128, frames.shape)
    return (frames + noise * strength // 8).clip(0, 255).astype(np.uint8)


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(SMALLEST_SIDE, SMALLEST_SIDE + 40))
def test_ms_ssim_matches_torchmetrics(seed: int, side: int) -> None:
    target = scenes(seed, 3, side)
    predicted = np.concatenate([disturb(target[:2], seed % 5 + 1), scenes(seed + 1, 1, side)])
    expected = reference_ms_ssim(predicted, target)
    np.testing.assert_allclose(ms_ssim(predicted, target), expected, rtol=0, atol=1e-4)


def test_ms_ssim_is_accurate_to_a_millionth() -> None:
    target = scenes(0, 1, 176)
    predicted = disturb(target, 2)
    expected = reference_ms_ssim(predicted, target, torch.float64)
    np.testing.assert_allclose(ms_ssim(predicted, target), expected, rtol=0, atol=1e-6)


def test_opposite_contrast_scores_zero() -> None:
    """A negative term is clipped, as in torchmetrics, before a fractional exponent is applied."""
    frame = scenes(3, 1, 200)
    assert ms_ssim(255 - frame, frame)[0] == reference_ms_ssim(255 - frame, frame)[0] == 0.0


@pytest.mark.parametrize("side", [64, 96])
def test_sift_matches_opencv(side: int) -> None:
    target = scenes(0, 4, side)
    for predicted in (np.roll(target, 3, axis=2), disturb(target, 1), scenes(1, 4, side)):
        assert sift(predicted, target).tolist() == reference_sift(predicted, target)


def test_pinned_values() -> None:
    target, predicted = scenes(11, 1, 192), disturb(scenes(11, 1, 192), 3)
    np.testing.assert_allclose(ms_ssim(predicted, target), [0.72002864], rtol=0, atol=1e-5)
    # features are OpenCV's: the count may move by a few with its version
    np.testing.assert_allclose(sift(predicted, target), [15], rtol=0, atol=3)


@pytest.mark.parametrize("metric", METRICS)
def test_identical_frames_have_the_best_value(metric) -> None:
    frames = scenes(2, 2, 192)
    best = metric(frames, frames)
    if metric is ms_ssim:
        np.testing.assert_array_equal(best, 1.0)
    else:
        features = np.array([len(np.unique(describe(frame), axis=0)) for frame in frames])
        assert (best > 0.8 * features).all()
        assert (best <= features).all()


@pytest.mark.parametrize("metric", METRICS)
def test_more_disturbance_is_worse(metric) -> None:
    target = scenes(4, 1, 192)
    values = [metric(disturb(target, strength), target)[0] for strength in (0, 1, 2, 4)]
    values.append(metric(scenes(5, 1, 192), target)[0])
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


@pytest.mark.parametrize("metric", METRICS)
def test_a_score_does_not_depend_on_the_batch(metric) -> None:
    predicted, target = scenes(6, 3, 176), disturb(scenes(6, 3, 176), 2)
    whole = metric(predicted, target)
    order = [2, 0, 1]
    np.testing.assert_array_equal(metric(predicted[order], target[order]), whole[order])
    parts = [metric(predicted[n : n + 1], target[n : n + 1]) for n in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_small_frames_are_refused() -> None:
    frames = scenes(0, 1, SMALLEST_SIDE - 1)
    with pytest.raises(ValueError, match="176 pixels"):
        ms_ssim(frames, frames)


def test_frames_without_texture_match_nothing() -> None:
    blank = np.full((1, 64, 64, 3), 90, np.uint8)
    assert sift(blank, blank)[0] == sift(blank, scenes(0, 1))[0] == sift(scenes(0, 1), blank)[0] == 0


def test_only_clear_and_mutual_pairs_count() -> None:
    def points(*values: int) -> np.ndarray:
        vectors = np.zeros((len(values), 128), np.float32)
        vectors[:, 0] = values
        return vectors

    assert len(matches(points(0, 100), points(0, 100))) == 2
    assert len(matches(points(0, 100), points(10, 12, 100))) == 1  # 10 and 12 are alike for 0
    assert len(matches(points(0, 25, 1000), points(12, 1000))) == 1  # clear one way, ambiguous the other
    assert len(matches(points(0, 200), points(40, 50))) == 0  # exactly four fifths is not clear
    assert len(matches(points(0), points(0, 100))) == 0


def test_the_sift_map_counts_the_matched_true_features() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (1, 12, 12, 3), dtype=np.uint8)
    frames = frames.repeat(8, axis=1).repeat(8, axis=2)
    half = frames.copy()
    half[:, :, 48:] = 90
    same, changed = sift_map(frames, frames), sift_map(half, frames)
    for mapped, predicted in ((same, frames), (changed, half)):
        np.testing.assert_array_equal(mapped.values, sift(predicted, frames))
        assert mapped.charges.sum() == mapped.values.sum()
        assert mapped.weights is not None
        assert mapped.weights.sum() == len(describe(frames[0]))
        assert (mapped.charges <= mapped.weights).all()
    left, right = (matched_share(changed, part) for part in (slice(0, 40), slice(56, 96)))
    assert left > 0.5
    assert right == 0


def matched_share(mapped, columns: slice) -> float:
    return mapped.charges[:, :, columns].sum() / mapped.weights[:, :, columns].sum()
