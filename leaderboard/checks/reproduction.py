"""Every mean and every interval of a result, made again from its per-video values by the project's bootstrap.

The bootstrap draws videos by their place, so values that stand in another order than their keys give other
intervals: a result that was joined by position is found as one whose mean was edited is.
"""

from collections.abc import Iterator

import numpy as np

from benchmark.results.bootstrap import FEWEST_VIDEOS, bootstrap_interval
from benchmark.results.estimates import Estimate
from benchmark.results.recall_schema import iterate_measured
from benchmark.results.result_file import Curve, MetricResult, Result
from leaderboard.checks.findings import Finding, refused

TOLERANCE = 2e-5
"""Of the interval's width. Rounding to float32 makes 2e-6; another order of 64 videos 5e-4 and more."""
_FLOAT32 = 1e-6
"""Of the greatest value: what rounding alone may change where an interval has hardly any width."""

_AGAIN = "submit the result file as benchmark.run wrote it"


def check_reproduction(result: Result) -> Iterator[Finding]:
    """What in the result does not follow from its videos."""
    keys = result.data.keys
    if list(keys) != sorted(keys):
        yield refused("data.keys are not in order", _AGAIN)
    for name, metric in result.metrics.items():
        yield from _check_curve(f"metrics.{name}.curve", metric.curve)
        if metric.videos is None:
            continue
        if set(metric.videos) != set(metric.windows):
            yield refused(f"metrics.{name}.videos lack a window", _AGAIN)
            continue
        for window, values in metric.videos.items():
            place = f"metrics.{name}.windows.{window}"
            yield from _check_estimate(place, metric.windows[window], np.array(values))
        yield from _check_bands(name, metric, len(keys))
    for part in ("recall", "steering", "consistency"):
        for place, found in iterate_measured(part, getattr(result, part)):
            if found.estimate is not None:
                yield from _check_estimate(place, found.estimate, np.array(found.videos, np.float64))


def _check_estimate(place: str, given: Estimate, values: np.ndarray) -> Iterator[Finding]:
    """The mean and the interval, against those of the values."""
    values = values[~np.isnan(values)]
    slack = _FLOAT32 * float(np.abs(values).max())
    if len(values) < FEWEST_VIDEOS:
        if given.interval is not None:
            yield refused(f"{place} has an interval of one video", _AGAIN)
        return
    if given.interval is None:
        yield refused(f"{place} has no interval, and its {len(values)} videos give one", _AGAIN)
        return
    low, high = bootstrap_interval(values)
    slack += TOLERANCE * float(high - low)
    parts = (
        ("mean", given.mean, values.mean()),
        ("low", given.interval[0], low),
        ("high", given.interval[1], high),
    )
    for part, found, expected in parts:
        if abs(found - float(expected)) > slack:
            yield refused(
                f"{place}.{part} is {found:.8g}, and the values of its videos, in the order of their keys, "
                f"give {float(expected):.8g}",
                _AGAIN,
            )


def _check_curve(place: str, curve: Curve) -> Iterator[Finding]:
    """A curve's mean lies within its band."""
    if (curve.low is None) != (curve.high is None):
        yield refused(f"{place} has half a band", _AGAIN)
    if curve.low is None or curve.high is None:
        return
    mean, low, high = map(np.array, (curve.mean, curve.low, curve.high))
    slack = _FLOAT32 * float(np.abs(mean).max())
    if not len(mean) == len(low) == len(high) or np.any(low > mean + slack) or np.any(high < mean - slack):
        yield refused(f"{place}: the mean leaves its band", _AGAIN)


def _check_bands(name: str, metric: MetricResult, num_videos: int) -> Iterator[Finding]:
    """Where there are intervals there is a band of the curve."""
    if num_videos >= FEWEST_VIDEOS and metric.curve.low is None:
        yield refused(f"metrics.{name}.curve has no band", _AGAIN)
