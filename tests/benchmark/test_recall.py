"""Recall: returns on handmade walks; means compared with plain loops; mistakes in one sentence."""

import re

import numpy as np
import pytest

from benchmark import report
from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.harness.score import write_scores
from benchmark.recall import main
from benchmark.reporting.returns import Group, groups_up_to
from benchmark.results.result_file import write_result
from loopcraft.core.files import write_json
from loopcraft.dataset import open_dataset
from loopcraft.dataset.layout import episode_key
from loopcraft.video.h264 import video_writer
from loopcraft.walks.revisits import find_revisits, revisit_ages
from tests.fakes.benchmark_data import SIDE, make_result

CONTEXT, FRAMES = LOOPCRAFT_MINI.context, LOOPCRAFT_MINI.num_frames
AWAY = slice(CONTEXT, CONTEXT + 36)
VIDEOS = 2


def make_return_walk(video: int) -> np.ndarray:
    """Make states (T, 6): 64 frames at a place, 36 far away, 60 back, then away for good."""
    states = np.zeros((FRAMES, 6), np.float32)
    states[AWAY, 1] = 50
    states[CONTEXT + 96 :, 1] = 50 + video
    return states


@pytest.fixture
def data(tmp_path):
    root = tmp_path / "data"
    for video in range(VIDEOS):
        key = episode_key(video)
        with video_writer(root / f"{key}.mp4", height=SIDE, width=SIDE, lossless=True) as writer:
            for _ in range(FRAMES):
                writer.write(np.zeros((SIDE, SIDE, 3), np.uint8))
        np.save(root / f"{key}.npy", make_return_walk(video))
    write_json(root / "index.json", {episode_key(video): FRAMES for video in range(VIDEOS)})
    return root


def write_run(root, data, name, per_frame):
    """Write a finished run whose PSNR is `per_frame` (V, T)."""
    keys = tuple(episode_key(video) for video in range(VIDEOS))
    result = make_result(name)
    metric = result.metrics["psnr"]
    videos = {window: (estimate.mean,) * VIDEOS for window, estimate in metric.windows.items()}
    result = replace_data(result, data, keys, videos)
    for key, scores in zip(keys, per_frame, strict=True):
        path = root / "scores" / f"{key}.safetensors"
        write_scores(path, {"psnr": np.asarray(scores, np.float32)[:, None]}, seconds=1.0)
    write_result(root / "result.json", result)
    return root


def replace_data(result, data, keys, videos):
    from dataclasses import replace

    fingerprint = open_dataset(data).fingerprint
    metric = replace(result.metrics["psnr"], videos=videos)
    return replace(
        result, data=replace(result.data, keys=keys, fingerprint=fingerprint), metrics={"psnr": metric}
    )


def test_ages_count_from_the_newest_sight_in_the_context():
    ages = revisit_ages(make_return_walk(0)[:, 1:], CONTEXT)
    expected = np.zeros(FRAMES - CONTEXT, int)
    expected[36:96] = np.arange(36, 96) + 1  # the last frame of the context shows it
    assert ages.tolist() == expected.tolist()


def test_ages_are_positive_exactly_at_revisits():
    rng = np.random.default_rng(0)
    poses = np.cumsum(rng.normal(size=(300, 5)) * [0.5, 0, 0.5, 20, 0], axis=0)
    assert ((revisit_ages(poses, 100) > 0) == find_revisits(poses, 100)).all()


def test_means_are_over_videos_then_their_frames():
    rng = np.random.default_rng(1)
    scores, ages = rng.normal(size=(5, 40)), rng.integers(0, 4, (5, 40))
    ages[3] = 0  # a video without returns does not count
    group = Group(name="", ages=range(1, 3))
    per_video = [
        np.mean([score for score, age in zip(*video, strict=True) if age in (1, 2)])
        for video in zip(scores[[0, 1, 2, 4]], ages[[0, 1, 2, 4]], strict=True)
    ]
    assert group.mean(scores, ages).mean == pytest.approx(np.mean(per_video))
    assert Group(name="", ages=range(9, 10)).mean(scores, ages) is None


