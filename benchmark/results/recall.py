"""What results say of memory: the gain on what returned, the curve against age, the memory horizon.

Pure functions of result files; docs/recall.md defines every number so that it can be computed again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, isinf, log2, sqrt
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from benchmark.results.bootstrap import CONFIDENCE, FEWEST_VIDEOS, resampling_weights
from benchmark.results.estimates import Estimate, Measured, measured, values_of
from benchmark.results.recall_schema import Recall, RecallScores
from benchmark.results.result_file import Result
from loopcraft.core.errors import UserError

HALF = 0.5
"""The share of the ceiling's gain to which a model's gain must fall for its memory to have ended."""
FLOOR, CEILINGS = "other-video", ("autoencoded", "ground-truth")
"""The references by name: who knows nothing, and who knows everything that can be drawn."""
HORIZON_METRICS = ("lpips", "ssim", "psnr")
"""By which a memory horizon is measured: the first that the runs share."""


@dataclass(frozen=True, kw_only=True)
class AgePoint:
    """What a metric is over the pixels that returned after `first` to `last` frames."""

    first: int
    last: int
    estimate: Estimate
    num_videos: int
    share: float
    """Of all pixels of the horizon."""

    @property
    def middle(self) -> float:
        """The age at which a curve draws it: the geometric mean of its ages."""
        return middle_of(self.first, self.last)


@dataclass(frozen=True, kw_only=True)
class GainPoint:
    """An age bin of a memory horizon: which share of the ceiling's gain over the floor the model has."""

    first: int
    last: int
    share: float
    fitted: float
    """The same, made to fall with age."""
    num_videos: int


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """The age in frames at which half of what can be remembered is gone.

    `frames` is that age; for the verdict "longer" the greatest age that the data has, for "none" 0. The
    interval's upper end is None where it is open.
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
    """How much better what returned is than what was never shown, video by video; positive is better.

    None if the run was not scored by the metric with recall masks.
    """
    scores = scores_of(result, metric)
    return None if scores is None else measured(gains_of(scores))


def gains_of(scores: RecallScores) -> Float[np.ndarray, " V"]:
    """The gain of each video; NaN where it has not both kinds of pixels."""
    gains: Float[np.ndarray, " V"] = _sign(scores) * (
        values_of(scores.returned) - values_of(scores.never_shown)
    )
    return gains


def age_curve(result: Result, metric: str) -> tuple[AgePoint, ...]:
    """The metric against frames since last shown; the bins that a video has pixels of, youngest first."""
    recall, scores = result.recall, scores_of(result, metric)
    if recall is None or scores is None:
        return ()
    total = pixels_of(recall).sum()
    return tuple(
        AgePoint(
            first=first,
            last=last,
            estimate=found.estimate,
            num_videos=sum(value is not None for value in found.videos),
            share=sum(count) / total,
        )
        for (first, last), found, count in zip(recall.ages, scores.by_age, recall.pixels.by_age, strict=True)
        if found.estimate is not None
    )


def memory_horizon(model: Result, floor: Result, ceiling: Result, metric: str) -> Horizon | None:
    """The age at which a model's gain over `floor` has fallen to half of `ceiling`'s; see docs/recall.md.

    None if the three have no age bin in common in which the ceiling is above the floor. Raises `UserError`
    where they were scored with different masks.
    """
    from scipy.optimize import isotonic_regression  # slow to import

    runs = {"the model": model, "the floor": floor, "the ceiling": ceiling}
    require_same_masks({f"{role} ({run.model.name})": run for role, run in runs.items()})
    paired = _paired_gains(model, floor, ceiling, metric)
    if paired is None:
        return None
    bins, gains, most, pixels = paired
    everyone = np.ones((1, len(gains)))
    shares, weights = (rows[0] for rows in _shares(everyone, gains, most, pixels))
    is_used = weights > 0
    if not is_used.any():
        return None
    bins = [ages for ages, used in zip(bins, is_used, strict=True) if used]
    gains, most, pixels = gains[:, is_used], most[:, is_used], pixels[:, is_used]
    shares, weights = shares[is_used], weights[is_used]
    fitted = isotonic_regression(shares, weights=weights, increasing=False).x
    last = int(_last_remembered(shares[None], weights[None])[0])
    verdict, frames = _verdict(bins, fitted, last)
    return Horizon(
        verdict=verdict,
        frames=frames,
        interval=_interval(bins, gains, most, pixels),
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


def references_in(results: Mapping[str, Result]) -> tuple[Result, Result] | None:
    """The floor and the ceiling among results that have recall; None where one is missing."""
    by_name = {run.model.name: run for run in results.values() if run.recall is not None}
    ceiling = next((by_name[name] for name in CEILINGS if name in by_name), None)
    return None if FLOOR not in by_name or ceiling is None else (by_name[FLOOR], ceiling)


def horizon_metric(*results: Result) -> str | None:
    """By which metric these results' memory horizons are measured; None if they share none."""
    shared = (name for name in HORIZON_METRICS if all(scores_of(run, name) is not None for run in results))
    return next(shared, None)


def scores_of(result: Result, metric: str) -> RecallScores | None:
    """A metric by what was shown, where the run has it."""
    return None if result.recall is None else result.recall.metrics.get(metric)


def require_same_masks(results: Mapping[str, Result]) -> None:
    """Raise `UserError` where results with recall have other pixels of a kind in a video they share.

    Kinds that one of them does not know, of other bins of age, are not compared.
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
                    "score one anew (another --out)"
                )


def middle_of(first: int, last: int) -> float:
    """The geometric mean of a bin's ages."""
    return sqrt(first * last)


