"""A mean over videos with its interval, and the numbers of the videos that it comes from."""

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
"""By how much of its greatest part a mean may differ from that of the rounded parts."""
_MOST_DECIMALS = 12


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over videos with its 95 % bootstrap interval; None if there is none (see the metric's notes)."""

    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A number a video, in the order of the result's keys, and the mean over the videos that have one."""

    estimate: Estimate | None
    """None if no video has a number."""
    videos: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class MetricCard:
    """What a metric's numbers mean; `weights` are the revisions of its pretrained networks.

    `decimals` is how many of them tables show.
    """

    name: str
    version: int
    title: str
    unit: str
    higher_is_better: bool
    decimals: int
    kind: Literal["paired", "set-wise"]
    weights: Mapping[str, str]


def estimate(values: Float[np.ndarray, " V"]) -> Estimate:
    """The mean over videos, with its interval where there are enough of them."""
    if len(values) < FEWEST_VIDEOS:
        return Estimate(mean=number(values.mean()), interval=None)
    low, high = bootstrap_interval(values)
    return Estimate(mean=number(values.mean()), interval=(number(low), number(high)))


def measured(values: Float[np.ndarray, " V"]) -> Measured:
    """A value a video, NaN where it has none, as a result file holds them."""
    has_value = ~np.isnan(values)
    return Measured(
        estimate=estimate(values[has_value]) if has_value.any() else None,
        videos=tuple(number(value) if has else None for value, has in zip(values, has_value, strict=True)),
    )


def values_of(found: Measured) -> Float[np.ndarray, " V"]:
    """The numbers of all videos, NaN where there is none."""
    return np.array([np.nan if value is None else value for value in found.videos], np.float64)


def check_measured(path: str, found: Measured, num_videos: int) -> None:
    """Raise `SchemaError` unless there is an entry a video, and the mean is theirs and in its interval."""
    if len(found.videos) != num_videos:
        raise SchemaError(f"{path}.videos: expected an entry for each of data.keys")
    values = [value for value in found.videos if value is not None]
    if (found.estimate is None) != (not values):
        raise SchemaError(f"{path}.estimate: is there if and only if a video has a number")
    if found.estimate is not None:
        check_estimate(f"{path}.estimate", found.estimate)
        check_mean(f"{path}.estimate", found.estimate, "videos", values)


def check_estimate(path: str, found: Estimate) -> None:
    """Raise `SchemaError` where a mean lies outside its interval."""
    low, high = found.interval or (found.mean, found.mean)
    slack = _ROUNDING * abs(found.mean)
    if not low - slack <= found.mean <= high + slack:
        raise SchemaError(f"{path}: the mean {found.mean} lies outside its interval {found.interval}")


def check_mean(path: str, found: Estimate, source: str, values: Sequence[float]) -> None:
    """Raise `SchemaError` unless a mean is that of `values`, where there are any."""
    if values and not isclose(fmean(values), found.mean, abs_tol=_ROUNDING * max(map(abs, values))):
        raise SchemaError(f"{path}.mean: is {found.mean}, that of its {source} {fmean(values)}")


def check_card(path: str, name: str, card: MetricCard) -> None:
    """Raise `SchemaError` unless a metric stands under its own plain name, with few decimals."""
    require_plain(path, name, also=":")
    if card.name != name:
        raise SchemaError(f"{path}.{name}.card.name: expected {name!r}, found {card.name[:60]!r}")
    if not 0 <= card.decimals <= _MOST_DECIMALS:
        raise SchemaError(f"{path}.{name}.card.decimals: expected 0 to {_MOST_DECIMALS}")


def require_plain(path: str, name: str, also: str = "") -> None:
    """Names of a file may become names of files: letters, digits, `_`, `-`, `.` within, and nothing else.

    Raises `SchemaError` for others.
    """
    if not re.fullmatch(rf"[A-Za-z0-9_][A-Za-z0-9_.{also}-]{{0,99}}", name):
        raise SchemaError(f"{path}: {name[:60]!r} is no plain name")


def numbers(values: Float[np.ndarray, " n"]) -> tuple[float, ...]:
    """Values as a result file holds them."""
    return tuple(number(value) for value in values)


def number(value: Any) -> float:
    """The shortest decimal that reads back as the same float32: what was measured, and no digits more."""
    return float(str(np.float32(value)))
