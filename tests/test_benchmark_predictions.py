"""Scoring finished videos: the three forms agree, a run's own videos score alike, gaps are listed."""

from pathlib import Path

import numpy as np
import pytest
from benchmark_data import make_frames, write_dataset
from PIL import Image

from benchmark import run
from benchmark.predictions import Predictions
from benchmark.protocol import LOOPCRAFT_MINI as MINI
from benchmark.results import Result, read_result
from loopcraft.video import read_frames, video_writer

KEYS = ("000/000", "000/001", "000/002")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def write_prediction(folder: Path, key: str, form: str, frames: np.ndarray) -> None:
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    if form == "mp4":
        with video_writer(target.with_suffix(".mp4"), height=16, width=16, lossless=True) as writer:
            for frame in frames:
                writer.write(frame)
    elif form == "npz":
        np.savez_compressed(target.with_suffix(".npz"), frames=frames)
    else:
        target.mkdir()
        for place, frame in enumerate(frames):
            Image.fromarray(frame).save(target / f"{place:04d}.png")


def predicted(video: int) -> np.ndarray:
    return np.uint8(make_frames(video)[MINI.context :] // 2)


def score(data: Path, out: Path, *more: str, code: int = 0) -> Result | None:
    flags = ["--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini", "--save-videos", "0"]
    assert run.main([*flags, *more]) == code
    return read_result(out / "result.json") if code < 2 else None


@pytest.mark.parametrize("forms", ["mp4", "npz", "png", "mixed"])
def test_every_form_scores_as_the_frames_that_it_holds(data, tmp_path, forms: str) -> None:
    order = ["mp4", "npz", "png"] if forms == "mixed" else [forms] * 3
    for video, (key, form) in enumerate(zip(KEYS, order, strict=True)):
        write_prediction(tmp_path / "videos", key, form, predicted(video))
    result = score(data, tmp_path / "out", "--predictions", str(tmp_path / "videos"), "--name", "darkener")
    assert result is not None
    assert (result.model.name, result.model.source, result.model.role) == ("darkener", "playback", "model")
    for video in range(3):
        difference = predicted(video).astype(float) - make_frames(video)[MINI.context :]
        mean_error = (difference[16:64] ** 2).mean(axis=(1, 2, 3)) / 255**2
        assert result.metrics["psnr"].videos is not None
        expected = (-10 * np.log10(mean_error)).mean()
        assert result.metrics["psnr"].videos["medium"][video] == pytest.approx(expected, rel=1e-5)


def test_a_runs_own_videos_score_as_the_run_did(data, tmp_path) -> None:
    first = score(data, tmp_path / "first", "--model", "copy-last", "--save-videos", "3", "--batch-size", "2")
    saved = tmp_path / "first" / "videos"
    np.testing.assert_array_equal(
        read_frames(saved / "000" / "001.mp4", 0, 192), np.repeat(make_frames(1)[63:64], 192, axis=0)
    )
    again = score(data, tmp_path / "again", "--predictions", str(saved), "--name", "copy-last")
    assert first is not None
    assert again is not None
    assert first.metrics == again.metrics


def test_a_failed_rollout_leaves_no_video(tmp_path) -> None:
    from benchmark.recording import recorded

    def broken():
        yield np.zeros((1, 4, 16, 16, 3), np.uint8)
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        list(recorded(broken(), [tmp_path / "a.mp4"]))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_short_videos_are_listed_and_left_out_only_when_asked(data, tmp_path, capsys) -> None:
    folder = tmp_path / "videos"
    write_prediction(folder, KEYS[1], "mp4", predicted(1)[:100])
    write_prediction(folder, KEYS[2], "npz", predicted(2))
    flags = ["--predictions", str(folder), "--name", "lazy"]
    assert score(data, tmp_path / "out", *flags, code=2) is None
    said = capsys.readouterr().err
    assert "2 of 3 videos cannot be scored" in said
    assert "000/000: no .mp4, .npz or folder of PNG files" in said
    assert "000/001.mp4: holds 100 frames, and loopcraft-mini asks for 192" in said
    assert not (tmp_path / "out").exists()
    result = score(data, tmp_path / "out", *flags, "--allow-partial")
    assert result is not None
    assert result.data.keys == (KEYS[2],)
    assert list(result.failed) == [KEYS[0], KEYS[1]]
    assert "holds 100 frames" in result.failed[KEYS[1]]


def test_a_video_with_its_context_is_recognised(tmp_path) -> None:
    write_prediction(tmp_path, KEYS[0], "npz", make_frames(0))
    problem = Predictions(tmp_path, "x").problem(KEYS[0], MINI)
    assert problem is not None
    assert problem.endswith("holds 256 frames, and loopcraft-mini asks for 192; leave the context out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "not an .npz with an array `frames`"),
        ({"video": np.zeros((192, 16, 16, 3), np.uint8)}, "not an .npz with an array `frames`"),
        ({"frames": np.zeros((192, 16, 16, 3), np.float32)}, r"`frames` is float32 \(192, 16, 16, 3\)"),
        ({"frames": np.zeros((192, 3, 16, 16), np.uint8)}, r"`frames` is uint8 \(192, 3, 16, 16\)"),
    ],
)
def test_a_bad_archive_is_named(data, tmp_path, content, message: str, capsys) -> None:
    path = tmp_path / "videos" / "000" / "000.npz"
    path.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    score(data, tmp_path / "out", "--predictions", str(tmp_path / "videos"), "--name", "x", code=2)
    said = capsys.readouterr().err
    assert str(path) in said
    assert message.replace("\\", "") in said


def test_frames_of_another_size_fail_their_video(data, tmp_path) -> None:
    for video, key in enumerate(KEYS):
        write_prediction(tmp_path / "videos", key, "npz", predicted(video)[:, : 8 if video == 1 else 16])
    flags = ["--predictions", str(tmp_path / "videos"), "--name", "x", "--batch-size", "1"]
    result = score(data, tmp_path / "out", *flags, code=1)
    assert result is not None
    assert list(result.failed) == [KEYS[1]]
    assert "expected a chunk" in result.failed[KEYS[1]]


def test_other_videos_under_the_same_name_are_another_run(data, tmp_path, capsys) -> None:
    for key in KEYS:
        write_prediction(tmp_path / "videos", key, "png", predicted(0))
    flags = ["--predictions", str(tmp_path / "videos"), "--name", "x"]
    score(data, tmp_path / "out", *flags)
    Image.fromarray(predicted(1)[0]).save(tmp_path / "videos" / KEYS[2] / "0007.png")
    score(data, tmp_path / "out", *flags, code=2)
    assert "holds another run (arguments is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give either --model"),
        (["--model", "copy-last", "--predictions", "."], "give either --model"),
        (["--predictions", "."], "--predictions needs --name"),
        (["--predictions", "/nowhere", "--name", "x"], "--predictions /nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_sentence(data, tmp_path, flags, message: str, capsys) -> None:
    score(data, tmp_path / "out", *flags, code=2)
    assert message in capsys.readouterr().err
