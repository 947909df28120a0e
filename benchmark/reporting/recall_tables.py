"""Recall tables from results: kinds of pixels, memory horizon, steering and consistency, a row per run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from benchmark.results.estimates import Estimate, Measured, MetricCard, measured, video_values
from benchmark.results.formats import ABSENT
from benchmark.results.recall import (
    HORIZON_METRICS,
    find_references,
    memory_horizon,
    pixel_counts,
    recall_scores,
    require_same_masks,
    video_gains,
)
from benchmark.results.recall_schema import SURFACE_PSNR, RecallScores
from benchmark.results.result_file import Result
from benchmark.results.tables import format_estimate, order_rows
from loopcraft.core.cli import one_line

KINDS = (("never shown", "never_shown"), ("in sight since", "in_sight"), ("returned", "returned"))
STEERING = (
    ("turns followed", "turns_followed", 3),
    ("on course", "on_course", 3),
    ("yaw error (degrees)", "yaw_error_deg", 2),
    ("lag (frames)", "lag_frames", 2),
    ("standing still", "standing_still", 3),
    ("true frames: yaw error", "true_yaw_error_deg", 2),
    ("true frames: on course", "true_on_course", 3),
)
CONSISTENCY = (
    ("with itself", "with_itself"),
    ("with the truth", "with_truth"),
    ("with the context", "with_context"),
    ("true frames among themselves", "possible"),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a recall table, with its cells as text."""

    label: str
    is_reference: bool
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RecallTable:
    """A table of recall; each column is a name and a note for the line below it, such as its share."""

    title: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


def recall_tables(results: Mapping[str, Result], metrics: Sequence[str] | None = None) -> list[RecallTable]:
    """Return all tables for which the results have numbers, of the given metrics or of all."""
    return [
        *surfaces_tables(results, metrics),
        *age_tables(results, metrics),
        *horizon_table(results),
        *surfaces_tables(results, metrics, on_course=True),
        *steering_table(results),
        *consistency_tables(results, metrics),
    ]


@dataclass(frozen=True)
class Compared:
    """A metric that all runs have: its card, scores by source, and which videos have masks in all runs."""

    card: MetricCard
    scores: Mapping[str, RecallScores]
    masked: Bool[np.ndarray, " V"]

    def mean(self, scores: Measured) -> Estimate | None:
        """Return the mean over the masked videos that have a value."""
        return measured(video_values(scores)[self.masked]).estimate


def surfaces_tables(
    results: Mapping[str, Result], metrics: Sequence[str] | None = None, *, on_course: bool = False
) -> list[RecallTable]:
    """Return a table per metric that all runs have: a column per kind of pixel, and the recall gain.

    The note of a kind is its share of pixels and the number of videos that have any. Only videos that every
    run scored with masks count; without any there is no table. With `on_course`, scores are over the frames
    in which each run is on course. Raises `UserError` if the runs' masks differ.
    """
    suffix = "of surfaces, frames on course" if on_course else "of surfaces"
    return [
        _surfaces_table(table_title(compared.card, suffix), compared, results, with_shares=not on_course)
        for compared in _compared(results, metrics, on_course=on_course)
    ]


def age_tables(results: Mapping[str, Result], metrics: Sequence[str] | None = None) -> list[RecallTable]:
    """Return a table per metric that all runs have: a row per age bin, a column per run, references first."""
    order, tables = order_rows(results), []
    for compared in _compared(results, metrics):
        recall = next(iter(results.values())).recall
        assert recall is not None
        counts = pixel_counts(recall)[:, compared.masked]
        rows = []
        for index, (first, last) in enumerate(recall.ages):
            share = _share(counts[3 + index], counts)
            cells = [compared.mean(compared.scores[source].by_age[index]) for _, source, _ in order]
            texts = tuple(_text(cell, compared.card.decimals) for cell in cells)
            rows.append(Row(label=f"{first}-{last} frames ago, {share}", is_reference=False, cells=texts))
        columns = [(label, "(reference)" if run.model.role == "bound" else "") for label, _, run in order]
        title = table_title(compared.card, "of returned surfaces, by age")
        tables.append(RecallTable(title=title, columns=tuple(columns), rows=tuple(rows)))
    return tables


def _compared(
    results: Mapping[str, Result], metrics: Sequence[str] | None, *, on_course: bool = False
) -> Iterator[Compared]:
    require_same_masks(results)
    recalls = {source: run.recall for source, run in results.items() if run.recall is not None}
    if len(recalls) < len(results):
        return
    masked = np.all([pixel_counts(recall).sum(axis=0) > 0 for recall in recalls.values()], axis=0)
    tables = {source: recall.on_course if on_course else recall.metrics for source, recall in recalls.items()}
    for name, scores in next(iter(tables.values())).items():
        is_wanted = metrics is None or name in metrics
        if masked.any() and is_wanted and all(name in table for table in tables.values()):
            yield Compared(scores.card, {source: table[name] for source, table in tables.items()}, masked)


