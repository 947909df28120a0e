"""Write one self-contained page of results: tables, curves, videos, and where every number came from.

Writes OUT/report.html, and beside it the figures as PNG and PDF and the example videos.
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
"""By which the report compares the frames that return with the others."""
FOLDERS = ("figures", "videos")
"""What a report has beside its page."""
_MARK = "<h2>Provenance</h2>"
"""What the page of every report holds, also of an old one."""
MIME = {".png": "image/png", ".mp4": "video/mp4"}


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which results are reported, and where."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, or their result files, or the addresses of these, of one protocol on one data set."""
    out: Path
    """Folder of the report: new, empty, or that of an earlier one."""
    data: Path | None = None
    """The data set's folder: with it the report shows videos that all runs kept."""
    videos: int = 2
    """Largest number of videos on the page."""


def report(flags: Flags) -> None:
    """Write the report."""
    results = read_results(flags.results)
    dataset = None
    if flags.data is not None:
        dataset = open_dataset(flags.data)
        _require_same_data(dataset, flags.data, results)
    with writing_to(flags.out, together=True, swept=("", *FOLDERS)):
        _require_place(flags.out)
        path = _write(flags, results, dataset)
    print(f"wrote {path}")


def _write(flags: Flags, results: Mapping[str, Result], dataset: LoopcraftDataset | None) -> Path:
    """Draw and film, then write the page."""
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
    """The page; everything that comes from a result is escaped, every picture is inside."""
    template = (
        importlib.resources.files("benchmark.reporting").joinpath("report.html").read_text(encoding="utf-8")
    )
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    by_label = label_results(results.values())
    first = next(iter(results.values()))
    return environment.from_string(template).render(
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
    """Write every figure as PNG and PDF; returns the PNGs."""
    paths = {}
    for name, figure in figures.items():
        for suffix, said in ((".png", {}), (".pdf", {"CreationDate": None})):  # again, the same bytes
            with whole_file(folder / f"{name}{suffix}") as temporary:
                figure.savefig(temporary, format=suffix[1:], dpi=160, metadata=said)
        paths[name] = folder / f"{name}.png"
    return paths


def data_uri(path: Path) -> str:
    """A file as an address that holds it."""
    return f"data:{MIME[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _recall(results: Mapping[str, Result], dataset: LoopcraftDataset | None) -> list[RecallTable]:
    """The tables of recall; those of frames need the data and the scores of every video."""
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
    """The models; where there are only references, those."""
    runs = [
        Shown(label=label, result=result, folder=path_at(source).parent)
        for source, (label, result) in zip(results, label_results(results.values()).items(), strict=True)
    ]
    return [run for run in runs if run.result.model.role == "model"] or runs


def _require_place(out: Path) -> None:
    """Raise `UserError` for a folder that holds more than a report, or a page that is none."""
    page = out / "report.html"
    if page.is_file() and _MARK in page.read_text(encoding="utf-8", errors="replace"):
        return
    for path in sorted(out.iterdir()):  # of a report that was broken off there is no page
        if path.name not in FOLDERS and not is_passing(path):
            raise UserError(f"{out}: holds other files, like {path.name}; choose another --out")


def _require_same_data(dataset: LoopcraftDataset, data: Path, results: Mapping[str, Result]) -> None:
    source, first = next(iter(results.items()))
    if dataset.fingerprint != first.data.fingerprint:
        raise UserError(
            f"--data {as_given(data)}: not the data set of {source}; give that one, or leave --data out"
        )


main = partial(run, Flags, report)

if __name__ == "__main__":
    raise SystemExit(main())
