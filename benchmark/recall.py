"""Does a model still know a place? Scores where the agent is back at what the context showed.

`python -m benchmark.recall RUNS ... --data DATA` reads finished runs and prints, with the number of videos
that each column has:

- by frames: a return is a generated frame whose true pose lies within 2 blocks and 30 degrees of a pose of
  the context, after the agent has been away. Beside the returns stand all other frames, and the returns by
  age: how many frames ago the place was last seen.
- by surfaces, where the data set has recall masks (`python -m loopcraft.masks DATA`): PSNR and LPIPS over all
  pixels that show what the context showed and has been out of sight in between, also by age, beside that of
  the others; and what the former gain on the pixels that nobody could know, video by video.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rich.box
import tyro
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark.contract.protocol import EvaluationProtocol
from benchmark.metrics import get_metrics
from benchmark.metrics.base import PairedMetric
from benchmark.reporting.recall_tables import RecallTable, ages_of, frames_table, score_files, surfaces_tables
from benchmark.results.comparable import require_comparable
from benchmark.results.result_file import Result, read_results
from loopcraft.core.cli import names_in, run
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset, open_dataset

PLAIN_WIDTH = 240
"""Characters a line where there is no terminal."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which runs, and on which data."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of finished runs of one protocol on one data set."""
    data: str
    """That data set: a folder, or hf://ORG/NAME."""
    metrics: str = ""
    """Which paired metrics to show by frames; all that every run has if empty."""


def show(flags: Flags) -> None:
    """Print a table a metric, and those of surfaces."""
    results = read_results(flags.runs)
    require_comparable(results)
    data = open_dataset(flags.data)
    first = next(iter(results.values()))
    if data.fingerprint != first.data.fingerprint:
        raise UserError(
            f"--data {flags.data}: holds other videos than the runs were scored on (fingerprint "
            f"{data.fingerprint[:12]}, and {first.data.fingerprint[:12]} there); give their data set"
        )
    for source, result in results.items():
        for path in score_files(source, result):
            if not path.exists():
                raise UserError(f"{path}: no such file; give the whole folder of a run, not its result alone")
    names = names_in(flags.metrics.lower()) if flags.metrics else _shared_metrics(results)
    metrics = [_metric(name, results) for name in names]
    ages = ages_of(data, first)
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    for metric in metrics:
        console.print(_drawn(frames_table(metric, results, ages)))
    surfaces = surfaces_tables(results)
    for table in surfaces:
        console.print(_drawn(table))
    if not surfaces:
        console.print(_why_no_surfaces(data, flags.data, first.protocol), markup=False)


def _drawn(found: RecallTable) -> Table:
    table = Table(title=escape(found.title), title_justify="left", box=rich.box.SIMPLE_HEAD)
    table.add_column("")
    for name, below in found.columns:
        table.add_column(f"{name}\n{below}", justify="right")
    for row in found.rows:
        table.add_row(escape(f"{row.label} (bound)" if row.is_bound else row.label), *row.cells)
    return table


def _shared_metrics(results: Mapping[str, Result]) -> list[str]:
    """The paired metrics that every run has."""
    first = next(iter(results.values())).headline
    shared = (name for name in first if all(name in result.metrics for result in results.values()))
    return [name for name in shared if first[name].card.kind == "paired"]


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


def _why_no_surfaces(data: LoopcraftDataset, name: str, protocol: EvaluationProtocol) -> str:
    if data.num_context not in (None, protocol.context):
        return (
            f"No table of surfaces: the recall masks are for {data.num_context} frames of context, and "
            f"{protocol.id} gives {protocol.context}."
        )
    return (
        f"No table of surfaces: no video was scored with whole recall masks by every run. "
        f"`python -m loopcraft.masks {name}` makes them; runs that were scored before need a new --out."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, show, argv)


if __name__ == "__main__":
    raise SystemExit(main())
