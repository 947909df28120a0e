"""Measures of memory from results: the recall gain, the age curve and the memory horizon.

All are pure functions of results; docs/recall.md defines every number precisely enough to recompute it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isinf, log2, sqrt
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from benchmark.results.bootstrap import CONFIDENCE, FEWEST_VIDEOS, resampling_weights
from benchmark.results.estimates import Estimate, Measured, measured, video_values
from benchmark.results.recall_schema import Recall, RecallScores
from benchmark.results.result_file import Result
from loopcraft.core.errors import UserError

HALF = 0.5
"""Share of the ceiling's gain at which a model's memory counts as ended."""
FLOOR, CEILINGS = "other-video", ("autoencoded", "ground-truth")
"""Names of the references: the floor knows nothing, the ceiling everything that can be drawn."""
HORIZON_METRICS = ("lpips", "ssim", "psnr")
"""Metrics for the memory horizon, by preference: the first that all runs have is used."""


@dataclass(frozen=True, kw_only=True)
class AgePoint:
    """A metric over the pixels that returned `first` to `last` frames after the context last showed them."""

    first: int
    last: int
    estimate: Estimate
    num_videos: int
    share: float
    """Share of all pixels of the horizon."""

    @property
    def middle(self) -> float:
        """Age at which a curve draws the point: the geometric mean of `first` and `last`."""
        return bin_middle(self.first, self.last)


@dataclass(frozen=True, kw_only=True)
class GainPoint:
    """One age bin of a memory horizon, with the model's share of the ceiling's gain over the floor."""

    first: int
    last: int
    share: float
    fitted: float
    """The share after the non-increasing fit."""
    num_videos: int


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """The age in frames at which half of what can be remembered is forgotten.

    `frames` is that age, or the greatest age in the data for the verdict "longer", or 0 for "none". An open
    upper end of the interval is None.
    """

    verdict: Literal["measured", "longer", "none"]
    frames: float
    interval: tuple[float, float | None] | None
    metric: str
    points: tuple[GainPoint, ...]

    def __str__(self) -> str:
        if self.verdict == "none":
            return "none"
        text = f"longer than {self.frames:.0f}" if self.verdict == "longer" else f"{self.frames:.0f}"
        if self.interval is None:
            return text
        low, high = self.interval
        return f"{text} [{low:.0f}, {'∞' if high is None else f'{high:.0f}'}]"


def recall_gain(result: Result, metric: str) -> Measured | None:
    """Return, per video, how much better returned pixels score than never-shown ones; positive is better.

    None if the run was not scored by the metric with recall masks.
    """
    scores = recall_scores(result, metric)
    return None if scores is None else measured(video_gains(scores))


def video_gains(scores: RecallScores) -> Float[np.ndarray, " V"]:
    """Return the recall gain of each video, NaN for videos that lack either kind of pixel."""
    gains: Float[np.ndarray, " V"] = _sign(scores) * (
        video_values(scores.returned) - video_values(scores.never_shown)
    )
    return gains


def age_curve(result: Result, metric: str) -> tuple[AgePoint, ...]:
    """Return the metric by frames since last shown, youngest bin first; bins without pixels are left out."""
    recall, scores = result.recall, recall_scores(result, metric)
    if recall is None or scores is None:
        return ()
    total = pixel_counts(recall).sum()
    return tuple(
        AgePoint(
            first=first,
            last=last,
            estimate=score.estimate,
            num_videos=sum(value is not None for value in score.videos),
            share=sum(count) / total,
        )
        for (first, last), score, count in zip(recall.ages, scores.by_age, recall.pixels.by_age, strict=True)
        if score.estimate is not None
    )


def memory_horizon(model: Result, floor: Result, ceiling: Result, metric: str) -> Horizon | None:
    """Return the age at which a model's gain over `floor` falls to half of `ceiling`'s; see docs/recall.md.

    None if the three share no age bin in which the ceiling is above the floor. Raises `UserError` if they
    were scored with different masks.
    """
    from scipy.optimize import isotonic_regression  # slow to import

    runs = {"the model": model, "the floor": floor, "the ceiling": ceiling}
    require_same_masks({f"{role} ({run.model.name})": run for role, run in runs.items()})
    paired = _paired_gains(model, floor, ceiling, metric)
    if paired is None:
        return None
    bins, gains, possible, pixels = paired
    all_videos = np.ones((1, len(gains)))
    shares, weights = (rows[0] for rows in _shares(all_videos, gains, possible, pixels))
    is_used = weights > 0
    if not is_used.any():
        return None
    bins = [ages for ages, used in zip(bins, is_used, strict=True) if used]
    gains, possible, pixels = gains[:, is_used], possible[:, is_used], pixels[:, is_used]
    shares, weights = shares[is_used], weights[is_used]
    fitted = isotonic_regression(shares, weights=weights, increasing=False).x
    last = int(_last_remembered(shares[None], weights[None])[0])
    verdict, frames = _verdict(bins, fitted, last)
    return Horizon(
        verdict=verdict,
        frames=frames,
        interval=_interval(bins, gains, possible, pixels),
        metric=metric,
        points=tuple(
            GainPoint(
                first=ages[0], last=ages[1], share=float(share), fitted=float(fit), num_videos=int(count)
            )
            for ages, share, fit, count in zip(
                bins, shares, fitted, (~np.isnan(gains)).sum(axis=0), strict=True
            )
        ),
    )


def find_references(results: Mapping[str, Result]) -> tuple[Result, Result] | None:
    """Return the floor and the ceiling among the results with recall scores, or None if either is missing."""
    by_name = {run.model.name: run for run in results.values() if run.recall is not None}
    ceiling = next((by_name[name] for name in CEILINGS if name in by_name), None)
    return None if FLOOR not in by_name or ceiling is None else (by_name[FLOOR], ceiling)


def horizon_metric(*results: Result) -> str | None:
    """Return the metric for the memory horizons of these results, or None if they share none."""
    shared = (n for n in HORIZON_METRICS if all(recall_scores(run, n) is not None for run in results))
    return next(shared, None)


def recall_scores(result: Result, metric: str) -> RecallScores | None:
    """Return a metric's scores by kind of pixel, or None if the run has none."""
    return None if result.recall is None else result.recall.metrics.get(metric)


