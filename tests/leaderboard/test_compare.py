"""Tables of results: which is best, what is refused, and what the four formats show."""

import csv
import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest

from benchmark.contract.protocol import LOOPCRAFT_V1
from benchmark.reporting.curves import curve_figures
from benchmark.results.formats import to_csv, to_latex, to_markdown, to_text
from benchmark.results.result_file import Model, Result, read_results, write_result
from benchmark.results.tables import paired_tables, unique_labels, window_tables
from leaderboard import compare
from loopcraft.core.errors import UserError
from tests.fakes.benchmark_data import make_result


def bound(result: Result) -> Result:
    return dataclasses.replace(result, model=dataclasses.replace(result.model, role="bound"))


def with_metric(result: Result, name: str, mean: float, **card: object) -> Result:
    """Return `result` with one more metric: a copy of its PSNR with another `mean` and card fields."""
    metric = result.metrics["psnr"]
    windows = {window: dataclasses.replace(e, mean=mean) for window, e in metric.windows.items()}
    changed = dataclasses.replace(
        metric,
        card=dataclasses.replace(metric.card, **{"name": name, "title": name, **card}),  # type: ignore[arg-type]
        windows=windows,
    )
    return dataclasses.replace(result, metrics={**result.metrics, name: changed})


def by_file(*results: Result) -> dict[str, Result]:
    return {f"{index}.json": result for index, result in enumerate(results)}


def bold(table) -> list[list[bool | None]]:
    return [[None if cell is None else cell.bold for cell in row.cells] for row in table.rows]


def test_bounds_come_first_and_are_never_best() -> None:
    results = by_file(make_result("a", 20.0), make_result("b", 22.0), bound(make_result("truth", 100.0)))
    tables = window_tables(results)
    assert [table.window for table in tables] == ["short", "medium", "long"]
    for table in tables:
        assert [row.label for row in table.rows] == ["truth", "a", "b"]
        assert [row.is_reference for row in table.rows] == [True, False, False]
        assert bold(table) == [[False], [False], [True]]


def test_lower_can_be_better_and_ties_are_shared() -> None:
    means = [("a", 3.0), ("b", 2.0), ("c", 2.0)]
    results = [with_metric(make_result(name), "fid", m, higher_is_better=False) for name, m in means]
    assert [row[1] for row in bold(window_tables(by_file(*results))[0])] == [False, True, True]


def test_an_absent_number_is_a_gap_with_a_reason() -> None:
    lacking = make_result("b", absent={"fid": "fetch the weights"}, failed={"000/009": "NaN"})
    table = window_tables(by_file(with_metric(make_result("a"), "fid", 3.0), lacking))[0]
    assert bold(table) == [[True, True], [True, None]]
    assert table.notes == ("b: fid is absent: fetch the weights", "b: 1 of 5 videos failed and are left out")
    for text in (to_text([table]), to_markdown([table]), to_latex([table])):
        assert "fetch the weights" in text


def test_results_without_any_number_still_say_why() -> None:
    empty = dataclasses.replace(make_result("a"), metrics={}, absent={"fid": "fetch the weights"})
    tables = window_tables(by_file(empty))
    for write in (to_text, to_markdown, to_latex):
        assert "fetch the weights" in write(tables)
    assert to_csv(tables).count("\n") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: dataclasses.replace(r, protocol=LOOPCRAFT_V1, protocol_hash=LOOPCRAFT_V1.hash),
         "protocols differ.*loopcraft-mini.*loopcraft-v1"),
        (lambda r: dataclasses.replace(r, data=dataclasses.replace(r.data, fingerprint="e" * 64)),
         "data sets differ.*ffffffffffff and eeeeeeeeeeee"),
        (lambda r: dataclasses.replace(r, data=dataclasses.replace(r.data, keys=r.data.keys[:3])),
         "scored videos differ.*4 videos, 000/003 only here and 3 videos"),
        (lambda r: with_metric(r, "psnr", 20.0, version=2), "versions of psnr differ"),
        (lambda r: with_metric(r, "psnr", 20.0, weights={"net": "b"}), "weights of psnr differ"),
    ],
)  # fmt: skip
def test_incomparable_results_are_refused(change, message: str) -> None:
    for tables in (window_tables, paired_tables):
        with pytest.raises(UserError, match=f"0.json and 1.json cannot be compared: their {message}"):
            tables(by_file(make_result("a"), change(make_result("b"))))


