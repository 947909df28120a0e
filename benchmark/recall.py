"""Show what models remember: the scores of finished runs by what the context showed.

`python -m benchmark.recall RUNS ...` reads result files and prints, if the data set had recall masks:

- each metric over the pixels that the context never showed, that have been in sight ever since, and that
  returned; the latter also by age, the number of frames since the context last showed them;
- the memory horizon, if other-video and autoencoded (or ground-truth) are among the runs;
- steering, estimated from the pictures, and how well a model agrees with its own earlier frames.

With `--data DATA`, it also prints the scores of whole frames at which the agent has returned: within 2 blocks
and 30 degrees of a pose of the context, after having been away. docs/recall.md defines every number.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro

from benchmark.metrics import get_metrics
from benchmark.metrics.base import PairedMetric
from benchmark.reporting.recall_tables import RecallTable, recall_tables
from benchmark.reporting.returns import frames_tables, return_ages
from benchmark.results.comparable import require_comparable
from benchmark.results.formats import draw_table, table_console
from benchmark.results.recall import CEILINGS, FLOOR, find_references
from benchmark.results.recall_schema import RECALL
from benchmark.results.result_file import Result, read_results
from loopcraft.core.cli import names_in, run
from loopcraft.core.errors import UserError
from loopcraft.dataset import open_dataset


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m benchmark.recall`."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders or addresses of finished runs of one protocol on one data set."""
    data: str | None = None
    """The data set, as a folder or hf://ORG/NAME; adds the tables by frames."""
    metrics: str = ""
    """Comma-separated paired metrics to show; empty means all that every run has."""


def show(flags: Flags) -> None:
    """Print the tables by frames, one per metric, and the tables by surface."""
    results = read_results(flags.runs)
    require_comparable(results)
    names = names_in(flags.metrics.lower()) if flags.metrics else _shared_metrics(results)
    metrics = [_metric(name, results) for name in names]
    tables = [] if flags.data is None else _tables_by_frames(flags.data, results, metrics)
    by_surface = recall_tables(results, names if flags.metrics else None)
    console = table_console()
    for table in (*tables, *by_surface):
        columns = (f"{name}\n{below}" for name, below in table.columns)
        rows = ((row.label, row.is_reference, row.cells) for row in table.rows)
        console.print(draw_table(table.title, columns, rows))
    for line in _missing_tables(results):
        console.print(line, markup=False)


def _tables_by_frames(
    name: str, results: Mapping[str, Result], metrics: Sequence[PairedMetric]
) -> list[RecallTable]:
    """Return the tables; raise `UserError` for another data set or missing scores of a video."""
    data, first = open_dataset(name), next(iter(results.values()))
    if data.fingerprint != first.data.fingerprint:
        raise UserError(
            f"--data {name}: not the data set of the runs (its fingerprint is {data.fingerprint[:12]}, "
            f"theirs {first.data.fingerprint[:12]}); give that one"
        )
    return frames_tables(metrics, results, return_ages(data, first))


def _shared_metrics(results: Mapping[str, Result]) -> list[str]:
    """Return the paired metrics that every run has."""
    first = next(iter(results.values())).headline
    shared = (name for name in first if all(name in result.metrics for result in results.values()))
    return [name for name in shared if first[name].card.kind == "paired"]


def _metric(name: str, results: Mapping[str, Result]) -> PairedMetric:
    (metric,) = get_metrics([name])
    if not isinstance(metric, PairedMetric):
        raise UserError(f"--metrics {name}: has no scores of single frames; leave it out")
    for source, result in results.items():
        if name not in result.metrics:
            raise UserError(
                f"{source}: was not scored by {name}; leave it out of --metrics or score it again"
            )
    return metric


def _missing_tables(results: Mapping[str, Result]) -> Iterator[str]:
    """Yield a line for each table that could not be shown, with the reason, and for each note."""
    for source, result in results.items():
        if result.recall is None:
            reason = result.absent.get(RECALL) or (
                "its result is from a version without recall; run the benchmark there again, which keeps the "
                "existing scores"
            )
            yield f"No tables by surface: {source}: {reason}."
            return
        yield from (f"{source}: {note}." for note in result.recall.notes)
    if find_references(results) is None:
        yield f"No memory horizon: it needs a run of {FLOOR} and one of {' or '.join(CEILINGS)}."


main = partial(run, Flags, show)

if __name__ == "__main__":
    raise SystemExit(main())
