"""Write a self-contained HTML page of results: tables, curves, videos, and the origin of every number.

Writes OUT/report.html, the figures as PNG and PDF, and the example videos.
"""

import base64
import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import jinja2
import tyro
from matplotlib.figure import Figure

from benchmark.metrics import METRICS
from benchmark.metrics.base import PairedMetric
from benchmark.reporting.curves import curve_figures
from benchmark.reporting.examples import Example, Shown, make_examples
from benchmark.reporting.recall_figures import recall_figures
from benchmark.reporting.recall_tables import RecallTable, recall_tables
from benchmark.reporting.returns import frames_tables, missing_scores, return_ages
from benchmark.results.result_file import Result, read_results
from benchmark.results.tables import heading, headline_cards, label_results, paired_tables, window_tables
from loopcraft.core.cli import run
from loopcraft.core.errors import UserError
from loopcraft.core.files import is_passing, whole_file
from loopcraft.core.urls import as_given, path_at
from loopcraft.core.writing import writing_to
from loopcraft.dataset import LoopcraftDataset, open_dataset

RECALL_METRICS = ("psnr", "lpips")
"""Metrics by which the report compares returning frames with the others."""
FOLDERS = ("figures", "videos")
"""Folders of a report beside its page."""
_MARK = "<h2>Provenance</h2>"
"""Text that identifies the page of a report, including older ones."""
MIME = {".png": "image/png", ".mp4": "video/mp4"}


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m benchmark.report`."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """Runs of one protocol on one data set: folders, result files, or their addresses."""
    out: Path
    """Folder of the report: new, empty, or of an earlier report."""
    data: Path | None = None
    """Folder of the data set; with it the report shows videos that all runs saved."""
    videos: int = 2
    """Maximum number of videos on the page."""


def report(flags: Flags) -> None:
    """Write the report."""
    results = read_results(flags.results)
    dataset = None
    if flags.data is not None:
        dataset = open_dataset(flags.data)
        _require_same_data(dataset, flags.data, results)
    with writing_to(flags.out, together=True, swept=("", *FOLDERS)):
        _require_report_folder(flags.out)
        path = _write(flags, results, dataset)
    print(f"wrote {path}")


def _write(flags: Flags, results: Mapping[str, Result], dataset: LoopcraftDataset | None) -> Path:
    figures = save_figures(curve_figures(results), flags.out / "figures")
    examples = (
        [] if dataset is None else make_examples(_shown(results), dataset, flags.out / "videos", flags.videos)
    )
    recall = save_figures(recall_figures(results), flags.out / "figures")
    page = render(results, figures, examples, _recall(results, dataset), recall)
    path = flags.out / "report.html"
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def render(
    results: Mapping[str, Result],
    figures: Mapping[str, Path],
    examples: Sequence[Example],
    recall: Sequence[RecallTable] = (),
    recall_pictures: Mapping[str, Path] = MappingProxyType({}),
) -> str:
    """Return the page, with all pictures embedded and all texts from results escaped."""
    template = importlib.resources.files("benchmark.reporting") / "report.html"
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    by_label = label_results(results.values())
    first = next(iter(results.values()))
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        protocol=first.protocol,
        data=first.data,
        labels=list(by_label),
        results=list(by_label.items()),
        cards=headline_cards(results.values()),
        heading=heading,
        tables=window_tables(results),
        recall=recall,
        recall_figures=[{"name": name, "source": data_uri(path)} for name, path in recall_pictures.items()],
        pairs=paired_tables(results) if len(results) > 1 else (),
        figures=[{"name": name, "source": data_uri(path)} for name, path in figures.items()],
        examples=[
            {
                "key": example.key,
                "title": example.title,
                "video": data_uri(example.video),
                "strip": data_uri(example.strip),
            }
            for example in examples
        ],
    )


def save_figures(figures: Mapping[str, Figure], folder: Path) -> dict[str, Path]:
    """Write every figure as PNG and PDF; return the paths of the PNGs."""
    paths = {}
    for name, figure in figures.items():
        for suffix, metadata in ((".png", {}), (".pdf", {"CreationDate": None})):  # reproducible bytes
            with whole_file(folder / f"{name}{suffix}") as temporary:
                figure.savefig(temporary, format=suffix[1:], dpi=160, metadata=metadata)
        paths[name] = folder / f"{name}.png"
    return paths


def data_uri(path: Path) -> str:
    """Return a file as a data URI."""
    return f"data:{MIME[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _recall(results: Mapping[str, Result], dataset: LoopcraftDataset | None) -> list[RecallTable]:
    """Return the recall tables; those by frames need the data set and the scores of every video."""
    tables = recall_tables(results)
    if dataset is None or missing_scores(results):
        return tables
    ages = return_ages(dataset, next(iter(results.values())))
    shared = [
        metric
        for metric in METRICS
        if isinstance(metric, PairedMetric)
        and metric.name in RECALL_METRICS
        and all(metric.name in run.metrics for run in results.values())
    ]
    return [*tables, *frames_tables(shared, results, ages)] if shared and ages.any() else tables


def _shown(results: Mapping[str, Result]) -> list[Shown]:
    """Return the runs of models, or those of references if there are no others."""
    runs = [
        Shown(label=label, result=result, folder=path_at(source).parent)
        for source, (label, result) in zip(results, label_results(results.values()).items(), strict=True)
    ]
    return [run for run in runs if run.result.model.role == "model"] or runs


def _require_report_folder(out: Path) -> None:
    """Raise `UserError` if the folder holds files but no report."""
    page = out / "report.html"
    if page.is_file() and _MARK in page.read_text(encoding="utf-8", errors="replace"):
        return
    for path in sorted(out.iterdir()):  # an interrupted report has no page
        if path.name not in FOLDERS and not is_passing(path):
            raise UserError(f"{out}: holds other files, such as {path.name}; choose another --out")


def _require_same_data(dataset: LoopcraftDataset, data: Path, results: Mapping[str, Result]) -> None:
    source, first = next(iter(results.items()))
    if dataset.fingerprint != first.data.fingerprint:
        raise UserError(
            f"--data {as_given(data)}: not the data set of {source}; give that one, or omit --data"
        )


main = partial(run, Flags, report)

if __name__ == "__main__":
    raise SystemExit(main())
