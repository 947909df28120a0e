"""Tables of recall from result files, a row a run: kinds of pixels, memory horizon, steering, consistency."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from benchmark.results.estimates import Estimate, Measured, MetricCard, measured, values_of
from benchmark.results.formats import ABSENT
from benchmark.results.recall import (
    HORIZON_METRICS,
    gains_of,
    memory_horizon,
    pixels_of,
    references_in,
    require_same_masks,
    scores_of,
)
from benchmark.results.recall_schema import SURFACE_PSNR, RecallScores
from benchmark.results.result_file import Result
from benchmark.results.tables import format_estimate, in_rows
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
    """A run: the texts of its cells."""

    label: str
    is_reference: bool
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RecallTable:
    """A row a run; a column has a name and, below it, how much it stands for."""

    title: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


def recall_tables(results: Mapping[str, Result], metrics: Sequence[str] | None = None) -> list[RecallTable]:
    """All tables that these results have numbers for, of these metrics or of all."""
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
    """A metric that all runs have: its card, their scores by source, and the videos with masks in all."""

    card: MetricCard
    scores: Mapping[str, RecallScores]
    masked: Bool[np.ndarray, " V"]

    def mean(self, found: Measured) -> Estimate | None:
        """The mean over those of the videos that have a value."""
        return measured(values_of(found)[self.masked]).estimate


def surfaces_tables(
    results: Mapping[str, Result], metrics: Sequence[str] | None = None, *, on_course: bool = False
) -> list[RecallTable]:
    """A table a metric that all runs have: a row a run, a column a kind of pixel, and the gain.

    Below a kind stand its share and the number of videos that have any. Over the videos that every run scored
    with masks; no table if there is none. With `on_course`, over the frames where each run is on course.
    Raises `UserError` if the runs' masks differ.
    """
    of_what = "of surfaces, frames on course" if on_course else "of surfaces"
    return [
        _surfaces_table(title_of(compared.card, of_what), compared, results, with_shares=not on_course)
        for compared in _compared(results, metrics, on_course=on_course)
    ]


def age_tables(results: Mapping[str, Result], metrics: Sequence[str] | None = None) -> list[RecallTable]:
    """A table a metric that all runs have: a row an age bin, a column a run, references first."""
    order, tables = in_rows(results), []
    for compared in _compared(results, metrics):
        recall = next(iter(results.values())).recall
        assert recall is not None
        counts = pixels_of(recall)[:, compared.masked]
        rows = []
        for place, (first, last) in enumerate(recall.ages):
            share = _share(counts[3 + place], counts)
            cells = [compared.mean(compared.scores[source].by_age[place]) for _, source, _ in order]
            texts = tuple(_text(cell, compared.card.decimals) for cell in cells)
            rows.append(Row(label=f"{first}-{last} frames ago, {share}", is_reference=False, cells=texts))
        columns = [(label, "(reference)" if run.model.role == "bound" else "") for label, _, run in order]
        title = title_of(compared.card, "of what returned, by age")
        tables.append(RecallTable(title=title, columns=tuple(columns), rows=tuple(rows)))
    return tables


def _compared(
    results: Mapping[str, Result], metrics: Sequence[str] | None, *, on_course: bool = False
) -> Iterator[Compared]:
    require_same_masks(results)
    recalls = {source: run.recall for source, run in results.items() if run.recall is not None}
    if len(recalls) < len(results):
        return
    masked = np.all([pixels_of(recall).sum(axis=0) > 0 for recall in recalls.values()], axis=0)
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
    counts = pixels_of(recall)[:, compared.masked]
    parts = zip(KINDS, (counts[1], counts[2], counts[3:].sum(axis=0)), strict=True)
    kinds = [(name, field, count) for (name, field), count in parts if count.any()]
    columns = [(name, _share(count, counts) if with_shares else "") for name, _, count in kinds]
    rows = {
        source: [compared.mean(getattr(own, field)) for _, field, _ in kinds]
        for source, own in compared.scores.items()
    }
    if {"returned", "never shown"} <= {name for name, *_ in kinds}:
        columns.append(("gain of what returned", "on what was never shown"))
        for source, own in compared.scores.items():
            rows[source].append(measured(gains_of(own)[compared.masked]).estimate)
    return table_of_estimates(title, columns, rows, results, [compared.card.decimals] * len(columns))


def _share(count: Float[np.ndarray, " V"], counts: Float[np.ndarray, "kinds V"]) -> str:
    return f"{count.sum() / counts.sum():.1%} of {np.count_nonzero(count)} videos"


def horizon_table(results: Mapping[str, Result]) -> list[RecallTable]:
    """The memory horizon of every run by every metric; none where the references are not among the runs."""
    references = references_in(results)
    if references is None:
        return []
    floor, ceiling = references
    metrics = [
        name
        for name in HORIZON_METRICS
        if all(scores_of(run, name) is not None for run in (floor, ceiling, *results.values()))
    ]
    if not metrics:
        return []
    cells = {
        source: [
            ABSENT if (found := memory_horizon(run, floor, ceiling, name)) is None else str(found)
            for name in metrics
        ]
        for source, run in results.items()
    }
    cards = (scores.card for name in metrics if (scores := scores_of(floor, name)) is not None)
    title = f"Memory horizon (frames), between {floor.model.name} and {ceiling.model.name}"
    return [_table(one_line(title), [(f"by {card.title}", "") for card in cards], cells, results)]


def steering_table(results: Mapping[str, Result]) -> list[RecallTable]:
    """Whether the runs go where their actions say; none where no run was measured."""
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
    """Every metric that all runs have, between frames at one pose, or between pixels of one face."""
    runs = list(results.values())
    tables = []
    for name, found in runs[0].consistency.items():
        is_wanted = metrics is None or name in metrics or (name == SURFACE_PSNR and "psnr" in metrics)
        if is_wanted and all(name in run.consistency for run in runs):
            rows = {
                source: [getattr(run.consistency[name], column).estimate for _, column in CONSISTENCY]
                for source, run in results.items()
            }
            columns = [
                (title, f"{sum(value is not None for value in getattr(found, column).videos)} videos")
                for title, column in CONSISTENCY
            ]
            decimals = [found.card.decimals] * len(columns)
            title = title_of(found.card, "back in sight" if name == SURFACE_PSNR else "back at a place")
            tables.append(table_of_estimates(title, columns, rows, results, decimals))
    return tables


def title_of(card: MetricCard, of_what: str) -> str:
    """As in "PSNR (dB) of frames"."""
    return one_line(f"{card.title} ({card.unit}) {of_what}" if card.unit else f"{card.title} {of_what}")


def _text(found: Estimate | None, decimals: int) -> str:
    return ABSENT if found is None else format_estimate(found, decimals)


def table_of_estimates(
    title: str,
    columns: Sequence[tuple[str, str]],
    rows: Mapping[str, Sequence[Estimate | None]],
    results: Mapping[str, Result],
    decimals: Sequence[int],
) -> RecallTable:
    """A table of estimates; `rows` are by where a run's result came from, like `results`."""
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
    """A table, references first."""
    return RecallTable(
        title=title,
        columns=tuple(columns),
        rows=tuple(
            Row(label=label, is_reference=result.model.role == "bound", cells=tuple(cells[source]))
            for label, source, result in in_rows(results)
        ),
    )
