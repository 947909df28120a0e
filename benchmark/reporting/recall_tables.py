"""Tables of recall: means over groups of frames, and over kinds of pixels, a row a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int64

from benchmark.harness.errors_by_recall import (
    IN_SIGHT,
    NEW,
    RETURNED,
    SKY,
    STRETCHES,
    map_means_of_kinds,
    psnr_of_kinds,
    read_errors,
    read_map_sums,
)
from benchmark.harness.score import read_paired
from benchmark.metrics.base import PairedMetric
from benchmark.results.estimates import Estimate, estimate
from benchmark.results.result_file import Result
from benchmark.results.tables import format_estimate, unique_labels
from loopcraft.core.cli import one_line
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset
from loopcraft.walks.revisits import revisit_ages

KINDS = {
    "never shown": slice(NEW, NEW + 1),
    "in sight since": slice(IN_SIGHT, IN_SIGHT + 1),
    "returned": slice(RETURNED, None),
    **{
        f"{ages[0]}-{ages[-1]} frames ago": slice(RETURNED + place, RETURNED + place + 1)
        for place, ages in enumerate(STRETCHES)
    },
    "sky": slice(SKY, SKY + 1),
}
"""The columns of the table of surfaces."""

ValuesOfKinds = Callable[[slice], Float[np.ndarray, " V"]]
"""Some kinds -> a value a video, NaN where it has none of their pixels."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run: the texts of its cells."""

    label: str
    is_bound: bool
    cells: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RecallTable:
    """A row a run; a column has a name and, below it, how much it stands for."""

    title: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Some frames of every video, under a name."""

    name: str
    ages: range
    """Ages in frames of the returns that belong to it; 0 stands for all frames that are none."""

    def holds(self, ages: Int64[np.ndarray, "V T"]) -> Bool[np.ndarray, "V T"]:
        """Which frames belong to it."""
        belongs: Bool[np.ndarray, "V T"] = (ages >= self.ages.start) & (ages < self.ages.stop)
        return belongs

    def mean(self, scores: Float[np.ndarray, "V T"], ages: Int64[np.ndarray, "V T"]) -> Estimate | None:
        """The mean over videos of the mean over a video's frames in the group; None if there are none."""
        belongs = self.holds(ages)
        counted = belongs.any(axis=1)
        if not counted.any():
            return None
        sums = np.where(belongs, scores, 0.0).sum(axis=1, dtype=np.float64)[counted]
        return estimate(sums / belongs.sum(axis=1)[counted])


def ages_of(data: LoopcraftDataset, result: Result) -> Int64[np.ndarray, "V T"]:
    """The age of every generated frame of the scored videos, 0 where it is no return."""
    protocol = result.protocol
    return np.stack(
        [
            revisit_ages(data.states(key)[: protocol.num_frames, 1:], protocol.context)
            for key in result.data.keys
        ]
    )


def groups_up_to(oldest: int) -> list[Group]:
    """All other frames, all returns, and the returns by age."""
    return [
        Group(name="other frames", ages=range(1)),
        Group(name="returns", ages=range(1, oldest + 1)),
        *(
            Group(name=f"{ages[0]}-{ages[-1]} frames ago", ages=ages)
            for ages in STRETCHES
            if ages[0] <= oldest
        ),
    ]


def frames_table(
    metric: PairedMetric, results: Mapping[str, Result], ages: Int64[np.ndarray, "V T"]
) -> RecallTable:
    """A row a run, a column a group of frames with the number of its frames and videos below its name."""
    card = next(iter(results.values())).metrics[metric.name].card
    groups = [group for group in groups_up_to(int(ages.max())) if group.holds(ages).any()]
    columns = [
        (group.name, f"{belongs.sum():,} of {belongs.any(axis=1).sum()} videos")
        for group, belongs in ((group, group.holds(ages)) for group in groups)
    ]
    rows: dict[str, list[Estimate]] = {}
    for source, result in results.items():
        scores = read_paired(score_files(source, result), metric)[..., 0]
        found = (group.mean(scores, ages) for group in groups)
        rows[source] = [cell for cell in found if cell is not None]
    title = one_line(f"{card.title} ({card.unit})" if card.unit else card.title)
    return _table(f"{title} of frames", columns, rows, results, card.decimals)


