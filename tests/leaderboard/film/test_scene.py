"""Scenes of test videos: the true frames, the returned pixels, the walk and the ground below it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leaderboard import scenes
from leaderboard.film.clips import write_clip
from leaderboard.film.scene import MAP_PIXELS, RETURNED, describe_walk, returned_pixels
from loopcraft import generate, masks
from loopcraft.core.errors import UserError
from loopcraft.dataset import open_dataset
from loopcraft.video.h264 import read_frames
from loopcraft.walks.revisits import find_revisits
from tests.fakes.benchmark_data import make_frames

NUM_FRAMES, CONTEXT = 256, 64


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "data"
    size = ["--num-episodes", "1", "--num-frames", str(NUM_FRAMES), "--resolution", "32", "--workers", "1"]
    assert generate.main(["--out", str(folder), "--split", "val", "--world", "plaza-v1", *size]) == 0
    assert masks.main([str(folder), "--workers", "1"]) == 0
    return folder


@pytest.fixture(scope="module")
def scene(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes")
    flags = [str(data), "--protocol", "loopcraft-mini", "--keys", "000/000", "--out", str(out)]
    assert scenes.main(flags) == 0
    return out / "000-000"


def test_the_truth_is_the_episode(data: Path, scene: Path) -> None:
    shown = read_frames(scene / "truth.mp4", 0, NUM_FRAMES).astype(float)
    true = open_dataset(data).frames("000/000", 0, NUM_FRAMES)
    # As close as the encoder gets, and closer than the neighbouring frame while the agent turns.
    assert np.abs(shown - true).mean() < 6.0
    assert np.abs(shown[1:] - true[1:]).mean() < np.abs(shown[1:] - true[:-1]).mean() * 0.8


def test_only_returned_pixels_are_coloured(data: Path, scene: Path) -> None:
    loaded = open_dataset(data).masks("000/000")
    assert loaded is not None
    returned = loaded["age"] > 0
    assert returned.any()
    frames = np.stack(returned_pixels(loaded, NUM_FRAMES, 32, 32))
    assert np.array_equal(frames.any(axis=-1), returned)
    assert set(map(tuple, frames[returned].tolist())) == {RETURNED}
    shown = read_frames(scene / "memory.mp4", 0, NUM_FRAMES)[..., 0]
    assert shown[returned].mean() > 180
    assert shown[~returned].mean() < 30


def test_the_walk_has_positions_and_returns(data: Path, scene: Path) -> None:
    walk = json.loads((scene / "walk.json").read_text())
    poses = open_dataset(data).states("000/000")[:, 1:]
    assert np.allclose(walk["x"], poses[:, 0], atol=0.01)
    assert np.allclose(walk["z"], poses[:, 2], atol=0.01)
    assert walk["context"] == CONTEXT
    back = find_revisits(poses, CONTEXT)
    assert np.array_equal(np.array(walk["is_back"], bool), np.concatenate([np.zeros(CONTEXT, bool), back]))
    assert walk["returns"] == [t for t in range(1, NUM_FRAMES) if walk["is_back"][t] > walk["is_back"][t - 1]]


def test_the_ground_contains_the_walk(scene: Path) -> None:
    walk = json.loads((scene / "walk.json").read_text())
    extent = walk["map"]
    for positions, low in ((walk["x"], extent["left"]), (walk["z"], extent["top"])):
        assert low < min(positions)
        assert max(positions) < low + extent["side"]
    with Image.open(scene / "map.webp") as picture:
        assert picture.size == (MAP_PIXELS, MAP_PIXELS)
        assert len(set(picture.convert("RGB").resize((16, 16)).get_flattened_data())) > 2


def test_the_same_video_gives_the_same_scene(data: Path, scene: Path, tmp_path: Path) -> None:
    flags = [str(data), "--protocol", "loopcraft-mini", "--keys", "000/000", "--out", str(tmp_path)]
    (tmp_path / "000-000").mkdir()
    (tmp_path / "000-000" / ".walk.json.0123456789abcdef.partial").touch()  # left by a killed command
    assert scenes.main(flags) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "000-000").iterdir()}
    assert files == {path.name: path.read_bytes() for path in scene.iterdir()}


def test_an_unknown_video_is_reported(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [str(data), "--protocol", "loopcraft-mini", "--keys", "9", "--out", str(tmp_path / "out")]
    assert scenes.main(flags) == 2
    assert "--keys 9: not a video of" in capsys.readouterr().err


def test_a_walk_that_never_comes_back_has_no_returns() -> None:
    poses = np.zeros((100, 5))
    poses[:, 0] = np.arange(100)
    walk = describe_walk(poses, 50, None)
    assert walk["returns"] == []
    assert walk["map"] is None


def test_a_clip_fits_or_is_refused(tmp_path: Path) -> None:
    frames = make_frames(0, 64, 64)
    for most in (200_000, 20_000):
        write_clip(tmp_path / "clip.mp4", frames, most)
        assert (tmp_path / "clip.mp4").stat().st_size <= most
    with pytest.raises(UserError, match="do not fit into 100 bytes"):
        write_clip(tmp_path / "none.mp4", frames, 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4"]
