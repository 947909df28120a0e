"""Means over videos with intervals, the per-video values behind them, and their schema checks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from statistics import fmean
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from benchmark.results.bootstrap import FEWEST_VIDEOS, bootstrap_interval
from loopcraft.core.decoding import SchemaError

_ROUNDING = 1e-5
"""Relative tolerance in checks of means, as result files hold rounded values."""
_MOST_DECIMALS = 12


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over videos and its 95 % bootstrap interval, None if not computed (see the metric's notes)."""

    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One value per video, in the order of the result's keys, and the mean over the videos that have one."""

    estimate: Estimate | None
    """None if no video has a value."""
    videos: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class MetricCard:
    """Description of a metric; `weights` maps pretrained networks to revisions, `decimals` is for tables."""

    name: str
    version: int
    title: str
    unit: str
    higher_is_better: bool
    decimals: int
    kind: Literal["paired", "set-wise"]
    weights: Mapping[str, str]


def estimate(values: Float[np.ndarray, " V"]) -> Estimate:
    """Return the mean over videos, with its interval if there are at least `FEWEST_VIDEOS`."""
    if len(values) < FEWEST_VIDEOS:
        return Estimate(mean=number(values.mean()), interval=None)
    low, high = bootstrap_interval(values)
    return Estimate(mean=number(values.mean()), interval=(number(low), number(high)))


def measured(values: Float[np.ndarray, " V"]) -> Measured:
    """Convert values per video, NaN if missing, to the form stored in result files."""
    has_value = ~np.isnan(values)
    return Measured(
        estimate=estimate(values[has_value]) if has_value.any() else None,
        videos=tuple(number(value) if has else None for value, has in zip(values, has_value, strict=True)),
    )


def video_values(scores: Measured) -> Float[np.ndarray, " V"]:
    """Return the values of all videos, NaN if missing."""
    return np.array([np.nan if value is None else value for value in scores.videos], np.float64)


def check_measured(path: str, scores: Measured, num_videos: int) -> None:
    """Raise `SchemaError` unless there is one entry per video and the mean matches them and its interval."""
    if len(scores.videos) != num_videos:
        raise SchemaError(f"{path}.videos: expected an entry for each of data.keys")
    values = [value for value in scores.videos if value is not None]
    if (scores.estimate is None) != (not values):
        raise SchemaError(f"{path}.estimate: expected an estimate if and only if some video has a value")
    if scores.estimate is not None:
        check_estimate(f"{path}.estimate", scores.estimate)
        check_mean(f"{path}.estimate", scores.estimate, "videos", values)


def check_estimate(path: str, estimate: Estimate) -> None:
    """Raise `SchemaError` if the mean is outside its interval."""
    low, high = estimate.interval or (estimate.mean, estimate.mean)
    slack = _ROUNDING * abs(estimate.mean)
    if not low - slack <= estimate.mean <= high + slack:
        raise SchemaError(f"{path}: the mean {estimate.mean} is outside its interval {estimate.interval}")


def check_mean(path: str, estimate: Estimate, source: str, values: Sequence[float]) -> None:
    """Raise `SchemaError` unless the mean is that of `values`; empty `values` pass."""
    if values and not isclose(fmean(values), estimate.mean, abs_tol=_ROUNDING * max(map(abs, values))):
        raise SchemaError(f"{path}.mean: is {estimate.mean}, but the mean of its {source} is {fmean(values)}")


def check_card(path: str, name: str, card: MetricCard) -> None:
    """Raise `SchemaError` unless the key is the metric's own plain name and `decimals` is in range."""
    require_plain_name(path, name, also=":")
    if card.name != name:
        raise SchemaError(f"{path}.{name}.card.name: expected {name!r}, found {card.name[:60]!r}")
    if not 0 <= card.decimals <= _MOST_DECIMALS:
        raise SchemaError(f"{path}.{name}.card.decimals: expected 0 to {_MOST_DECIMALS}")


def require_plain_name(path: str, name: str, also: str = "") -> None:
    """Raise `SchemaError` unless `name` is safe as a file name.

    It is 1 to 100 letters, digits, `_`, `-`, `.` and characters of `also`, the first a letter, digit or `_`.
    """
    if not re.fullmatch(rf"[A-Za-z0-9_][A-Za-z0-9_.{also}-]{{0,99}}", name):
        raise SchemaError(f"{path}: {name[:60]!r} is not a plain name (letters, digits, _, -, .)")


def numbers(values: Float[np.ndarray, " n"]) -> tuple[float, ...]:
    """Convert values with `number`, for a result file."""
    return tuple(number(value) for value in values)


def number(value: Any) -> float:
    """Round to the shortest decimal that reads back as the same float32, so files hold no spurious digits."""
    return float(str(np.float32(value)))
