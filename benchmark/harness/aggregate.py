"""Aggregate the scores of single videos into a metric's result; nothing else in the project aggregates.

A video's value for a window is the mean over the window's frames; a model's value is the mean over videos.
A set-wise metric has one distance per clip, over all videos; its value for a window is the mean over the
window's clips.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float

from benchmark.contract.protocol import EvaluationProtocol, Window
from benchmark.metrics.base import Metric, PairedMetric, SetMetric
from benchmark.results.bootstrap import FEWEST_VIDEOS, bootstrap_interval
from benchmark.results.estimates import Estimate, MetricCard, estimate, number, numbers
from benchmark.results.result_file import Curve, MetricResult

FeaturePair = tuple[Float[np.ndarray, "V D"], Float[np.ndarray, "V D"]]
"""The features of the generated and true clips of V videos at one position in time."""

ONE_VIDEO = "no intervals: they need at least two videos"
ONE_SET = "no intervals: the distance is one number over all videos"
FEW_VIDEOS = (
    "{} videos are few for features of {} dimensions: the distance is too large, and comparable only between "
    "equal numbers of videos; its kernel counterpart (kid, kvd) has no such bias"
)


def aggregate_paired(
    metric: PairedMetric, scores: Float[np.ndarray, "V T columns"], protocol: EvaluationProtocol
) -> Mapping[str, MetricResult]:
    """Return the results of a paired metric and its further columns from the scores of every frame."""
    names = [metric.name, *(f"{metric.name}:{column}" for column in metric.columns)]
    return {
        name: _aggregate_column(card_of(metric, name), scores[:, :, column], protocol)
        for column, name in enumerate(names)
    }


def _aggregate_column(
    card: MetricCard, scores: Float[np.ndarray, "V T"], protocol: EvaluationProtocol
) -> MetricResult:
    has_interval = len(scores) >= FEWEST_VIDEOS
    low, high = bootstrap_interval(scores) if has_interval else (None, None)
    videos = {w.name: scores[:, w.frames].mean(axis=1, dtype=np.float64) for w in protocol.windows}
    return MetricResult(
        card=card,
        windows={name: estimate(values) for name, values in videos.items()},
        curve=Curve(
            step=1,
            mean=numbers(scores.mean(axis=0, dtype=np.float64)),
            low=None if low is None else numbers(low),
            high=None if high is None else numbers(high),
        ),
        videos={name: numbers(values) for name, values in videos.items()},
        notes=() if has_interval else (ONE_VIDEO,),
    )


def aggregate_set(
    metric: SetMetric, features: Iterable[FeaturePair], protocol: EvaluationProtocol
) -> MetricResult:
    """Return the result of a set-wise metric from the features of all videos, one clip position at a time."""
    clip = metric.embedding.clip
    distances, notes = [], [ONE_SET]
    for generated, true in features:
        distances.append(metric.distance(generated, true))
        num_videos, num_dimensions = true.shape
    if metric.biased and num_videos <= num_dimensions:
        notes.append(FEW_VIDEOS.format(num_videos, num_dimensions))
    return MetricResult(
        card=card_of(metric, metric.name),
        windows={
            window.name: Estimate(mean=number(np.mean(distances[_clips(window, clip)])), interval=None)
            for window in protocol.windows
        },
        curve=Curve(step=clip, mean=numbers(np.array(distances)), low=None, high=None),
        videos=None,
        notes=tuple(notes),
    )


def _clips(window: Window, clip: int) -> slice:
    return slice((window.first - 1) // clip, window.last // clip)


def card_of(metric: Metric, name: str) -> MetricCard:
    """Return the description of a metric, or of its further column `name`, for the result."""
    return MetricCard(
        name=name,
        version=metric.version,
        title=metric.title,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        decimals=metric.decimals,
        kind="paired" if isinstance(metric, PairedMetric) else "set-wise",
        weights=dict(metric.weights),
    )