def pixels_of(recall: Recall) -> Float64[np.ndarray, "kinds V"]:
    """The pixels of each kind (sky, never shown, in sight, then by age) of each video."""
    pixels = recall.pixels
    return np.array([pixels.sky, pixels.never_shown, pixels.in_sight, *pixels.by_age], np.float64)


def _pixels_by_key(result: Result) -> dict[str, dict[tuple[int, int], int]]:
    """Of every video the pixels of each kind; all 0 for one without masks."""
    assert result.recall is not None
    names = [(-2, -2), (-1, -1), (0, 0), *result.recall.ages]
    counts = pixels_of(result.recall).astype(int).T.tolist()
    return {
        key: dict(zip(names, row, strict=True)) for key, row in zip(result.data.keys, counts, strict=True)
    }


def _sign(scores: RecallScores) -> int:
    return 1 if scores.card.higher_is_better else -1


Gains = Float[np.ndarray, "V bins"]


def _paired_gains(
    model: Result, floor: Result, ceiling: Result, metric: str
) -> tuple[list[tuple[int, int]], Gains, Gains, Gains] | None:
    """The age bins; by video the gains of model and ceiling over the floor, NaN if one lacks it; pixels."""
    runs = (model, floor, ceiling)
    scores = [scores_of(run, metric) for run in runs]
    keys = [key for key in model.data.keys if all(key in run.data.keys for run in runs)]
    if any(found is None for found in scores) or not keys:
        return None
    assert model.recall is not None
    shared = [
        ages for ages in model.recall.ages if all(run.recall and ages in run.recall.ages for run in runs)
    ]
    if not shared:
        return None
    tables = []
    for run, found in zip(runs, scores, strict=True):
        assert found is not None
        assert run.recall is not None
        columns = [values_of(found.by_age[run.recall.ages.index(ages)]) for ages in shared]
        rows = [run.data.keys.index(key) for key in keys]
        tables.append(_sign(found) * np.array(columns).reshape(len(shared), -1).T[rows])
    counts = [model.recall.pixels.by_age[model.recall.ages.index(ages)] for ages in shared]
    rows = [model.data.keys.index(key) for key in keys]
    pixels = np.array(counts, np.float64).reshape(len(shared), -1).T[rows]
    gains, most = tables[0] - tables[1], tables[2] - tables[1]
    is_missing = np.isnan(gains) | np.isnan(most)
    gains[is_missing], most[is_missing], pixels[is_missing] = np.nan, np.nan, 0.0
    return shared, gains, most, pixels


def _shares(
    draws: Float[np.ndarray, "R V"], gains: Gains, most: Gains, pixels: Gains
) -> tuple[Float64[np.ndarray, "R bins"], Float64[np.ndarray, "R bins"]]:
    """For each draw of videos and each bin: mean gain over the ceiling's mean gain, and the bin's weight.

    A bin weighs what it has of pixels; nothing where the ceiling is not above the floor.
    """
    got, whole = draws @ np.nan_to_num(gains), draws @ np.nan_to_num(most)
    is_above: Bool[np.ndarray, "R bins"] = whole > 0
    shares = np.where(is_above, got / np.where(is_above, whole, 1.0), 0.0)
    return shares, np.where(is_above, draws @ pixels, 0.0)


def _last_remembered(
    shares: Float[np.ndarray, "R bins"], weights: Float[np.ndarray, "R bins"]
) -> Int64[np.ndarray, " R"]:
    """The last bin in which the fitted share is above half; -1 if there is none.

    The non-increasing fit is above a half up to where the sum of weight x (share - half) is greatest.
    """
    sums = np.cumsum(weights * (shares - HALF), axis=1)
    last: Int64[np.ndarray, " R"] = (
        np.concatenate([np.zeros((len(sums), 1)), sums], axis=1).argmax(axis=1) - 1
    )
    return last


def _verdict(
    bins: list[tuple[int, int]], fitted: Float[np.ndarray, " bins"], last: int
) -> tuple[Literal["measured", "longer", "none"], float]:
    """Where the fitted share is a half, between the bins' middles, on a logarithmic scale of age."""
    if last < 0:
        return "none", 0.0
    if last == len(bins) - 1:
        return "longer", float(bins[-1][1])
    here, there = (log2(middle_of(*bins[place])) for place in (last, last + 1))
    way = np.clip((fitted[last] - HALF) / (fitted[last] - fitted[last + 1]), 0.0, 1.0)
    return "measured", float(2 ** (here + way * (there - here)))


def _interval(
    bins: list[tuple[int, int]], gains: Gains, most: Gains, pixels: Gains
) -> tuple[float, float | None] | None:
    """From the first age of the last bin remembered to the last age of the first forgotten, by resamples."""
    if len(gains) < FEWEST_VIDEOS:
        return None
    last = _last_remembered(*_shares(resampling_weights(len(gains)), gains, most, pixels))
    lows = np.array([0.0, *(float(first) for first, _ in bins)])
    highs = np.array([*(float(end) for _, end in bins), inf])
    tail = 50.0 * (1.0 - CONFIDENCE)
    low = float(np.percentile(lows[last + 1], tail, method="lower"))
    high = float(np.percentile(highs[last + 1], 100.0 - tail, method="higher"))
    return low, None if isinf(high) else high
