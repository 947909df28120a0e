"""Tables of recall: means over groups of frames, and PSNR over kinds of pixels, a row a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int64

from benchmark.aggregate import estimate
from benchmark.metrics.base import PairedMetric
from benchmark.results import Estimate, Result
from benchmark.score import read_paired
from benchmark.surfaces import (
    IN_SIGHT,
    NEW,
    RETURNED,
    SKY,
    STRETCHES,
    psnr_of_kinds,
    read_errors,
)
from benchmark.tables import format_estimate, unique_labels
from loopcraft.cli import UserError, one_line

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


def surfaces_table(results: Mapping[str, Result]) -> RecallTable | None:
    """A row a run, a column a kind of pixel with its share and the number of videos that have any below.

    Of the videos that every run scored with masks; None if there is none.
    """
    found = {source: map(read_errors, score_files(source, result)) for source, result in results.items()}
    videos = [errors for errors in zip(*found.values(), strict=True) if all(e is not None for e in errors)]
    if not videos:
        return None
    by_run = dict(zip(found, np.stack(videos, axis=1), strict=True))
    (first, errors), *others = by_run.items()
    counts = errors[:, 1]
    for other, errors in others:
        if not np.array_equal(errors[:, 1], counts):
            raise UserError(
                f"{first} and {other} were scored with different recall masks; score one anew (another --out)"
            )
    kinds = {name: kind for name, kind in KINDS.items() if counts[:, kind].any()}
    columns = [
        (name, f"{counts[:, kind].sum() / counts.sum():.1%} of {counts[:, kind].any(axis=1).sum()} videos")
        for name, kind in kinds.items()
    ]
    rows = {
        source: [_mean_psnr(errors, kind) for kind in kinds.values()] for source, errors in by_run.items()
    }
    if {"returned", "never shown"} <= set(kinds):
        place = list(kinds).index("returned") + 1
        columns.insert(place, ("returned -", "never shown"))
        for source, errors in by_run.items():
            rows[source].insert(place, _gain(errors))
    return _table("PSNR (dB) of surfaces", columns, rows, results, decimals=2)


def _mean_psnr(errors: Float[np.ndarray, "V 2 kinds"], kind: slice) -> Estimate:
    values = psnr_of_kinds(errors, kind)
    return estimate(values[~np.isnan(values)])


def _gain(errors: Float[np.ndarray, "V 2 kinds"]) -> Estimate:
    """The mean over videos that have both kinds of the difference within a video."""
    gain = psnr_of_kinds(errors, KINDS["returned"]) - psnr_of_kinds(errors, KINDS["never shown"])
    return estimate(gain[~np.isnan(gain)])


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
