"""The report: self-contained, escaped, well-formed, and true to its numbers and frames."""

import dataclasses
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import report, run
from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from benchmark.reporting.curves import curve_figure, curve_figures
from benchmark.reporting.examples import Shown, choose_keys
from benchmark.reporting.strips import COLUMNS, TILE, choose_frames, choose_returns, write_strip
from benchmark.results.result_file import Curve, Result, read_result, write_result
from benchmark.results.tables import window_tables
from loopcraft.dataset import open_dataset
from loopcraft.drawing.canvas import CONTEXT_COLOR
from loopcraft.drawing.grid import GAP, MARGIN, TITLES
from loopcraft.video.h264 import count_frames, read_frames
from loopcraft.views.side_by_side import HEADER, PANEL, Board
from tests.fakes.benchmark_data import make_frames, make_result, write_dataset

HOSTILE = '<script>alert("x")</script>'


class Reader(HTMLParser):
    """Collects text and addresses and asserts that tags are closed in order."""

    VOID = frozenset({"meta", "img", "br", "link"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A data set and the runs of two bounds on it, with every video saved."""
    root = tmp_path_factory.mktemp("runs")
    write_dataset(root / "data")
    for model in ("copy-last", "other-video"):
        flags = ["--model", model, "--data", str(root / "data"), "--out", str(root / model)]
        assert run.main([*flags, "--protocol", "loopcraft-mini", "--batch-size", "3"]) == 0
    return root


def test_the_page_contains_everything_it_shows(runs, tmp_path) -> None:
    folders = [str(runs / "copy-last"), str(runs / "other-video")]
    flags = ["--data", str(runs / "data"), "--out", str(tmp_path), "--videos", "1"]
    assert report.main([*folders, *flags]) == 0
    page = Reader((tmp_path / "report.html").read_text())
    assert len(page.sources) == 2 + 2  # two figures; a video and a still
    assert all(source.startswith("data:") for source in page.sources)
    text = "".join(page.text)
    results = {name: read_result(runs / name / "result.json") for name in ("copy-last", "other-video")}
    for table in window_tables(results):
        for row in table.rows:
            assert all(cell is not None and cell.text in text for cell in row.cells)
    for piece in (MINI.hash, results["copy-last"].data.fingerprint, results["copy-last"].provenance.code):
        assert piece in text
    for name in ("psnr.png", "psnr.pdf", "ssim.png", "ssim.pdf"):
        assert (tmp_path / "figures" / name).stat().st_size > 1000


def test_what_a_result_says_is_escaped() -> None:
    nasty = make_result(HOSTILE, absent={HOSTILE: HOSTILE}, failed={HOSTILE: HOSTILE})
    nasty = dataclasses.replace(
        nasty, model=dataclasses.replace(nasty.model, arguments=HOSTILE, spec=HOSTILE)
    )
    page = Reader(report.render({"a": nasty, "b": make_result("plain", 21.0)}, {}, []))
    assert "script" not in page.tags
    assert "".join(page.text).count(HOSTILE) >= 6


def test_the_best_is_bold_and_bounds_are_not(runs) -> None:
    page = report.render({"a": make_result("good", 22.0), "b": make_result("bad", 20.0)}, {}, [])
    assert "<b>22.00 [21.00, 23.00]</b>" in page
    assert "<b>20.00" not in page
    assert "copy-last (reference)" in report.render(
        {"a": read_result(runs / "copy-last" / "result.json")}, {}, []
    )


def make_result_with(values: tuple[float, ...], name: str = "a", *, higher: bool = True) -> Result:
    result = make_result(name)
    metric = result.metrics["psnr"]
    metric = dataclasses.replace(
        metric,
        card=dataclasses.replace(metric.card, higher_is_better=higher),
        videos=dict.fromkeys(metric.windows, values),
    )
    return dataclasses.replace(result, metrics={"psnr": metric})


def make_shown(tmp_path: Path, saved: list[int], **options) -> Shown:
    run_folder = Shown(
        label="a", result=make_result_with((20.0, 18.0, 25.0, 21.0), **options), folder=tmp_path
    )
    for video in saved:
        path = run_folder.video(f"000/{video:03d}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return run_folder


def test_examples_are_the_worst_and_best_saved_videos(tmp_path) -> None:
    all_saved = make_shown(tmp_path / "all", [0, 1, 2, 3])
    assert list(choose_keys([all_saved], 3)) == ["000/001", "000/002", "000/000"]
    assert list(choose_keys([make_shown(tmp_path / "all", [], higher=False)], 2)) == ["000/002", "000/001"]
    titles = choose_keys([all_saved, make_shown(tmp_path / "some", [0, 3])], 9)
    assert list(titles) == ["000/000", "000/003"]
    assert titles["000/000"].startswith("000/000: worst of the 2 kept videos for a, PSNR 20.00 dB")
    assert choose_keys([make_shown(tmp_path / "none", [])], 2) == {}


def test_a_still_shows_the_frames_it_names(runs, tmp_path) -> None:
    dataset = open_dataset(runs / "data")
    predictions = {"copy": runs / "copy-last" / "videos" / "000" / "001.mp4"}
    write_strip(tmp_path / "strip.png", dataset, "000/001", MINI, predictions)
    sheet = np.asarray(Image.open(tmp_path / "strip.png"))
    for column, frame in enumerate(choose_frames(MINI)):
        true, copied = (cut_tile(sheet, row, column) for row in (0, 1))
        video = make_frames(1)
        assert np.abs(shrink(true) - video[63 + frame]).max() <= 1
        assert np.abs(shrink(copied) - video[63]).max() <= 1


def test_a_still_of_returns_shows_the_context_frames(runs, tmp_path) -> None:
    data = tmp_path / "data"
    shutil.copytree(runs / "data", data)
    states = np.zeros((MINI.num_frames, 6), np.float32)
    states[:64, 1] = np.arange(64)  # a walk along x, a jump away and the same walk again
    states[64:, 1] = 900
    states[100:164, 1] = np.arange(64)
    np.save(data / "000" / "001.npy", states)
    write_strip(tmp_path / "strip.png", open_dataset(data), "000/001", MINI, {})
    sheet = np.asarray(Image.open(tmp_path / "strip.png"))
    video = make_frames(1)
    for column, back in enumerate(np.linspace(0, 63, 8).round().astype(int)):
        seen, true = (cut_tile(sheet, row, column) for row in (0, 1))
        assert np.abs(shrink(seen) - video[back]).max() <= 1
        assert np.abs(shrink(true) - video[100 + back]).max() <= 1


@pytest.mark.parametrize("count", [0, 7, 8, 500])
def test_returns_are_shown_only_if_there_are_enough(count) -> None:
    chosen = choose_returns(np.arange(count) + 3)
    assert len(chosen) == (8 if count >= 8 else 0)
    assert not chosen or (chosen[0], chosen[-1]) == (3, count + 2)


def cut_tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    """Cut a tile out of a still; labels of any width lie left of the first."""
    top = MARGIN + TITLES + row * (TILE + GAP)
    left = sheet.shape[1] - MARGIN + GAP - (COLUMNS - column) * (TILE + GAP)
    return sheet[top : top + TILE, left : left + TILE]


def shrink(tile: np.ndarray) -> np.ndarray:
    return tile.reshape(16, tile.shape[0] // 16, 16, tile.shape[1] // 16, 3).mean(axis=(1, 3))


@pytest.mark.parametrize("horizon", [1, 5, 192, 768])
def test_stills_begin_with_the_first_and_end_with_the_last_frame(horizon: int) -> None:
    frames = choose_frames(dataclasses.replace(MINI, horizon=horizon))
    assert (frames[0], frames[-1]) == (1, horizon)
    assert frames == sorted(set(frames))


def test_panels_show_their_own_frames_and_the_time() -> None:
    positions = np.stack([np.arange(256.0), np.zeros(256)], axis=1)
    board = Board(["truth", "model"], positions, MINI.context)
    white, black = np.full((16, 16, 3), 255, np.uint8), np.zeros((16, 16, 3), np.uint8)
    in_context, generated = board.draw(63, (white, white)), board.draw(64, (white, black))
    assert in_context.shape == generated.shape
    middle = HEADER + GAP + PANEL // 2
    assert generated[middle, 4 + PANEL // 2].tolist() == [255] * 3
    assert generated[middle, 8 + PANEL + PANEL // 2].tolist() == [0] * 3
    assert in_context[0, 0].tolist() == [int(CONTEXT_COLOR[index : index + 2], 16) for index in (1, 3, 5)]
    assert (in_context[0, 0] != generated[0, 0]).any()


def test_the_video_goes_from_the_end_of_the_context_to_the_last_frame(runs, tmp_path) -> None:
    folder = str(runs / "copy-last")
    assert report.main([folder, "--data", str(runs / "data"), "--out", str(tmp_path), "--videos", "1"]) == 0
    (path,) = (tmp_path / "videos").glob("*.mp4")
    assert count_frames(path) == 64 + MINI.horizon
    key = path.stem.replace("-", "/")
    frame = read_frames(path, 64 + 9, 64 + 10)[0]
    truth = frame[30 : 30 + PANEL, 4 : 4 + PANEL]
    assert np.abs(shrink(truth) - make_frames(int(key[-3:]))[64 + 9]).mean() < 12  # lossy


def test_curves_are_scaled_to_models_and_name_those_outside() -> None:
    model = make_result("model", 20.0)
    truth = make_result("truth", 100.0)
    truth = dataclasses.replace(truth, model=dataclasses.replace(truth.model, role="bound"))
    figure = curve_figure({"model": model, "truth": truth}, model.metrics["psnr"].card)
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    assert low < 20.0 < high < 100.0
    assert "truth ↑" in [text.get_text() for text in axes.texts]
    assert [text.get_text() for text in axes.texts][-3:] == ["short", "medium", "long"]
    model_line = next(line for line in axes.lines if line.get_label() == "model")
    np.testing.assert_array_equal(model_line.get_ydata(), [20.0] * MINI.horizon)
    np.testing.assert_array_equal(model_line.get_xdata(), np.arange(1, MINI.horizon + 1))


def test_curves_of_clips_stand_at_their_last_frame() -> None:
    result = make_result()
    curve = Curve(step=16, mean=tuple(range(12)), low=None, high=None)
    metric = dataclasses.replace(result.metrics["psnr"], curve=curve)
    figures = curve_figures({"a": dataclasses.replace(result, metrics={"psnr": metric})})
    line = figures["psnr"].axes[0].lines[0]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(16, 193, 16))


def test_another_data_set_is_refused(runs, tmp_path, capsys) -> None:
    other = write_dataset(tmp_path / "other", num_videos=1)
    assert report.main([str(runs / "copy-last"), "--data", str(other), "--out", str(tmp_path / "r")]) == 2
    assert "not the data set of" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_a_report_replaces_only_an_earlier_report(tmp_path, capsys) -> None:
    write_result(tmp_path / "result.json", make_result())
    out = tmp_path / "report"
    command = [str(tmp_path / "result.json"), "--out"]
    assert report.main([*command, str(out)]) == 0
    (out / "a-note.txt").touch()
    assert report.main([*command, str(out)]) == 0
    (out / "a-note.txt").unlink()
    (out / "report.html").unlink()  # as a killed command leaves it
    assert report.main([*command, str(out)]) == 0
    (out / "report.html").write_text("<h1>Mine</h1>")
    for folder, other in ((out, "report.html"), (tmp_path, "report")):
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        assert report.main([*command, str(folder)]) == 2
        message = f"error: {folder}: holds other files, such as {other}; choose another --out\n"
        assert capsys.readouterr().err == message
        assert sorted(tmp_path.rglob("*")) == before
    assert (out / "report.html").read_text() == "<h1>Mine</h1>"


@pytest.mark.parametrize("name", ["../../../x", "/tmp/x", "a/../../x"])
def test_no_name_of_a_result_leads_out_of_the_report(tmp_path, name: str, capsys) -> None:
    result = make_result()
    metric = result.metrics["psnr"]
    metric = dataclasses.replace(metric, card=dataclasses.replace(metric.card, name=name))
    write_result(tmp_path / "strange.json", dataclasses.replace(result, metrics={name: metric}))
    assert report.main([str(tmp_path / "strange.json"), "--out", str(tmp_path / "a" / "b" / "report")]) == 2
    assert "is not a plain name" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["strange.json"]