def require_same_masks(results: Mapping[str, Result]) -> None:
    """Raise `UserError` if two results with recall scores count different pixels in a video they share.

    Only kinds of pixels (age bins included) that both have are compared.
    """
    with_recall = {source: run for source, run in results.items() if run.recall is not None}
    tables = [(source, _pixels_by_key(run)) for source, run in with_recall.items()]
    for source, table in tables[1:]:
        first_source, first = tables[0]
        for key in sorted(first.keys() & table.keys()):
            shared = first[key].keys() & table[key].keys()
            is_masked = any(first[key].values()) and any(table[key].values())
            if is_masked and any(first[key][name] != table[key][name] for name in shared):
                raise UserError(
                    f"{first_source} and {source} were scored with different recall masks (video {key}); "
                    "score one again, with another --out"
                )


def bin_middle(first: int, last: int) -> float:
    """Return the geometric mean of an age bin's ends."""
    return sqrt(first * last)


def pixel_counts(recall: Recall) -> Float64[np.ndarray, "kinds V"]:
    """Return the pixel counts of each kind (sky, never shown, in sight, then by age) per video."""
    pixels = recall.pixels
    return np.array([pixels.sky, pixels.never_shown, pixels.in_sight, *pixels.by_age], np.float64)


def _pixels_by_key(result: Result) -> dict[str, dict[tuple[int, int], int]]:
    """Return the pixels of each kind by video key; all are 0 for a video without masks."""
    assert result.recall is not None
    names = [(-2, -2), (-1, -1), (0, 0), *result.recall.ages]
    counts = pixel_counts(result.recall).astype(int).T.tolist()
    return {
        key: dict(zip(names, row, strict=True)) for key, row in zip(result.data.keys, counts, strict=True)
    }


def _sign(scores: RecallScores) -> int:
    return 1 if scores.card.higher_is_better else -1


Gains = Float[np.ndarray, "V bins"]


