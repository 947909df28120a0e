"""Intervals and aggregation, compared with independent formulas."""

import numpy as np
import pytest
import scipy.stats

from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from benchmark.harness.aggregate import ONE_SET, ONE_VIDEO, aggregate_paired, aggregate_set
from benchmark.metrics.base import Embedding, PairedMetric, SetMetric
from benchmark.results.bootstrap import bootstrap_interval
from benchmark.results.estimates import number

PAIRED = PairedMetric(
    name="likeness",
    version=3,
    title="Likeness",
    unit="bits",
    higher_is_better=True,
    decimals=2,
    weights={"net": "abc"},
    columns=("doubled",),
    load=lambda resources: lambda predicted, true: predicted,  # type: ignore[return-value]
)
SET = SetMetric(
    name="farness",
    version=1,
    title="Farness",
    higher_is_better=False,
    decimals=1,
    embedding=Embedding(name="net", clip=16, load=lambda resources: lambda clips: clips),  # type: ignore[return-value]
    distance=lambda generated, true: float(np.abs(generated.mean(axis=0) - true.mean(axis=0)).sum()),
)


@pytest.mark.parametrize("num_videos", [5, 30, 400])
def test_the_interval_matches_scipys_percentile_bootstrap(num_videos: int) -> None:
    values = np.random.default_rng(1).gamma(2.0, 3.0, num_videos)
    low, high = bootstrap_interval(values)
    expected = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(2)
    ).confidence_interval
    spread = values.std() / np.sqrt(num_videos)
    assert abs(low - expected.low) < 0.15 * spread
    assert abs(high - expected.high) < 0.15 * spread


def test_intervals_cover_the_truth_nineteen_times_in_twenty() -> None:
    samples = np.random.default_rng(3).normal(7.0, 2.0, (60, 1000))  # 1000 experiments of 60 videos
    low, high = bootstrap_interval(samples)
    assert 0.92 < np.mean((low <= 7.0) & (high >= 7.0)) < 0.97


def test_intervals_are_reproducible_and_column_by_column() -> None:
    values = np.random.default_rng(4).normal(size=(9, 5))
    low, high = bootstrap_interval(values)
    assert low.shape == high.shape == (5,)
    np.testing.assert_allclose(bootstrap_interval(values[:, 2]), (low[2], high[2]), rtol=1e-14)
    np.testing.assert_array_equal(bootstrap_interval(values), (low, high))


def test_equal_videos_leave_no_doubt() -> None:
    np.testing.assert_allclose(bootstrap_interval(np.full(7, 3.25)), (3.25, 3.25), rtol=1e-15)


def test_windows_are_means_over_frames_then_videos() -> None:
    scores = np.random.default_rng(5).random((4, MINI.horizon, 2)).astype(np.float32)
    scores[:, :, 1] = 2 * scores[:, :, 0]
    results = aggregate_paired(PAIRED, scores, MINI)
    assert list(results) == ["likeness", "likeness:doubled"]
    likeness, doubled = results.values()
    for name, first, last in [("short", 0, 16), ("medium", 16, 64), ("long", 64, 192)]:
        per_video = [sum(map(float, video[first:last, 0])) / (last - first) for video in scores]
        assert likeness.videos is not None
        assert likeness.videos[name] == pytest.approx(per_video, rel=1e-6)
        assert likeness.windows[name].mean == pytest.approx(sum(per_video) / 4, rel=1e-6)
        interval = bootstrap_interval(np.array(per_video))
        np.testing.assert_allclose(likeness.windows[name].interval, interval, rtol=1e-6)
        assert doubled.windows[name].mean == pytest.approx(2 * likeness.windows[name].mean, rel=1e-6)
    assert likeness.curve.mean == pytest.approx(scores[:, :, 0].mean(axis=0), rel=1e-5)
    assert all(low <= mean <= high for low, mean, high in zip(
        likeness.curve.low, likeness.curve.mean, likeness.curve.high, strict=True
    ))  # fmt: skip
    assert (likeness.card.version, likeness.card.unit, likeness.card.weights) == (3, "bits", {"net": "abc"})


def test_one_video_has_values_but_no_interval() -> None:
    result = aggregate_paired(PAIRED, np.ones((1, MINI.horizon, 2), np.float32), MINI)["likeness"]
    assert result.windows["short"].interval is None
    assert result.curve.low is None
    assert result.notes == (ONE_VIDEO,)


def test_set_wise_windows_are_means_over_clips() -> None:
    features = [(np.full((3, 2), float(index)), np.zeros((3, 2))) for index in range(12)]
    result = aggregate_set(SET, features, MINI)
    assert result.curve.step == 16
    assert result.curve.mean == tuple(2.0 * index for index in range(12))
    expected = {"short": 0.0, "medium": 4.0, "long": 15.0}  # clips 0, 1-3, 4-11
    assert {name: estimate.mean for name, estimate in result.windows.items()} == expected
    assert result.videos is None
    assert result.notes == (ONE_SET,)


def test_numbers_keep_float32_precision() -> None:
    assert number(np.float32(0.1)) == 0.1
    assert number(1 / 3) == 0.33333334
