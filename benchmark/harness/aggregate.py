"""Scores of single videos to a metric's result: the project's one aggregation.

A window's value of a video is the mean over its frames; a model's is the mean over videos of that. A set-wise
metric has one distance a clip over all videos, and a window's value is the mean over its clips.
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
"""The features of the generated and of the true clips of V videos at one place in time."""

ONE_VIDEO = "no intervals: they need at least two videos"
ONE_SET = "no intervals: the distance is one number over all videos"
FEW_VIDEOS = (
    "{} videos are few for features of {} dimensions: the distance is too large, and comparable only between "
    "equal numbers of videos; its kernel counterpart (kid, kvd) has no such bias"
)


def aggregate_paired(
    metric: PairedMetric, scores: Float[np.ndarray, "V T columns"], protocol: EvaluationProtocol
) -> Mapping[str, MetricResult]:
    """The results of a paired metric and of its further columns, from its scores of every video and frame."""
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
    """The result of a set-wise metric from the features of all videos, clip after clip of the horizon."""
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
    """What a result says of a metric, or of its further column `name`."""
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
