"""Runs on data with recall masks: a model right only where surfaces returned, and masks that do not fit."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from benchmark import metrics, recall, report, run
from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from benchmark.harness.recall_scores import PSNR, read_sums
from benchmark.harness.score import read_seconds, write_scores
from benchmark.memory.kinds import (
    IN_SIGHT,
    RETURNED,
    SKY,
    horizon_kinds,
    merge_to_old_bins,
    pixel_kinds,
)
from benchmark.metrics.base import Mapped, PairedMetric
from benchmark.results.recall import recall_gain
from benchmark.results.result_file import read_result
from loopcraft.core.errors import UserError
from loopcraft.dataset import open_dataset
from loopcraft.dataset.mask_files import encode_masks, spread
from tests.fakes.benchmark_data import SIDE, make_frames, write_dataset

KEYS = ("000/000", "000/001", "000/002")


def make_masks(seed: int, side: int = SIDE) -> dict[str, np.ndarray]:
    """Make masks of a whole episode with pixels of every kind and ages up to 200."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 4, (MINI.num_frames, side, side))
    age = np.where(kind == RETURNED, rng.integers(1, 201, kind.shape), 0).astype(np.uint16)
    return {"seen": kind >= IN_SIGHT, "age": age, "sky": kind == SKY}


def write_masks(root: Path, *, num_context: int = MINI.context, side: int = SIDE) -> Path:
    """Give a data set in the paper's layout a manifest and masks."""
    manifest = {"format": "loopcraft-dataset", "version": 1, "world": "waves", "num_context": num_context}
    more = {"split": "test", "generator": {"resolution": side}, "versions": {}}
    (root / "dataset.json").write_text(json.dumps(manifest | more))
    for seed, key in enumerate(KEYS):
        (root / f"{key}.seen.npz").write_bytes(encode_masks(make_masks(seed, side)))
    return root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_masks(write_dataset(tmp_path / "data"))


def score(data: Path, out: Path, *more: str, model: str = f"{__name__}:Rememberer") -> Path:
    flags = ["--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini", "--model", model]
    assert run.main([*flags, "--no-isolate", *more]) == 0
    return out


class Rememberer:
    """Knows the future of the first two videos: right where a surface returned, ten levels off elsewhere."""

    name, frame_shape, max_context = "rememberer", (3, SIDE, SIDE), 64

    def __init__(self, chunk: int = 50) -> None:
        self.chunk = chunk

    def rollout(self, context, actions, *, seeds):
        import torch

        first = context[:, 0].permute(0, 2, 3, 1).numpy()
        videos = [next(v for v in range(3) if np.array_equal(frame, make_frames(v)[0])) for frame in first]
        pictures = []
        for video in videos:
            true = make_frames(video)[MINI.context :].astype(int)
            wrong = np.where(true < 128, true + 10, true - 10)
            age = make_masks(video)["age"][MINI.context :, :, :, None]
            pictures.append(np.where(age > 0, true, wrong).astype(np.uint8))
        whole = torch.from_numpy(np.stack(pictures)).permute(0, 1, 4, 2, 3)
        yield from whole.split(self.chunk, dim=1)


def red_differences(a: np.ndarray, b: np.ndarray) -> Mapped:
    maps = np.abs(a[..., 0].astype(np.float32) - b[..., 0])
    return Mapped(maps.mean(axis=(1, 2)), maps)


MAPPED = PairedMetric(
    name="red",
    version=1,
    title="Red",
    higher_is_better=False,
    decimals=1,
    load=lambda resources: lambda a, b: red_differences(a, b).values,
    load_map=lambda resources: red_differences,
)


