"""Columns of a table: recall gain and memory horizon, every headline metric by window, and steering."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.results.estimates import Estimate, Measured, MetricCard
from benchmark.results.recall import (
    find_references,
    horizon_metric,
    memory_horizon,
    recall_gain,
    recall_scores,
)
from leaderboard.entry.folder import Entry

GAIN_METRICS = ("lpips", "psnr", "ssim")
"""Metrics for recall-gain columns, by preference: the first `MOST_GAINS` that some row has are used."""
MOST_GAINS = 2


@dataclass(frozen=True, kw_only=True)
class Column:
    """One number per row and window; the window is "" if the number does not depend on it."""

    id: str
    title: str
    unit: str
    decimals: int
    is_higher_better: bool
    hint: str
    values: Mapping[str, Mapping[str, Estimate]]
    """Estimates by window, then entry id."""
    videos: Mapping[str, Mapping[str, tuple[float | None, ...]]]
    """Values per video by window, then entry id; empty if there are none."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Text to show instead of the mean, by entry id."""
    is_usual: bool = True
    """Whether the column is shown by default."""


def metric_columns(entries: Sequence[Entry]) -> list[Column]:
    """Return a column per headline metric, version and set of weights, in order of first appearance."""
    groups: dict[tuple[str, int, tuple[tuple[str, str], ...]], list[Entry]] = {}
    for entry in entries:
        for name, metric in entry.result.headline.items():
            key = (name, metric.card.version, tuple(sorted(metric.card.weights.items())))
            groups.setdefault(key, []).append(entry)
    columns: list[Column] = []
    for (name, _, _), group in groups.items():
        variant = 1 + sum(column.id.partition("~")[0] == name for column in columns)
        columns.append(_metric_column(name, variant, group))
    return columns


def _metric_column(name: str, variant: int, entries: Sequence[Entry]) -> Column:
    metrics = {entry.id: entry.result.metrics[name] for entry in entries}
    card = next(iter(metrics.values())).card
    windows = [window.name for window in entries[0].result.protocol.windows]
    return Column(
        id=name if variant == 1 else f"{name}~{variant}",
        title=card.title if variant == 1 else f"{card.title} (variant {variant})",
        unit=card.unit,
        decimals=card.decimals,
        is_higher_better=card.higher_is_better,
        hint=_hint(card),
        values={w: {row: metric.windows[w] for row, metric in metrics.items()} for w in windows},
        videos={
            w: {row: metric.videos[w] for row, metric in metrics.items() if metric.videos} for w in windows
        },
    )


def _hint(card: MetricCard) -> str:
    better = "higher is better" if card.higher_is_better else "lower is better"
    weights = "".join(f"; {name} {digest[:8]}" for name, digest in sorted(card.weights.items()))
    return f"{better}; version {card.version} of {card.name}{weights}"


def recall_columns(entries: Sequence[Entry]) -> list[Column]:
    """Return the recall gains by up to `MOST_GAINS` metrics and the memory horizon, if rows have any."""
    shared = [name for name in GAIN_METRICS if any(recall_scores(entry.result, name) for entry in entries)]
    gains = [_gain_column(name, entries) for name in shared[:MOST_GAINS]]
    return [*gains, *_horizon_columns(entries)]


def _gain_column(name: str, entries: Sequence[Entry]) -> Column:
    gains = {entry.id: recall_gain(entry.result, name) for entry in entries}
    scores = (recall_scores(entry.result, name) for entry in entries)
    card = next(score.card for score in scores if score is not None)
    return Column(
        id=f"recall-gain-{name}",
        title=f"Recall gain, {card.title}",
        unit=card.unit,
        decimals=card.decimals,
        is_higher_better=True,
        hint=f"by how much {card.title} is better on surfaces that the context showed and that came back "
        "into sight than on those it never showed; higher is better",
        **_values_and_videos(gains),
    )


def _values_and_videos(scores: Mapping[str, Measured | None]) -> dict[str, Any]:
    """Return the values and videos of a column whose numbers do not depend on the window."""
    available = {row: s for row, s in scores.items() if s is not None and s.estimate is not None}
    return {
        "values": {"": {row: score.estimate for row, score in available.items()}},
        "videos": {"": {row: score.videos for row, score in available.items()}},
    }


def _horizon_columns(entries: Sequence[Entry]) -> Iterator[Column]:
    """Yield a column of memory horizons, measured against the table's own floor and ceiling."""
    references = find_references({entry.id: entry.result for entry in entries})
    if references is None:
        return
    floor, ceiling = references
    values, texts = {}, {}
    for entry in entries:
        metric = horizon_metric(entry.result, floor, ceiling)
        if entry.result.model.name in (floor.model.name, ceiling.model.name) or metric is None:
            continue
        horizon = memory_horizon(entry.result, floor, ceiling, metric)
        if horizon is not None:
            interval = None
            if horizon.interval is not None:
                low, high = horizon.interval
                interval = (low, high or horizon.frames)
            values[entry.id] = Estimate(mean=horizon.frames, interval=interval)
            texts[entry.id] = str(horizon)
    if values:
        yield Column(
            id="memory-horizon",
            title="Memory horizon",
            unit="frames",
            decimals=0,
            is_higher_better=True,
            hint="the age in frames at which half of what can be remembered is forgotten; higher is better",
            values={"": values},
            videos={},
            texts=texts,
        )


STEERING = (
    ("turns_followed", "Turns followed", "share of turning frames whose yaw change matches the action"),
    ("on_course", "On course", "share of frames whose heading, summed from estimated yaw changes, is right"),
)


def steering_columns(entries: Sequence[Entry]) -> list[Column]:
    """Return the columns of how well models follow their actions, if rows have any; hidden by default."""
    columns = []
    for name, title, hint in STEERING:
        scores = {entry.id: getattr(entry.result.steering, name, None) for entry in entries}
        column = Column(
            id=name.replace("_", "-"),
            title=title,
            unit="",
            decimals=3,
            is_higher_better=True,
            hint=f"{hint}; higher is better",
            is_usual=False,
            **_values_and_videos(scores),
        )
        if column.values[""]:
            columns.append(column)
    return columns