def test_paired_differences_match_the_videos() -> None:
    first, second = make_result("a", 21.0), make_result("b", 20.0)
    values = np.array([20.0, 20.5, 20.0, 19.5])
    videos = {window: tuple(values) for window in ("short", "medium", "long")}
    metric = dataclasses.replace(second.metrics["psnr"], videos=videos)
    second = dataclasses.replace(second, metrics={"psnr": metric})
    cell = paired_tables(by_file(first, second))[0].rows[0].cells[0]
    assert cell is not None
    differences = 21.0 + np.array([-1.0, 0.0, 0.5, 0.5]) - values
    assert cell.estimate.mean == pytest.approx(differences.mean())
    low, high = cell.estimate.interval or (0, 0)
    assert differences.min() <= low < differences.mean() < high <= differences.max()
    assert cell.text.startswith("+1.00 [")


def test_differences_join_videos_by_key_in_any_order(tmp_path) -> None:
    result = make_result("a", 21.0)
    videos = {window: values[::-1] for window, values in (result.metrics["psnr"].videos or {}).items()}
    reordered = dataclasses.replace(
        result,
        data=dataclasses.replace(result.data, keys=result.data.keys[::-1]),
        metrics={"psnr": dataclasses.replace(result.metrics["psnr"], videos=videos)},
    )
    paths = [Path(path) for path in write(tmp_path, result, reordered)]
    for table in paired_tables(read_results(paths)):
        cell = table.rows[0].cells[0]
        assert cell is not None
        assert (cell.estimate.mean, cell.estimate.interval, cell.bold) == (0.0, (0.0, 0.0), False)


def test_a_constant_difference_is_certain_and_no_difference_is_not() -> None:
    tables = paired_tables(by_file(make_result("a", 21.0), make_result("b", 20.0), make_result("c", 20.0)))
    rows = {row.label: row.cells[0] for row in tables[0].rows}
    assert {label: cell is not None and cell.bold for label, cell in rows.items()} == {
        "a − b": True,
        "a − c": True,
        "b − c": False,
    }


def test_set_wise_metrics_have_no_pairs() -> None:
    results = [with_metric(make_result(name), "fid", 3.0, kind="set-wise") for name in "ab"]
    assert [card.name for card in paired_tables(by_file(*results))[0].cards] == ["psnr"]


def test_labels_are_unique() -> None:
    def model(name: str, arguments: str) -> Result:
        result = make_result(name)
        changed: Model = dataclasses.replace(result.model, arguments=arguments)
        return dataclasses.replace(result, model=changed)

    results = [model("a", "{}"), model("b", '{"k": 1}'), model("b", '{"k": 2}'), model("b", '{"k": 2}')]
    assert unique_labels(results) == ["a", 'b {"k": 1}', 'b {"k": 2} #1', 'b {"k": 2} #2']


@pytest.fixture
def tables():
    return window_tables(
        by_file(bound(make_result("truth", 100.0)), make_result("a_b|c & [x]", 20.0), make_result("d", 22.0))
    )


def test_markdown(tables) -> None:
    lines = to_markdown(tables).splitlines()
    assert lines[:6] == [
        "### short (frames 1-16)",
        "",
        "|  | PSNR (dB) ↑ |",
        "| --- | ---: |",
        "| truth (reference) | 100.00 [99.00, 101.00] |",
        r"| a\_b\|c \& \[x\] | 20.00 [19.00, 21.00] |",
    ]
    assert lines[6] == "| d | **22.00 [21.00, 23.00]** |"


def test_latex(tables) -> None:
    text = to_latex(tables)
    assert r"a\_b|c \& [x] & 20.00 [19.00, 21.00] \\" in text
    assert r"d & \textbf{22.00 [21.00, 23.00]} \\" in text
    assert r" & PSNR (dB) $\uparrow$ \\" in text
    assert text.count(r"\midrule") == 3


