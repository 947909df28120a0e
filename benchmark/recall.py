"""Does a model still know a place? Scores where the agent is back at what the context showed.

`python -m benchmark.recall RUNS ... --data DATA` reads finished runs and prints, with the number of videos
that each column has:

- by frames: a return is a generated frame whose true pose lies within 2 blocks and 30 degrees of a pose of
  the context, after the agent has been away. Beside the returns stand all other frames, and the returns by
  age: how many frames ago the place was last seen.
- by surfaces, where the data set has recall masks (`python -m loopcraft.masks DATA`): PSNR over all pixels
  that show what the context showed and has been out of sight in between, also by age, beside that of the
  others.
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

from benchmark.aggregate import estimate
from benchmark.comparable import require_comparable
from benchmark.metrics import get_metrics
from benchmark.metrics.base import PairedMetric
from benchmark.protocol import EvaluationProtocol
from benchmark.results import Estimate, Result, read_results
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
from loopcraft.cli import UserError, run
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.trajectory import revisit_ages

PLAIN_WIDTH = 240
"""Characters a line where there is no terminal."""
KINDS = {
    "sky": slice(SKY, SKY + 1),
    "never shown": slice(NEW, NEW + 1),
    "in sight since": slice(IN_SIGHT, IN_SIGHT + 1),
    "returned": slice(RETURNED, None),
    **{
        f"{ages[0]}-{ages[-1]} frames ago": slice(RETURNED + place, RETURNED + place + 1)
        for place, ages in enumerate(STRETCHES)
    },
}
"""The columns of the table of surfaces."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which runs, and on which data."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of finished runs of one protocol on one data set."""
    data: str
    """That data set: a folder, or hf://ORG/NAME."""
    metrics: str = "psnr,ssim"
    """Which paired metrics of the runs to show by frames."""


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


def show(flags: Flags) -> None:
    """Print a table a metric, and one of surfaces."""
    results = read_results(flags.runs)
    require_comparable(results)
    data = open_dataset(flags.data)
    first = next(iter(results.values()))
    if data.fingerprint != first.data.fingerprint:
        raise UserError(
            f"--data {flags.data}: holds other videos than the runs were scored on (fingerprint "
            f"{data.fingerprint[:12]}, and {first.data.fingerprint[:12]} there); give their data set"
        )
    metrics = [_metric(name.strip(), results) for name in flags.metrics.split(",")]
    ages = ages_of(data, first)
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    for metric in metrics:
        console.print(frames_table(metric, results, ages))
    surfaces = surfaces_table(results)
    console.print(surfaces or _why_no_surfaces(data, flags.data, first.protocol), markup=False)


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


def _score_files(source: str, result: Result) -> list[Path]:
    """What a run keeps of every video."""
    paths = [Path(source).parent / "scores" / f"{key}.safetensors" for key in result.data.keys]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UserError(f"{missing[0]}: no such file; give the whole folder of a run, not its result alone")
    return paths


def frames_table(
    metric: PairedMetric, results: Mapping[str, Result], ages: Int64[np.ndarray, "V T"]
) -> Table:
    """A row a run, a column a group of frames with the number of its frames and videos below its name."""
    card = next(iter(results.values())).metrics[metric.name].card
    groups = [group for group in groups_up_to(int(ages.max())) if group.holds(ages).any()]
    columns = [
        f"{group.name}\n{belongs.sum():,} of {belongs.any(axis=1).sum()} videos"
        for group, belongs in ((group, group.holds(ages)) for group in groups)
    ]
    rows: dict[str, list[Estimate]] = {}
    for source, result in results.items():
        scores = read_paired(_score_files(source, result), metric)[..., 0]
        found = (group.mean(scores, ages) for group in groups)
        rows[source] = [cell for cell in found if cell is not None]
    title = f"{card.title} ({card.unit})" if card.unit else card.title
    return _table(f"{title} of frames", columns, rows, results, card.decimals)


def surfaces_table(results: Mapping[str, Result]) -> Table | None:
    """A row a run, a column a kind of pixel with its share and the number of videos that have any below.

    Of the videos that every run scored with masks; None if there is none.
    """
    found = {source: map(read_errors, _score_files(source, result)) for source, result in results.items()}
    videos = [errors for errors in zip(*found.values(), strict=True) if all(e is not None for e in errors)]
    if not videos:
        return None
    by_run = dict(zip(found, np.stack(videos, axis=1), strict=True))
    counts = next(iter(by_run.values()))[:, 1]
    kinds = {name: kind for name, kind in KINDS.items() if counts[:, kind].any()}
    columns = [
        f"{name}\n{counts[:, kind].sum() / counts.sum():.1%} of {counts[:, kind].any(axis=1).sum()} videos"
        for name, kind in kinds.items()
    ]
    rows = {
        source: [estimate(psnr_of_kinds(errors, kind)) for kind in kinds.values()]
        for source, errors in by_run.items()
    }
    return _table("PSNR (dB) of surfaces", columns, rows, results, decimals=2)


def _why_no_surfaces(data: LoopcraftDataset, name: str, protocol: EvaluationProtocol) -> str:
    if any(data.masks_path(key).exists() for key in data.keys) and data.num_context != protocol.context:
        return (
            f"No table of surfaces: the recall masks are for {data.num_context} frames of context, and "
            f"{protocol.id} gives {protocol.context}."
        )
    return (
        f"No table of surfaces: no video was scored with recall masks by every run. "
        f"`python -m loopcraft.masks {name}` makes them, before the runs."
    )


def _table(
    title: str,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[Estimate]],
    results: Mapping[str, Result],
    decimals: int,
) -> Table:
    """A table of estimates; `rows` are by where a run's result came from, like `results`."""
    table = Table(title=title, title_justify="left", box=rich.box.SIMPLE_HEAD)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    labels = unique_labels(list(results.values()))
    for label, (source, result) in zip(labels, results.items(), strict=True):
        name = f"{label} (bound)" if result.model.role == "bound" else label
        table.add_row(escape(name), *(format_estimate(cell, decimals) for cell in rows[source]))
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, show, argv)


if __name__ == "__main__":
    raise SystemExit(main())