def surfaces_tables(results: Mapping[str, Result]) -> list[RecallTable]:
    """Tables of PSNR and of the metrics whose maps every run kept: a row a run, a column a kind of pixel.

    Below a kind stand its share and the number of videos that have any. Of the videos that every run scored
    with masks; none if there is none. Raises `UserError` if the runs' masks differ.
    """
    files = {source: score_files(source, result) for source, result in results.items()}
    errors = [[read_errors(path) for path in paths] for paths in files.values()]
    masked = [
        place for place, found in enumerate(zip(*errors, strict=True)) if all(e is not None for e in found)
    ]
    if not masked:
        return []
    by_run = {
        source: np.stack([own for place in masked if (own := found[place]) is not None])
        for source, found in zip(files, errors, strict=True)
    }
    _require_same_masks(by_run)
    psnrs = {source: partial(psnr_of_kinds, errors) for source, errors in by_run.items()}
    counts = next(iter(by_run.values()))[:, 1]
    tables = [_surfaces_table("PSNR (dB) of surfaces", psnrs, counts, results, decimals=2)]
    for name, metric in next(iter(results.values())).headline.items():
        means = _map_means(
            name, {source: [files[source][place] for place in masked] for source in files}, by_run
        )
        if means is not None:
            title = f"{metric.card.title} of surfaces"
            tables.append(_surfaces_table(title, means, counts, results, decimals=metric.card.decimals))
    return tables


def _map_means(
    metric: str, files: Mapping[str, Sequence[Path]], by_run: Mapping[str, Float[np.ndarray, "V 2 kinds"]]
) -> dict[str, ValuesOfKinds] | None:
    """What a metric's map is over kinds of pixels, by run; None if one was scored without the map."""
    means: dict[str, ValuesOfKinds] = {}
    for source, errors in by_run.items():
        sums = [own for path in files[source] if (own := read_map_sums(path, metric)) is not None]
        if len(sums) < len(errors):
            return None
        means[source] = partial(map_means_of_kinds, np.stack(sums), errors)
    return means


def _require_same_masks(by_run: Mapping[str, Float[np.ndarray, "V 2 kinds"]]) -> None:
    (first, errors), *others = by_run.items()
    for other, theirs in others:
        if not np.array_equal(errors[:, 1], theirs[:, 1]):
            raise UserError(
                f"{first} and {other} were scored with different recall masks; score one anew (another --out)"
            )


def _surfaces_table(
    title: str,
    values: Mapping[str, ValuesOfKinds],
    counts: Float[np.ndarray, "V kinds"],
    results: Mapping[str, Result],
    *,
    decimals: int,
) -> RecallTable:
    kinds = {name: kind for name, kind in KINDS.items() if counts[:, kind].any()}
    columns = [
        (name, f"{counts[:, kind].sum() / counts.sum():.1%} of {counts[:, kind].any(axis=1).sum()} videos")
        for name, kind in kinds.items()
    ]
    rows = {source: [_mean(of(kind)) for kind in kinds.values()] for source, of in values.items()}
    if {"returned", "never shown"} <= set(kinds):
        place = list(kinds).index("returned") + 1
        columns.insert(place, ("returned -", "never shown"))
        for source, of in values.items():
            rows[source].insert(place, _mean(of(KINDS["returned"]) - of(KINDS["never shown"])))
    return _table(title, columns, rows, results, decimals)


def _mean(values: Float[np.ndarray, " V"]) -> Estimate:
    """The mean over the videos that have a value."""
    return estimate(values[~np.isnan(values)])


def score_files(source: str, result: Result) -> list[Path]:
    """Where a run keeps the scores of every video."""
    return [Path(source).parent / "scores" / f"{key}.safetensors" for key in result.data.keys]


def _table(
    title: str,
    columns: Sequence[tuple[str, str]],
    rows: Mapping[str, Sequence[Estimate]],
    results: Mapping[str, Result],
    decimals: int,
) -> RecallTable:
    """A table of estimates, bounds first; `rows` are by where a run's result came from, like `results`."""
    labels = unique_labels(list(results.values()))
    order = sorted(zip(labels, results.items(), strict=True), key=lambda run: run[1][1].model.role != "bound")
    return RecallTable(
        title=title,
        columns=tuple(columns),
        rows=tuple(
            Row(
                label=label,
                is_bound=result.model.role == "bound",
                cells=tuple(format_estimate(cell, decimals) for cell in rows[source]),
            )
            for label, (source, result) in order
        ),
    )
