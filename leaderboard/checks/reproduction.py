"""Recompute every mean and interval of a result from its per-video values with the project's bootstrap.

The bootstrap draws videos by index, so values that are not in the order of their keys give other intervals:
this finds results joined by position as well as edited means.
"""

from collections.abc import Iterator

import numpy as np

from benchmark.results.bootstrap import FEWEST_VIDEOS, bootstrap_interval
from benchmark.results.estimates import Estimate
from benchmark.results.recall_schema import iterate_measured
from benchmark.results.result_file import Curve, Result
from leaderboard.checks.findings import Finding, refused

TOLERANCE = 2e-5
"""Relative to the interval's width. Rounding to float32 costs 2e-6, reordering 64 videos at least 5e-4."""
_FLOAT32 = 1e-6
"""Relative to the largest value: the error of rounding alone, for intervals of almost no width."""

_REMEDY = "submit the result file as benchmark.run wrote it"


def check_reproduction(result: Result) -> Iterator[Finding]:
    """Yield a refusal for each number that does not follow from the per-video values."""
    keys = result.data.keys
    if list(keys) != sorted(keys):
        yield refused("data.keys are not sorted", _REMEDY)
    for name, metric in result.metrics.items():
        yield from _check_curve(f"metrics.{name}.curve", metric.curve)
        if metric.videos is None:
            continue
        if set(metric.videos) != set(metric.windows):
            yield refused(f"metrics.{name}.videos lacks a window", _REMEDY)
            continue
        for window, values in metric.videos.items():
            path = f"metrics.{name}.windows.{window}"
            yield from _check_estimate(path, metric.windows[window], np.array(values))
        if len(keys) >= FEWEST_VIDEOS and metric.curve.low is None:
            yield refused(f"metrics.{name}.curve has no band", _REMEDY)
    for part in ("recall", "steering", "consistency"):
        for path, scores in iterate_measured(part, getattr(result, part)):
            if scores.estimate is not None:
                yield from _check_estimate(path, scores.estimate, np.array(scores.videos, np.float64))


def _check_estimate(path: str, given: Estimate, values: np.ndarray) -> Iterator[Finding]:
    """Check a mean and its interval against those of the values."""
    values = values[~np.isnan(values)]
    slack = _FLOAT32 * float(np.abs(values).max())
    if len(values) < FEWEST_VIDEOS:
        if given.interval is not None:
            yield refused(f"{path} has an interval from only one video", _REMEDY)
        return
    if given.interval is None:
        yield refused(f"{path} has no interval although it has {len(values)} videos", _REMEDY)
        return
    low, high = bootstrap_interval(values)
    slack += TOLERANCE * float(high - low)
    parts = (
        ("mean", given.mean, values.mean()),
        ("low", given.interval[0], low),
        ("high", given.interval[1], high),
    )
    for part, actual, expected in parts:
        if abs(actual - float(expected)) > slack:
            yield refused(
                f"{path}.{part} is {actual:.8g}, but the values of its videos, in the order of their keys, "
                f"give {float(expected):.8g}",
                _REMEDY,
            )


def _check_curve(path: str, curve: Curve) -> Iterator[Finding]:
    if (curve.low is None) != (curve.high is None):
        yield refused(f"{path} has only half a band", _REMEDY)
    if curve.low is None or curve.high is None:
        return
    mean, low, high = map(np.array, (curve.mean, curve.low, curve.high))
    slack = _FLOAT32 * float(np.abs(mean).max())
    if not len(mean) == len(low) == len(high) or np.any(low > mean + slack) or np.any(high < mean - slack):
        yield refused(f"{path}: the mean is outside its band", _REMEDY)
