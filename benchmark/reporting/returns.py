"""Tables of recall by whole frames: those where the agent is back at what the context showed, by age."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int64

from benchmark.harness.score import read_paired
from benchmark.metrics.base import PairedMetric
from benchmark.reporting.recall_tables import RecallTable, table_of_estimates
from benchmark.results.estimates import Estimate, estimate
from benchmark.results.result_file import Result
from loopcraft.core.cli import one_line
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
    rows: dict[str, list[Estimate | None]] = {}
    for source, result in results.items():
        scores = read_paired(score_files(source, result), metric)[..., 0]
        rows[source] = [group.mean(scores, ages) for group in groups]
    title = one_line(f"{card.title} ({card.unit})" if card.unit else card.title)
    return table_of_estimates(f"{title} of frames", columns, rows, results, [card.decimals] * len(groups))


def score_files(source: str, result: Result) -> list[Path]:
    """Where a run keeps the scores of every video."""
    return [Path(source).parent / "scores" / f"{key}.safetensors" for key in result.data.keys]