@pytest.mark.parametrize("chunk", [50, 192])
def test_a_mapped_metric_is_shown_beside_psnr_if_every_run_has_it(
    data: Path, tmp_path: Path, monkeypatch, chunk: int, capsys
) -> None:
    monkeypatch.setattr(metrics, "METRICS", (*metrics.METRICS, MAPPED))
    more = ["--batch-size", "2", "--metrics", "psnr,red"]
    out = score(data, tmp_path / "run", *more, "--model-args", json.dumps({"chunk": chunk}))
    for video, key in enumerate(KEYS):
        sums, below = read_sums(out / "scores" / f"{key}.safetensors", ["red"]).metrics["red"]
        sky = make_masks(video)["sky"][MINI.context :]
        assert sums[SKY] == 10 * sky.sum() == 10 * below[SKY]
        assert sums[RETURNED:].sum() == 0
    scores = read_result(out / "result.json").recall.metrics["red"]
    assert (scores.card.title, scores.card.higher_is_better) == ("Red", False)
    assert scores.never_shown.videos == (10.0,) * 3
    capsys.readouterr()
    assert recall.main([str(out)]) == 0
    # never shown, in sight, returned; the gain is positive though lower is better
    assert row_of(capsys.readouterr().out, "Red of surfaces", "rememberer") == [10.0, 10.0, 0.0, 10.0]
    plain = score(data, tmp_path / "plain", "--metrics", "psnr")
    assert list(read_result(plain / "result.json").recall.metrics) == ["psnr"]
    capsys.readouterr()
    assert recall.main([str(out), str(plain)]) == 0
    printed = capsys.readouterr().out
    assert "PSNR (dB) of surfaces" in printed
    assert "Red of surfaces" not in printed


def row_of(printed: str, title: str, label: str) -> list[float]:
    """Return the means in a run's row of the first table with that title."""
    table = printed.split(title)[1].splitlines()
    row = next(line for line in table if label in line).split(label)[1]
    return [float(cell.split("[")[0]) for cell in row.split("]")[:-1]]


@pytest.mark.parametrize("chunk", [1, 50, 192])
def test_a_run_measures_what_is_remembered(data: Path, tmp_path: Path, chunk: int, capsys) -> None:
    batch = ["--batch-size", "2", "--model-args", json.dumps({"chunk": chunk})]
    out = score(data, tmp_path / "run", *batch)
    for video, key in enumerate(KEYS):
        age, sky = (make_masks(video)[name][MINI.context :] for name in ("age", "sky"))
        squared, count = read_sums(out / "scores" / f"{key}.safetensors", []).metrics[PSNR] / [[1], [3]]
        assert squared[RETURNED:].sum() == 0
        assert count[RETURNED:].sum() == (age > 0).sum()
        assert count[RETURNED] == ((age > 0) & (age <= 16)).sum()
        assert count[RETURNED + 8] == ((age > 128) & (age <= 160)).sum()
        assert squared[SKY] == 300 * sky.sum()
    blind = score(data, tmp_path / "blind", model="copy-last")
    capsys.readouterr()
    assert recall.main([str(out), str(blind), "--data", str(data), "--metrics", "psnr"]) == 0
    printed = capsys.readouterr().out
    # never shown, in sight, returned, and the gain of returned over never shown
    assert row_of(printed, "PSNR (dB) of surfaces", "rememberer") == [28.13, 28.13, 100.0, 71.87]
    assert max(row_of(printed, "PSNR (dB) of surfaces", "copy-last (reference)")) < 30
    assert re.search(r"25\.\d% of 3 videos", printed)
    by_age = printed.split("PSNR (dB) of returned surfaces, by age")[1].split("PSNR")[0]
    rows = [line for line in by_age.splitlines() if "frames ago" in line]
    assert [line.split()[0] for line in rows[:2]] == ["1-16", "17-32"]
    assert all("100.00 [100.00, 100.00]" in line for line in rows)
    result = read_result(out / "result.json")
    assert recall_gain(result, "psnr").estimate.mean == pytest.approx(71.87, abs=0.005)
    assert sum(result.recall.pixels.sky) == sum(make_masks(v)["sky"][MINI.context :].sum() for v in range(3))