def _surfaces_table(
    title: str, compared: Compared, results: Mapping[str, Result], *, with_shares: bool
) -> RecallTable:
    recall = next(iter(results.values())).recall
    assert recall is not None
    counts = pixel_counts(recall)[:, compared.masked]
    parts = zip(KINDS, (counts[1], counts[2], counts[3:].sum(axis=0)), strict=True)
    kinds = [(name, field, count) for (name, field), count in parts if count.any()]
    columns = [(name, _share(count, counts) if with_shares else "") for name, _, count in kinds]
    rows = {
        source: [compared.mean(getattr(scores, field)) for _, field, _ in kinds]
        for source, scores in compared.scores.items()
    }
    if {"returned", "never shown"} <= {name for name, *_ in kinds}:
        columns.append(("gain of returned", "over never shown"))
        for source, scores in compared.scores.items():
            rows[source].append(measured(video_gains(scores)[compared.masked]).estimate)
    return table_of_estimates(title, columns, rows, results, [compared.card.decimals] * len(columns))


def _share(count: Float[np.ndarray, " V"], counts: Float[np.ndarray, "kinds V"]) -> str:
    return f"{count.sum() / counts.sum():.1%} of {np.count_nonzero(count)} videos"


def horizon_table(results: Mapping[str, Result]) -> list[RecallTable]:
    """Return the memory-horizon table, a column per metric; empty without references or shared metrics."""
    references = find_references(results)
    if references is None:
        return []
    floor, ceiling = references
    metrics = [
        name
        for name in HORIZON_METRICS
        if all(recall_scores(run, name) is not None for run in (floor, ceiling, *results.values()))
    ]
    if not metrics:
        return []
    cells = {
        source: [
            ABSENT if (horizon := memory_horizon(run, floor, ceiling, name)) is None else str(horizon)
            for name in metrics
        ]
        for source, run in results.items()
    }
    cards = (scores.card for name in metrics if (scores := recall_scores(floor, name)) is not None)
    title = f"Memory horizon (frames), between {floor.model.name} and {ceiling.model.name}"
    return [_table(one_line(title), [(f"by {card.title}", "") for card in cards], cells, results)]


def steering_table(results: Mapping[str, Result]) -> list[RecallTable]:
    """Return the table of how well runs follow their actions; empty if steering was not measured."""
    if all(run.steering is None for run in results.values()):
        return []
    rows = {
        source: [
            None if run.steering is None else getattr(run.steering, name).estimate for _, name, _ in STEERING
        ]
        for source, run in results.items()
    }
    columns = [(title, "") for title, _, _ in STEERING]
    return [table_of_estimates("Steering", columns, rows, results, [places for *_, places in STEERING])]


def consistency_tables(
    results: Mapping[str, Result], metrics: Sequence[str] | None = None
) -> list[RecallTable]:
    """Return a consistency table per metric that all runs have: frames at one pose, or pixels of one face."""
    runs = list(results.values())
    tables = []
    for name, scores in runs[0].consistency.items():
        is_wanted = metrics is None or name in metrics or (name == SURFACE_PSNR and "psnr" in metrics)
        if is_wanted and all(name in run.consistency for run in runs):
            rows = {
                source: [getattr(run.consistency[name], column).estimate for _, column in CONSISTENCY]
                for source, run in results.items()
            }
            columns = [
                (title, f"{sum(value is not None for value in getattr(scores, column).videos)} videos")
                for title, column in CONSISTENCY
            ]
            decimals = [scores.card.decimals] * len(columns)
            title = table_title(scores.card, "back in sight" if name == SURFACE_PSNR else "back at a pose")
            tables.append(table_of_estimates(title, columns, rows, results, decimals))
    return tables


def table_title(card: MetricCard, suffix: str) -> str:
    """Return a title like "PSNR (dB) of frames"."""
    return one_line(f"{card.title} ({card.unit}) {suffix}" if card.unit else f"{card.title} {suffix}")


def _text(estimate: Estimate | None, decimals: int) -> str:
    return ABSENT if estimate is None else format_estimate(estimate, decimals)


def table_of_estimates(
    title: str,
    columns: Sequence[tuple[str, str]],
    rows: Mapping[str, Sequence[Estimate | None]],
    results: Mapping[str, Result],
    decimals: Sequence[int],
) -> RecallTable:
    """Return a table of estimates; `rows` has the same keys as `results`."""
    cells = {
        source: [_text(cell, places) for cell, places in zip(row, decimals, strict=True)]
        for source, row in rows.items()
    }
    return _table(title, columns, cells, results)


def _table(
    title: str,
    columns: Sequence[tuple[str, str]],
    cells: Mapping[str, Sequence[str]],
    results: Mapping[str, Result],
) -> RecallTable:
    return RecallTable(
        title=title,
        columns=tuple(columns),
        rows=tuple(
            Row(label=label, is_reference=result.model.role == "bound", cells=tuple(cells[source]))
            for label, source, result in order_rows(results)
        ),
    )
