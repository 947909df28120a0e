"""The columns of a table: recall gain and memory horizon first, then every headline metric by window."""

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
"""By which a recall gain may be a column; the first two that some row has."""
MOST_GAINS = 2


@dataclass(frozen=True, kw_only=True)
class Column:
    """One number of every row. Where it is the same in all windows, the window is called ""."""

    id: str
    title: str
    unit: str
    decimals: int
    is_higher_better: bool
    hint: str
    values: Mapping[str, Mapping[str, Estimate]]
    """Window, then entry id."""
    videos: Mapping[str, Mapping[str, tuple[float | None, ...]]]
    """The values of videos, likewise; empty where there are none."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """By entry id, what a cell says where that is not the mean."""
    is_usual: bool = True
    """Whether it is shown before a reader chooses columns."""


def metric_columns(entries: Sequence[Entry]) -> list[Column]:
    """A column for each way in which some row computed a headline metric, in order of first appearance."""
    ways: dict[tuple[object, ...], list[Entry]] = {}
    for entry in entries:
        for name, metric in entry.result.headline.items():
            ways.setdefault((name, *_way(metric.card)), []).append(entry)
    columns: list[Column] = []
    for way, having in ways.items():
        name = str(way[0])
        variant = 1 + sum(column.id.partition("~")[0] == name for column in columns)
        columns.append(_metric_column(name, variant, having))
    return columns


def _way(card: MetricCard) -> tuple[object, ...]:
    return card.version, tuple(sorted(card.weights.items()))


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
        values={window: {row: found.windows[window] for row, found in metrics.items()} for window in windows},
        videos={
            window: {row: found.videos[window] for row, found in metrics.items() if found.videos}
            for window in windows
        },
    )


def _hint(card: MetricCard) -> str:
    """What a reader sees when pointing at the heading."""
    better = "higher is better" if card.higher_is_better else "lower is better"
    weights = "".join(f"; {name} {digest[:8]}" for name, digest in sorted(card.weights.items()))
    return f"{better}; version {card.version} of {card.name}{weights}"


def recall_columns(entries: Sequence[Entry]) -> list[Column]:
    """Recall gain by up to two metrics and the memory horizon, where rows have recall."""
    shared = [name for name in GAIN_METRICS if any(recall_scores(entry.result, name) for entry in entries)]
    gains = [_gain_column(name, entries) for name in shared[:MOST_GAINS]]
    return [*gains, *_horizon_columns(entries)]


def _gain_column(name: str, entries: Sequence[Entry]) -> Column:
    """By how much what returned is better than what was never shown, video by video."""
    gains = {entry.id: recall_gain(entry.result, name) for entry in entries}
    having = {row: found for row, found in gains.items() if found is not None and found.estimate is not None}
    card = next(found.card for entry in entries if (found := recall_scores(entry.result, name)) is not None)
    return Column(
        id=f"recall-gain-{name}",
        title=f"Recall gain, {card.title}",
        unit=card.unit,
        decimals=card.decimals,
        is_higher_better=True,
        hint=f"by how much {card.title} is better of what the context showed and came back into sight "
        "than of what it never showed; higher is better",
        **_measured(having),
    )


def _measured(having: Mapping[str, Measured]) -> dict[str, Any]:
    """The values and videos of a column whose numbers are the same in all windows."""
    return {
        "values": {"": {row: found.estimate for row, found in having.items()}},
        "videos": {"": {row: found.videos for row, found in having.items()}},
    }


def _horizon_columns(entries: Sequence[Entry]) -> Iterator[Column]:
    """The memory horizon of every row beside the table's own floor and ceiling."""
    references = find_references({entry.id: entry.result for entry in entries})
    if references is None:
        return
    floor, ceiling = references
    values, texts = {}, {}
    for entry in entries:
        metric = horizon_metric(entry.result, floor, ceiling)
        if entry.result.model.name in (floor.model.name, ceiling.model.name) or metric is None:
            continue
        found = memory_horizon(entry.result, floor, ceiling, metric)
        if found is not None:
            interval = (
                None if found.interval is None else (found.interval[0], found.interval[1] or found.frames)
            )
            values[entry.id] = Estimate(mean=found.frames, interval=interval)
            texts[entry.id] = str(found)
    if values:
        yield Column(
            id="memory-horizon",
            title="Memory horizon",
            unit="frames",
            decimals=0,
            is_higher_better=True,
            hint="the age in frames at which half of what can be remembered is gone; higher is better",
            values={"": values},
            videos={},
            texts=texts,
        )


STEERING = (
    ("turns_followed", "Turns followed", "share of turning frames whose change of yaw is that of the action"),
    ("on_course", "On course", "share of frames whose heading, summed up from the pictures, is the true one"),
)


def steering_columns(entries: Sequence[Entry]) -> list[Column]:
    """Whether models go where their actions say, where rows have it; shown to those who ask."""
    columns = []
    for name, title, hint in STEERING:
        found = {
            entry.id: getattr(entry.result.steering, name)
            for entry in entries
            if entry.result.steering is not None
        }
        having = {row: one for row, one in found.items() if one.estimate is not None}
        if having:
            columns.append(
                Column(
                    id=name.replace("_", "-"),
                    title=title,
                    unit="",
                    decimals=3,
                    is_higher_better=True,
                    hint=f"{hint}; higher is better",
                    is_usual=False,
                    **_measured(having),
                )
            )
    return columns
