"""The data check before a run: what would make every score wrong is refused, unusual names are not."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark import run
from benchmark.results.result_file import read_result
from loopcraft import verify
from loopcraft.core.files import write_json
from loopcraft.core.seeding import generator
from loopcraft.dataset import open_dataset
from loopcraft.video.h264 import video_writer
from loopcraft.walks.actions import Action, draw_walk
from tests.fakes.benchmark_data import SIDE, make_frames, write_dataset

KEYS = ("000/000", "000/001", "000/002")
TURNS = {Action.FORWARD: 0.0, Action.LEFT: -10.0, Action.RIGHT: 10.0}


def walk_states(video: int, num_frames: int = 256) -> np.ndarray:
    states = np.zeros((num_frames, 6), np.float32)
    states[:, 0] = draw_walk(generator(video, "soundness"), num_frames)
    yaw = np.cumsum([TURNS[Action(int(action))] for action in states[:, 0]])
    states[:, 4] = (yaw + 180) % 360 - 180
    return states


@pytest.fixture(scope="module")
def sound_set(tmp_path_factory) -> Path:
    root = write_dataset(tmp_path_factory.mktemp("data") / "set")
    for video, key in enumerate(KEYS):
        np.save(root / f"{key}.npy", walk_states(video))
    return root


@pytest.fixture
def root(sound_set, tmp_path) -> Path:
    return Path(shutil.copytree(sound_set, tmp_path / "set"))


def score(root: Path, out: Path, *more: str) -> int:
    flags = ["--model", "copy-last", "--data", str(root), "--out", str(out), "--protocol", "loopcraft-mini"]
    return run.main([*flags, *more])


def test_a_sound_set_is_scored_without_warnings(root, tmp_path, capsys) -> None:
    assert score(root, tmp_path / "out") == 0
    assert "warning" not in capsys.readouterr().err


def shift_actions(root: Path, rows: int) -> None:
    for key in KEYS:
        states = np.load(root / f"{key}.npy")
        states[:, 0] = np.roll(states[:, 0], rows)
        np.save(root / f"{key}.npy", states)


def add_a_first_frame(root: Path) -> None:
    for video, key in enumerate(KEYS):
        frames = make_frames(video)
        with video_writer(root / f"{key}.mp4", height=SIDE, width=SIDE, lossless=True) as writer:
            for frame in (frames[0], *frames):
                writer.write(frame)


def invent_an_action(root: Path) -> None:
    states = np.load(root / f"{KEYS[2]}.npy")
    states[9, 0] = 3
    np.save(root / f"{KEYS[2]}.npy", states)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: shift_actions(root, 1),
            "belongs to the action 1 rows further down, but row t must hold",
        ),
        (
            lambda root: shift_actions(root, -1),
            "belongs to the action 1 rows further up, but row t must hold",
        ),
        (lambda root: shift_actions(root, 2), "belongs to the action 2 rows further down"),
        (add_a_first_frame, "000.mp4: holds 257 frames but the index says 256"),
        (invent_an_action, "002.npy: row 9 holds the action 3.0"),
    ],
)
def test_data_that_would_make_every_score_wrong_is_refused(
    root, tmp_path, spoil, message: str, capsys
) -> None:
    spoil(root)
    assert score(root, tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_mismatched_turns_are_reported_and_scored(root, tmp_path, capsys) -> None:
    for key in KEYS:
        states = np.load(root / f"{key}.npy")
        states[:, 4] *= -1
        np.save(root / f"{key}.npy", states)
    assert score(root, tmp_path / "out") == 0
    assert "warning: " in (output := capsys.readouterr().err)
    assert "some turn of yaw does not match its row's action; python -m loopcraft.verify" in output


@pytest.mark.parametrize("metrics", ["psnr, ssim", "PSNR,SSIM", " psnr ,Ssim "])
def test_metric_names_ignore_case_and_spaces(root, tmp_path, metrics: str) -> None:
    assert score(root, tmp_path / "out", "--metrics", metrics, "--max-videos", "1") == 0
    assert list(read_result(tmp_path / "out" / "result.json").metrics) == ["psnr", "ssim"]


@pytest.mark.parametrize("name", ["episode_{}", "Scene-1/walk.{}", "000/00{}", "2024/01/take{}"])
def test_episodes_may_have_any_name(root, tmp_path, name: str, capsys) -> None:
    names = {key: name.format(index) for index, key in enumerate(KEYS)}
    other = tmp_path / "other"
    for key, new_name in names.items():
        for suffix in (".mp4", ".npy"):
            (other / f"{new_name}{suffix}").parent.mkdir(parents=True, exist_ok=True)
            (root / f"{key}{suffix}").rename(other / f"{new_name}{suffix}")
    write_json(other / "index.json", dict.fromkeys(names.values(), 256))
    dataset = open_dataset(other)
    assert dataset.keys == tuple(sorted(names.values()))
    assert verify.main([str(other)]) == 0
    assert score(other, tmp_path / "out", "--save-videos", "3") == 0
    result = read_result(tmp_path / "out" / "result.json")
    assert result.data.keys == dataset.keys
    predictions = ["--predictions", str(tmp_path / "out" / "videos"), "--name", "copy-last"]
    flags = ["--data", str(other), "--out", str(tmp_path / "again"), "--protocol", "loopcraft-mini"]
    assert run.main([*predictions, *flags]) == 0
    assert read_result(tmp_path / "again" / "result.json").metrics == result.metrics
    stray = other / f"{names[KEYS[0]]}.copy.mp4"
    stray.touch()
    assert verify.main([str(other)]) == (0 if stray.parent == other else 1)