def _paired_gains(
    model: Result, floor: Result, ceiling: Result, metric: str
) -> tuple[list[tuple[int, int]], Gains, Gains, Gains] | None:
    """Return (age bins, model's gains, ceiling's gains, pixels); a gain is NaN if any run lacks the score."""
    runs = (model, floor, ceiling)
    scores = [recall_scores(run, metric) for run in runs]
    keys = [key for key in model.data.keys if all(key in run.data.keys for run in runs)]
    if any(score is None for score in scores) or not keys:
        return None
    assert model.recall is not None
    shared = [
        ages for ages in model.recall.ages if all(run.recall and ages in run.recall.ages for run in runs)
    ]
    if not shared:
        return None
    tables = []
    for run, score in zip(runs, scores, strict=True):
        assert score is not None
        assert run.recall is not None
        columns = [video_values(score.by_age[run.recall.ages.index(ages)]) for ages in shared]
        rows = [run.data.keys.index(key) for key in keys]
        tables.append(_sign(score) * np.array(columns).reshape(len(shared), -1).T[rows])
    counts = [model.recall.pixels.by_age[model.recall.ages.index(ages)] for ages in shared]
    rows = [model.data.keys.index(key) for key in keys]
    pixels = np.array(counts, np.float64).reshape(len(shared), -1).T[rows]
    gains, possible = tables[0] - tables[1], tables[2] - tables[1]
    is_missing = np.isnan(gains) | np.isnan(possible)
    gains[is_missing], possible[is_missing], pixels[is_missing] = np.nan, np.nan, 0.0
    return shared, gains, possible, pixels


def _shares(
    draws: Float[np.ndarray, "R V"], gains: Gains, possible: Gains, pixels: Gains
) -> tuple[Float64[np.ndarray, "R bins"], Float64[np.ndarray, "R bins"]]:
    """Return, per draw of videos and bin, the model's share of the ceiling's gain, and the bin's weight.

    The weight is the number of pixels, or 0 if the ceiling is not above the floor.
    """
    gain, ceiling = draws @ np.nan_to_num(gains), draws @ np.nan_to_num(possible)
    is_above: Bool[np.ndarray, "R bins"] = ceiling > 0
    shares = np.where(is_above, gain / np.where(is_above, ceiling, 1.0), 0.0)
    return shares, np.where(is_above, draws @ pixels, 0.0)


def _last_remembered(
    shares: Float[np.ndarray, "R bins"], weights: Float[np.ndarray, "R bins"]
) -> Int64[np.ndarray, " R"]:
    """Return the index of the last bin whose fitted share is above a half, -1 if there is none.

    The non-increasing fit is above a half up to where the running sum of weight x (share - half) peaks.
    """
    sums = np.cumsum(weights * (shares - HALF), axis=1)
    last: Int64[np.ndarray, " R"] = (
        np.concatenate([np.zeros((len(sums), 1)), sums], axis=1).argmax(axis=1) - 1
    )
    return last


def _verdict(
    bins: list[tuple[int, int]], fitted: Float[np.ndarray, " bins"], last: int
) -> tuple[Literal["measured", "longer", "none"], float]:
    """Return the verdict and the age at which the fit crosses a half, log-linear between bin middles."""
    if last < 0:
        return "none", 0.0
    if last == len(bins) - 1:
        return "longer", float(bins[-1][1])
    start, end = (log2(bin_middle(*bins[index])) for index in (last, last + 1))
    fraction = np.clip((fitted[last] - HALF) / (fitted[last] - fitted[last + 1]), 0.0, 1.0)
    return "measured", float(2 ** (start + fraction * (end - start)))


def _interval(
    bins: list[tuple[int, int]], gains: Gains, possible: Gains, pixels: Gains
) -> tuple[float, float | None] | None:
    """Bootstrap from the first age of the last remembered bin to the last age of the first forgotten one."""
    if len(gains) < FEWEST_VIDEOS:
        return None
    last = _last_remembered(*_shares(resampling_weights(len(gains)), gains, possible, pixels))
    lows = np.array([0.0, *(float(first) for first, _ in bins)])
    highs = np.array([*(float(age) for _, age in bins), inf])
    tail = 50.0 * (1.0 - CONFIDENCE)
    low = float(np.percentile(lows[last + 1], tail, method="lower"))
    high = float(np.percentile(highs[last + 1], 100.0 - tail, method="higher"))
    return low, None if isinf(high) else high