def test_every_return_is_in_one_stretch_of_ages():
    groups = groups_up_to(700)
    assert [(group.ages.start, group.ages[-1]) for group in groups[2:]] == [
        (1, 64),
        (65, 128),
        (129, 256),
        (257, 512),
        (513, 1024),
    ]


def test_the_table_shows_which_model_remembers(data, tmp_path, capsys):
    ages = np.stack([revisit_ages(make_return_walk(video)[:, 1:], CONTEXT) for video in range(VIDEOS)])
    keeper = write_run(tmp_path / "keeper", data, "keeper", np.where(ages > 0, 30.0, 10.0))
    fader = write_run(tmp_path / "fader", data, "fader", np.where((ages > 0) & (ages <= 64), 20.0, 10.0))
    arguments = [str(keeper), str(fader), "--data", str(data), "--metrics", "psnr"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    numbers = {
        name: re.findall(r"(\d+\.\d\d) \[", next(line for line in lines if name in line))
        for name in ("keeper", "fader")
    }
    assert numbers["keeper"] == ["10.00", "30.00", "30.00", "30.00"]
    share = (28 * 20 + 32 * 10) / 60  # returns of age 37 to 64, and 65 to 96
    assert numbers["fader"] == ["10.00", f"{share:.2f}", "20.00", "10.00"]
    assert any(f"{2 * 60} of 2 videos" in line for line in lines)


def test_the_report_shows_the_frames_that_return(data, tmp_path):
    ages = np.stack([revisit_ages(make_return_walk(video)[:, 1:], CONTEXT) for video in range(VIDEOS)])
    keeper = write_run(tmp_path / "keeper", data, "keeper", np.where(ages > 0, 30.0, 10.0))
    folder = tmp_path / "report"
    assert report.main([str(keeper), "--out", str(folder), "--data", str(data), "--videos", "0"]) == 0
    table = (folder / "report.html").read_text().split("PSNR (dB) of frames")[1].split("</table>")[0]
    assert "returns<br>120 of 2 videos" in table
    assert "<td>10.00 [" in table
    assert table.count("<td>30.00 [") == 3
    assert report.main([str(keeper), "--out", str(folder)]) == 0
    assert "of frames" not in (folder / "report.html").read_text()


def test_if_nobody_comes_back_there_is_one_column(data, tmp_path, capsys):
    for video in range(VIDEOS):
        states = make_return_walk(video)
        states[CONTEXT:, 1] = 50
        np.save(data / f"{episode_key(video)}.npy", states)
    run = write_run(tmp_path / "run", data, "model", np.full((VIDEOS, FRAMES - CONTEXT), 12.0))
    assert main([str(run), "--data", str(data), "--metrics", "psnr"]) == 0
    out = capsys.readouterr().out
    assert "12.00" in out
    assert "returns" not in out


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("fid", "--metrics fid: has no scores of single frames"),
        ("ssim", "was not scored by ssim; leave it out of --metrics"),
        ("surprise", "unknown metric 'surprise'"),
        ("data", "not the data set of the runs"),
        ("scores", "give the whole run folder, not only its result file"),
    ],
)
def test_mistakes_are_one_sentence(mistake, message, data, tmp_path, capsys):
    run = write_run(tmp_path / "run", data, "model", np.ones((VIDEOS, FRAMES - CONTEXT)))
    if mistake == "data":
        states = make_return_walk(0)
        states[0, 1] = 3
        np.save(data / f"{episode_key(0)}.npy", states)
    if mistake == "scores":
        (run / "scores" / f"{episode_key(1)}.safetensors").unlink()
    metrics = mistake if mistake in ("fid", "ssim", "surprise") else "psnr"
    assert main([str(run), "--data", str(data), "--metrics", metrics]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
