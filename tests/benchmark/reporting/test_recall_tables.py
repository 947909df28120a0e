"""Recall tables and figures from handmade results: the content of cells and lines."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmark import recall, report
from benchmark.reporting.recall_figures import age_figure, consistency_figure, recall_figures
from benchmark.reporting.recall_tables import age_tables, consistency_tables, horizon_table, steering_table
from benchmark.results.estimates import measured
from benchmark.results.recall_schema import Consistency, Steering
from benchmark.results.result_file import Result, write_result
from tests.fakes.benchmark_data import BINS, make_recall_result, make_result

VIDEOS = 4


def flat(*values: float) -> np.ndarray:
    return np.tile(np.array(values, float), (VIDEOS, 1))


def add_memory(result: Result, itself: float, truth: float) -> Result:
    """Add steering and consistency to a result."""

    def constant(value: float):
        return measured(np.full(VIDEOS, value))

    card = dataclasses.replace(result.metrics["psnr"].card, name="ssim", title="SSIM", unit="", decimals=3)
    again = Consistency(
        card=card,
        with_itself=constant(itself),
        with_truth=constant(truth),
        with_context=measured(np.full(VIDEOS, np.nan)),
        possible=constant(0.9),
    )
    names = [field.name for field in dataclasses.fields(Steering)]
    steering = Steering(**{name: constant(index / 10) for index, name in enumerate(names)})
    return dataclasses.replace(result, steering=steering, consistency={"ssim": again})


@pytest.fixture
def results() -> dict[str, Result]:
    runs = {
        "m": make_recall_result(flat(1, 1, 1, 0.2, 0.2), "keeper"),
        "f": make_recall_result(flat(0.2, 0.2, 0.2, 0.2, 0.2), "other-video", role="bound"),
        "c": make_recall_result(flat(1, 1, 1, 1, 1), "ground-truth", role="bound"),
    }
    return {name: add_memory(run, 0.8, 0.4 if name == "m" else 0.6) for name, run in runs.items()}


def test_the_horizon_table_has_a_row_per_run_with_bounds_first(results) -> None:
    (table,) = horizon_table(results)
    assert table.title == "Memory horizon (frames), between other-video and ground-truth"
    cells = {row.label: row.cells for row in table.rows}
    assert list(cells) == ["other-video", "ground-truth", "keeper"]
    assert cells == {
        "other-video": ("none",),
        "ground-truth": ("longer than 256 [129, ∞]",),
        "keeper": ("65 [33, 128]",),
    }
    assert horizon_table({"m": results["m"], "f": results["f"]}) == []


def test_the_age_table_has_a_row_per_bin(results) -> None:
    (table,) = age_tables(results)
    assert [row.label.split(" ")[0] for row in table.rows] == ["1-16", "17-32", "33-64", "65-128", "129-256"]
    assert table.columns == (("other-video", "(reference)"), ("ground-truth", "(reference)"), ("keeper", ""))
    assert [row.cells[2].split(" ")[0] for row in table.rows] == ["1.000", "1.000", "1.000", "0.200", "0.200"]
    assert "15.4% of 4 videos" in table.rows[0].label  # 100 of 50 + 70 + 30 + 5 x 100


def test_steering_and_consistency_have_a_row_per_run(results) -> None:
    (steering,) = steering_table(results)
    assert steering.rows[2].cells[0].startswith("0.000 [")
    assert steering.rows[2].cells[3].startswith("0.30 [")  # lag
    (again,) = consistency_tables(results)
    assert again.rows[2].cells == (
        "0.800 [0.800, 0.800]",
        "0.400 [0.400, 0.400]",
        "–",
        "0.900 [0.900, 0.900]",
    )
    old = {**results, "o": make_result("old")}
    assert steering_table(old)[0].rows[-1].cells == ("–",) * 7
    assert consistency_tables(old) == []


def test_the_figure_has_a_line_per_run_and_names_the_horizon(results) -> None:
    figures = recall_figures(results)
    assert list(figures) == ["age-of-memory-ssim", "consistency-ssim"]
    labelled = {run.model.name: run for run in results.values()}
    axes = age_figure(labelled, results["m"].recall.metrics["ssim"].card).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == ["other-video", "ground-truth", "keeper: 65 [33, 128]"]
    np.testing.assert_allclose(
        lines["keeper: 65 [33, 128]"].get_xdata(), [np.sqrt(first * last) for first, last in BINS]
    )
    assert lines["keeper: 65 [33, 128]"].get_ydata().tolist() == [1, 1, 1, 0.2, 0.2]


def test_better_consistency_is_up_and_right_for_any_metric(results) -> None:
    card = results["m"].consistency["ssim"].card
    for higher_is_better in (True, False):
        figure = consistency_figure(results, dataclasses.replace(card, higher_is_better=higher_is_better))
        axes = figure.axes[0]
        assert axes.xaxis_inverted() == axes.yaxis_inverted() == (not higher_is_better)


def write(folder: Path, results: dict[str, Result]) -> list[str]:
    for name, run in results.items():
        write_result(folder / name / "result.json", run)
    return [str(folder / name) for name in results]


def test_the_command_needs_only_result_files(results, tmp_path: Path, capsys) -> None:
    assert recall.main(write(tmp_path, results)) == 0
    printed = capsys.readouterr().out
    for title in ("SSIM of surfaces", "SSIM of returned surfaces, by age", "Memory horizon", "Steering"):
        assert title in printed
    assert "No " not in printed
    assert recall.main(write(tmp_path, {"m": results["m"]})) == 0
    printed = capsys.readouterr().out
    assert (
        "No memory horizon: it needs a run of other-video and one of autoencoded or ground-truth" in printed
    )


def test_an_old_result_is_reported_as_old(tmp_path: Path, capsys) -> None:
    assert recall.main(write(tmp_path, {"old": make_result("old")})) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "old/result.json: its result is from a version without recall; run the benchmark" in printed


def test_the_page_holds_figures_and_tables(results, tmp_path: Path) -> None:
    assert report.main([*write(tmp_path, results), "--out", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report/report.html").read_text()
    for alt in ("age-of-memory-ssim", "consistency-ssim"):
        assert f'alt="{alt}"' in page
        assert (tmp_path / f"report/figures/{alt}.pdf").exists()
    assert "65 [33, 128]" in page