def test_the_report_shows_the_same_table(data: Path, tmp_path: Path, capsys) -> None:
    out = score(data, tmp_path / "run")
    capsys.readouterr()
    for folder in (out, out / "result.json", copy_result(out, tmp_path)):
        flags = ["--out", str(tmp_path / "report"), "--data", str(data), "--videos", "0"]
        assert report.main([str(folder), *flags]) == 0
        page = (tmp_path / "report/report.html").read_text().split("<h2>Recall</h2>")[1].split("</table>")[0]
        assert page.count("<td>100.00 [") == 1
        assert "<td>71.87 [" in page
        assert "gain of returned<br>over never shown" in page
        assert 'alt="age-of-memory-psnr"' in page


def copy_result(run_folder: Path, tmp_path: Path) -> Path:
    """Copy a result without its scores."""
    (tmp_path / "copy").mkdir()
    return Path(shutil.copy(run_folder / "result.json", tmp_path / "copy"))


def test_masks_of_half_the_size_are_spread_over_the_frame(data: Path) -> None:
    write_masks(data, side=SIDE // 2)
    small = horizon_kinds(open_dataset(data), KEYS[0], MINI, SIDE, SIDE)
    np.testing.assert_array_equal(small, pixel_kinds(make_masks(0, SIDE // 2))[MINI.context :])
    kinds = spread(small, SIDE, SIDE, KEYS[0])
    assert kinds.shape == (MINI.horizon, SIDE, SIDE)
    for row, column in [(0, 0), (1, 0), (0, 1), (1, 1)]:
        np.testing.assert_array_equal(kinds[:, row::2, column::2], small)


def test_masks_of_half_the_size_score_like_full_size_masks(data: Path, tmp_path: Path) -> None:
    recalls = []
    for side in (SIDE // 2, SIDE):
        for seed, key in enumerate(KEYS):
            masks = make_masks(seed, SIDE // 2)
            spread_out = {name: spread(array, side, side, key) for name, array in masks.items()}
            (data / f"{key}.seen.npz").write_bytes(encode_masks(spread_out))
        recalls.append(read_result(score(data, tmp_path / str(side)) / "result.json").recall)
    assert recalls[0] == recalls[1]
    assert recalls[0] is not None


def test_masks_that_fit_no_frame_are_refused(data: Path) -> None:
    write_masks(data, side=5)
    with pytest.raises(
        UserError, match=r"masks of 000/000 have 5x5 pixels, not a fraction of the frames' 16x16"
    ):
        horizon_kinds(open_dataset(data), KEYS[0], MINI, SIDE, SIDE)


@pytest.mark.parametrize(
    ("lack", "reason"),
    [
        ("masks", "000/000 has no recall masks; python -m loopcraft.masks adds them"),
        ("age", "the recall masks of 000/000 lack age, sky"),
        ("context", "the recall masks are for 32 frames of context but loopcraft-mini has 64"),
    ],
)
def test_without_matching_masks_there_is_no_table(data: Path, tmp_path: Path, lack, reason, capsys) -> None:
    if lack == "context":
        write_masks(data, num_context=32)
    for key in KEYS:
        path = data / f"{key}.seen.npz"
        if lack == "masks":
            path.unlink()
        if lack == "age":
            np.savez(path, seen=make_masks(0)["seen"])
    out = score(data, tmp_path / "run", model="copy-last")
    output = " ".join(capsys.readouterr().err.split())
    left_out = "recall scores are left out"
    assert output.index(left_out) < output.index("copy-last on loopcraft-mini")  # before any work
    assert output.count(left_out) == 1
    assert read_sums(out / "scores/000/000.safetensors", []) is None
    result = read_result(out / "result.json")
    assert result.recall is None
    assert reason in result.absent["recall"]
    assert recall.main([str(out), "--data", str(data)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert reason in printed
    assert "No tables by surface" in printed
    assert "never shown" not in printed


def test_runs_scored_with_different_masks_are_not_compared(data: Path, tmp_path: Path, capsys) -> None:
    first = score(data, tmp_path / "first")
    write_masks(data, side=SIDE // 2)
    second = score(data, tmp_path / "second")
    capsys.readouterr()
    assert recall.main([str(first), str(second), "--data", str(data)]) == 2
    error = capsys.readouterr().err
    assert "were scored with different recall masks (video 000/000); score one again" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("batch_size", ["1", "3"])
def test_a_video_without_masks_takes_none_from_its_neighbours(data: Path, tmp_path: Path, batch_size) -> None:
    (data / "000/001.seen.npz").unlink()
    out = score(data, tmp_path / "run", "--batch-size", batch_size)
    has_errors = [read_sums(out / "scores" / f"{key}.safetensors", []) is not None for key in KEYS]
    assert has_errors == [True, False, True]
    recall_scores = read_result(out / "result.json").recall
    assert [value is None for value in recall_scores.metrics["psnr"].returned.videos] == [False, True, False]
    assert recall_scores.notes == ("1 of 3 videos have no matching recall masks and are left out",)


def test_only_videos_scored_with_masks_by_every_run_count(data: Path, tmp_path: Path, capsys) -> None:
    plain = write_dataset(tmp_path / "plain")
    first, second = score(data, tmp_path / "first"), score(plain, tmp_path / "second", "--save-videos", "0")
    (second / "scores/000/002.safetensors").write_bytes((first / "scores/000/002.safetensors").read_bytes())
    score(plain, second, "--save-videos", "0")  # collects the scores again
    capsys.readouterr()
    assert recall.main([str(first), str(second), "--data", str(data), "--metrics", "psnr"]) == 0
    assert "of 1 videos" in capsys.readouterr().out.split("of surfaces")[1]


def test_masks_that_fit_no_frame_stop_the_run_before_any_work(data: Path, tmp_path: Path, capsys) -> None:
    write_masks(data, side=5)
    flags = ["--data", str(data), "--out", str(tmp_path / "run"), "--protocol", "loopcraft-mini"]
    assert run.main([*flags, "--model", "copy-last"]) == 2
    error = capsys.readouterr().err
    assert "masks of 000/000 have 5x5 pixels, not a fraction of the frames' 16x16" in error
    assert not list((tmp_path / "run").glob("scores/**/*.safetensors"))


def test_scores_in_old_bins_are_read_and_set_the_bins(data: Path, tmp_path: Path) -> None:
    out = score(data, tmp_path / "run")
    fine = read_result(out / "result.json").recall
    path = out / "scores/000/001.safetensors"
    arrays, seconds = load_file(path), read_seconds(path)
    old = {name: arrays[name] for name in ("psnr", "ssim")}  # as written before the finer bins existed
    halves = np.split(arrays["surfaces"], 2, axis=1)
    old["surfaces"] = np.concatenate([merge_to_old_bins(half) for half in halves], axis=1)
    write_scores(path, old, seconds=seconds)
    score(data, out)
    coarse = read_result(out / "result.json")
    assert coarse.recall.ages == ((1, 64), (65, 128), (129, 256))
    assert coarse.recall.metrics["psnr"].returned == fine.metrics["psnr"].returned
    assert coarse.recall.metrics["ssim"].returned.videos[1] is None
    assert coarse.steering.yaw_error_deg.videos[1] is None
    assert [sum(column) for column in coarse.recall.pixels.by_age] == [
        sum(
            sum(counts)
            for counts, ages in zip(fine.pixels.by_age, fine.ages, strict=True)
            if first <= ages[0] <= last
        )
        for first, last in coarse.recall.ages
    ]


def test_arrays_that_are_not_errors_by_kind_are_named(data: Path, tmp_path: Path) -> None:
    out = score(data, tmp_path / "run")
    path = out / "scores/000/001.safetensors"
    write_scores(path, load_file(path) | {"surfaces": np.zeros((MINI.horizon, 7))}, seconds=1.0)
    with pytest.raises(
        UserError, match=r"000/001.safetensors: surfaces has the shape \(192, 7\), expected \(T"
    ):
        read_sums(path, [])
