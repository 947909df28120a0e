"""Recall tables by whole frames: scores where the agent has returned to a pose of the context, by age."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from benchmark.harness.run_folder import scores_name
from benchmark.harness.score import read_paired
from benchmark.metrics.base import PairedMetric
from benchmark.reporting.recall_tables import RecallTable, table_of_estimates, table_title
from benchmark.results.estimates import Estimate, estimate
from benchmark.results.result_file import Result
from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, existing, path_at
from loopcraft.core.writing import copies_of
from loopcraft.dataset import LoopcraftDataset
from loopcraft.walks.revisits import revisit_ages

YOUNGEST = 64
"""Last age of the first group of returns; each further group ends at twice the age."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The frames of all videos in a range of ages."""

    name: str
    ages: range
    """Ages in frames of the returns in the group; age 0 stands for frames that are not returns."""

    def holds(self, ages: Int64[np.ndarray, "V T"]) -> Bool[np.ndarray, "V T"]:
        """Return which frames belong to the group."""
        belongs: Bool[np.ndarray, "V T"] = (ages >= self.ages.start) & (ages < self.ages.stop)
        return belongs

    def mean(self, scores: Float[np.ndarray, "V T"], ages: Int64[np.ndarray, "V T"]) -> Estimate | None:
        """Return the mean over videos of each video's mean over the group; None if no frame belongs to it."""
        belongs = self.holds(ages)
        counted = belongs.any(axis=1)
        if not counted.any():
            return None
        sums = np.where(belongs, scores, 0.0).sum(axis=1, dtype=np.float64)[counted]
        return estimate(sums / belongs.sum(axis=1)[counted])


def return_ages(data: LoopcraftDataset, result: Result) -> Int64[np.ndarray, "V T"]:
    """Return the age of every generated frame of the scored videos, 0 if it is not a return."""
    num_frames, context = result.protocol.num_frames, result.protocol.context
    return np.stack([revisit_ages(data.states(key)[:num_frames, 1:], context) for key in result.data.keys])


def groups_up_to(oldest: int) -> list[Group]:
    """Return the groups: all other frames, all returns, and the returns by age up to `oldest`."""
    groups = [Group(name="other frames", ages=range(1)), Group(name="returns", ages=range(1, oldest + 1))]
    first, last = 1, YOUNGEST
    while first <= oldest:
        groups.append(Group(name=f"{first}-{last} frames ago", ages=range(first, last + 1)))
        first, last = last + 1, 2 * last
    return groups


def frames_tables(
    metrics: Sequence[PairedMetric], results: Mapping[str, Result], ages: Int64[np.ndarray, "V T"]
) -> list[RecallTable]:
    """Return a table per metric; raise `UserError` if the per-video score files of a run are missing."""
    if missing := missing_scores(results):
        raise UserError(f"{missing[0]}: no such file; give the whole run folder, not only its result file")
    scores: dict[str, dict[str, Float[np.ndarray, "V T"]]] = {metric.name: {} for metric in metrics}
    for source, result in results.items():
        names = _score_files(result)
        with copies_of(path_at(source).parent, names) as folder:
            for metric in metrics:
                files = [folder / name for name in names]
                scores[metric.name][source] = read_paired(files, metric)[..., 0]
    return [_frames_table(metric, results, scores[metric.name], ages) for metric in metrics]


def missing_scores(results: Mapping[str, Result]) -> list[AnyPath]:
    """Return the per-video score files that are missing beside the results."""
    roots = {path_at(source).parent: _score_files(result) for source, result in results.items()}
    return [root / name for root, names in roots.items() for name in set(names) - existing(root, names)]


def _score_files(result: Result) -> list[str]:
    return [scores_name(key) for key in result.data.keys]


def _frames_table(
    metric: PairedMetric,
    results: Mapping[str, Result],
    scores: Mapping[str, Float[np.ndarray, "V T"]],
    ages: Int64[np.ndarray, "V T"],
) -> RecallTable:
    """Build a table with a row per run and a column per group, noting its numbers of frames and videos."""
    card = next(iter(results.values())).metrics[metric.name].card
    groups = [group for group in groups_up_to(int(ages.max())) if group.holds(ages).any()]
    columns = []
    for group in groups:
        belongs = group.holds(ages)
        columns.append((group.name, f"{belongs.sum():,} of {belongs.any(axis=1).sum()} videos"))
    rows = {source: [group.mean(values, ages) for group in groups] for source, values in scores.items()}
    title = table_title(card, "of frames")
    return table_of_estimates(title, columns, rows, results, [card.decimals] * len(groups))
