"""Tables of recall by whole frames: those where the agent is back at what the context showed, by age."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from benchmark.harness.run_folder import scores_name
from benchmark.harness.score import read_paired
from benchmark.metrics.base import PairedMetric
from benchmark.reporting.recall_tables import RecallTable, table_of_estimates, title_of
from benchmark.results.estimates import Estimate, estimate
from benchmark.results.result_file import Result
from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, existing, path_at
from loopcraft.core.writing import copies_of
from loopcraft.dataset import LoopcraftDataset
from loopcraft.walks.revisits import revisit_ages

YOUNGEST = 64
"""The first group of returns by age ends here, each further one at twice the age of the one before."""


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
    groups = [Group(name="other frames", ages=range(1)), Group(name="returns", ages=range(1, oldest + 1))]
    first, last = 1, YOUNGEST
    while first <= oldest:
        groups.append(Group(name=f"{first}-{last} frames ago", ages=range(first, last + 1)))
        first, last = last + 1, 2 * last
    return groups


def frames_tables(
    metrics: Sequence[PairedMetric], results: Mapping[str, Result], ages: Int64[np.ndarray, "V T"]
) -> list[RecallTable]:
    """A table a metric; raises `UserError` where the scores of a video are not at hand."""
    if missing := missing_scores(results):
        raise UserError(f"{missing[0]}: no such file; give the whole folder of a run, not its result alone")
    scores: dict[str, dict[str, Float[np.ndarray, "V T"]]] = {metric.name: {} for metric in metrics}
    for source, result in results.items():
        names = _score_files(result)
        with copies_of(path_at(source).parent, names) as folder:
            for metric in metrics:
                files = [folder / name for name in names]
                scores[metric.name][source] = read_paired(files, metric)[..., 0]
    return [_frames_table(metric, results, scores[metric.name], ages) for metric in metrics]


def missing_scores(results: Mapping[str, Result]) -> list[AnyPath]:
    """The scores of single videos that are not beside their run's result."""
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
    """A row a run, a column a group of frames with the number of its frames and videos below its name."""
    card = next(iter(results.values())).metrics[metric.name].card
    groups = [group for group in groups_up_to(int(ages.max())) if group.holds(ages).any()]
    columns = [
        (group.name, f"{belongs.sum():,} of {belongs.any(axis=1).sum()} videos")
        for group, belongs in ((group, group.holds(ages)) for group in groups)
    ]
    rows = {source: [group.mean(found, ages) for group in groups] for source, found in scores.items()}
    return table_of_estimates(
        title_of(card, "of frames"), columns, rows, results, [card.decimals] * len(groups)
    )
