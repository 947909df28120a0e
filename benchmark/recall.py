"""Does a model still know a place? Scores of the frames at which the agent is back where the context was.

`python -m benchmark.recall RUNS ... --data DATA` reads finished runs. A return is a generated frame whose
true pose lies within 2 blocks and 30 degrees of a pose of the context, after the agent has been away. Beside
the returns stand all other frames, and the returns by age: how many frames ago the place was last seen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rich.box
import tyro
from jaxtyping import Bool, Float, Int64
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark.comparable import require_comparable
from benchmark.metrics import get_metrics
from benchmark.metrics.base import PairedMetric
from benchmark.results import Estimate, Result, read_results
from benchmark.score import read_paired
from benchmark.statistics import FEWEST_VIDEOS, bootstrap_interval
from benchmark.tables import format_estimate, unique_labels
from loopcraft.cli import UserError, run
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.trajectory import revisit_ages

YOUNGEST = 64
"""The first stretch of ages ends here, and every further one twice as late."""
PLAIN_WIDTH = 160
"""Characters a line where there is no terminal."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which runs, and on which data."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of finished runs of one protocol on one data set."""
    data: str
    """That data set: a folder, or hf://ORG/NAME."""
    metrics: str = "psnr,ssim"
    """Which paired metrics of the runs to show."""


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
        values = sums / belongs.sum(axis=1)[counted]
        interval = None
        if len(values) >= FEWEST_VIDEOS:
            low, high = bootstrap_interval(values)
            interval = float(low), float(high)
        return Estimate(mean=float(values.mean()), interval=interval)


def groups_up_to(oldest: int) -> list[Group]:
    """All other frames, all returns, and the returns by age."""
    groups = [Group(name="other frames", ages=range(1)), Group(name="returns", ages=range(1, oldest + 1))]
    first, last = 1, YOUNGEST
    while first <= oldest:
        ages = range(first, last + 1)
        groups.append(Group(name=f"{first}-{last} frames ago", ages=ages))
        first, last = last + 1, 2 * last
    return groups


def show(flags: Flags) -> None:
    """Print a table a metric."""
    results = read_results(flags.runs)
    require_comparable(results)
    data = open_dataset(flags.data)
    first = next(iter(results.values()))
    if data.fingerprint != first.data.fingerprint:
        raise UserError(
            f"--data {flags.data}: holds other videos than the runs were scored on (fingerprint "
            f"{data.fingerprint[:12]}, and {first.data.fingerprint[:12]} there); give their data set"
        )
    ages = ages_of(data, first)
    for name in flags.metrics.split(","):
        metric = _metric(name.strip(), results)
        scores = {source: _scores(Path(source).parent, metric, result) for source, result in results.items()}
        console = Console()
        if not console.is_terminal:
            console.width = PLAIN_WIDTH
        console.print(recall_table(metric, scores, results, ages))


def ages_of(data: LoopcraftDataset, result: Result) -> Int64[np.ndarray, "V T"]:
    """The age of every generated frame of the scored videos, 0 where it is no return."""
    protocol = result.protocol
    return np.stack(
        [
            revisit_ages(data.states(key)[: protocol.num_frames, 1:], protocol.context)
            for key in result.data.keys
        ]
    )


def _metric(name: str, results: Mapping[str, Result]) -> PairedMetric:
    (metric,) = get_metrics([name])
    if not isinstance(metric, PairedMetric):
        raise UserError(f"--metrics {name}: says nothing of single frames; leave it out")
    for source, result in results.items():
        if name not in result.metrics:
            raise UserError(
                f"{source}: was not scored by {name}; leave it out of --metrics or score it again"
            )
    return metric


def _scores(folder: Path, metric: PairedMetric, result: Result) -> Float[np.ndarray, "V T"]:
    paths = [folder / "scores" / f"{key}.safetensors" for key in result.data.keys]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UserError(f"{missing[0]}: no such file; give the whole folder of a run, not its result alone")
    scores: Float[np.ndarray, "V T"] = read_paired(paths, metric)[..., 0]
    return scores


def recall_table(
    metric: PairedMetric,
    scores: Mapping[str, Float[np.ndarray, "V T"]],
    results: Mapping[str, Result],
    ages: Int64[np.ndarray, "V T"],
) -> Table:
    """A row a run, a column a group of frames with the number of its frames and videos below its name."""
    first = next(iter(results.values()))
    card = first.metrics[metric.name].card
    groups = [group for group in groups_up_to(int(ages.max())) if group.holds(ages).any()]
    title = f"{card.title} ({card.unit})" if card.unit else card.title
    table = Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD)
    table.add_column("")
    for group in groups:
        belongs = group.holds(ages)
        table.add_column(
            f"{group.name}\n{belongs.sum():,} of {belongs.any(axis=1).sum()} videos", justify="right"
        )
    labels = unique_labels(list(results.values()))
    for label, (source, result) in zip(labels, results.items(), strict=True):
        found = [group.mean(scores[source], ages) for group in groups]
        cells = [format_estimate(cell, card.decimals) for cell in found if cell is not None]
        name = f"{label} (bound)" if result.model.role == "bound" else label
        table.add_row(escape(name), *cells)
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, show, argv)


if __name__ == "__main__":
    raise SystemExit(main())