def test_csv_has_every_number_unrounded(tables) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(tables))))
    assert len(rows) == 9
    assert rows[1] == {
        "window": "short", "row": "a_b|c & [x]", "bound": "false", "metric": "psnr", "unit": "dB",
        "mean": "20.0", "low": "19.0", "high": "21.0",
    }  # fmt: skip


def test_text_marks_the_best_with_an_asterisk(tables) -> None:
    text = to_text(tables)
    assert "a_b|c & [x]" in text
    assert "22.00 [21.00, 23.00]*" in text
    assert "101.00]*" not in text


HOSTILE = "=cmd|'/c calc'!A1\n\\input{/etc/passwd}\r\x1b[2J<img src=x onerror=alert(1)>\u202e$x^$ _a_ [b](c)"


@pytest.fixture
def hostile():
    """Results in which every text of a stranger tries to be more than text."""
    result = with_metric(make_result(HOSTILE), "other", 3.0, title=HOSTILE, unit="@SUM(1)")
    return by_file(dataclasses.replace(result, absent={HOSTILE: HOSTILE}), make_result("plain"))


def test_a_strangers_text_stays_text(hostile) -> None:
    tables = window_tables(hostile)
    for write_as in (to_text, to_markdown, to_latex, to_csv):
        text = write_as(tables)
        assert text.replace("\n", "").isprintable()
    assert [line for line in to_latex(tables).splitlines() if r"\input" in line and line[0] != "%"] == []
    shown = to_markdown(tables)
    assert "<img" not in shown.replace(r"\<", "")
    assert "[b](c)" not in shown
    cells = [cell for row in csv.reader(io.StringIO(to_csv(tables))) for cell in row]
    assert [cell for cell in cells if cell[:1] in "=+@" and cell] == []
    assert any(cell.startswith("'=cmd|") for cell in cells)


def test_figures_show_a_strangers_text_as_it_is(tmp_path) -> None:
    for name in ("$x^$", "_hidden", "$", r"\frac{", "a^b_c{}%", HOSTILE):
        results = by_file(make_result(name), make_result("plain"))
        figure = curve_figures(results)["psnr"]
        figure.savefig(tmp_path / "figure.png")
        (label, *_) = unique_labels(list(results.values()))
        shown = figure.legends[0].get_texts()[0].get_text()
        assert shown.replace(r"\$", "$").strip() == label


def write(folder: Path, *results: Result) -> list[str]:
    paths = []
    for index, result in enumerate(results):
        write_result(folder / str(index) / "result.json", result)
        paths.append(str(folder / str(index)))
    return paths


def test_the_command_takes_files_and_folders(tmp_path, capsys) -> None:
    first, second = write(tmp_path, make_result("a"), make_result("b", 30.0))
    assert compare.main([first, f"{second}/result.json", "--format", "csv"]) == 0
    assert "short,b,false,psnr,dB,30.0,29.0,31.0" in capsys.readouterr().out
    assert compare.main([first, second, "--pairs"]) == 0
    assert "a − b" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give at least one result file"),
        (["{0}", "--pairs"], "--pairs compares two or more results"),
        (["{0}", "{0}/result.json"], "each only once"),
        (["{0}", "{1}"], "cannot be compared"),
        (["nowhere.json"], "nowhere.json: no such file; give the folder of a finished run"),
    ],
)
def test_the_command_reports_mistakes(tmp_path, arguments, message, capsys) -> None:
    other = dataclasses.replace(
        make_result("b"), data=dataclasses.replace(make_result().data, keys=("000/000",))
    )
    metric = dataclasses.replace(
        other.metrics["psnr"], videos={"short": (20.0,), "medium": (20.0,), "long": (20.0,)}
    )
    paths = write(tmp_path, make_result("a"), dataclasses.replace(other, metrics={"psnr": metric}))
    assert compare.main([argument.format(*paths) for argument in arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_row_is_one_line_without_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    write_result(tmp_path / "result.json", make_result("a-model-with-a-long-name-that-fills-most-of-a-line"))
    assert compare.main([str(tmp_path / "result.json")]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "a-model-with" in line]
    assert len(rows) == 3
    assert all(re.search(r"\[[\d., ]+\]", row) for row in rows)
