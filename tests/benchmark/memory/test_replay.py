"""Which face each pixel shows, asked of the world again; and a run where the world cannot be asked."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.harness.score import write_scores
from benchmark.harness.steering_scores import aggregate_surface_consistency
from benchmark.library import evaluate
from benchmark.memory import replay
from benchmark.memory.faces import NUM_COLUMNS
from benchmark.memory.replay import faces_shown, has_world_seeds
from benchmark.results.result_file import read_result, write_result
from loopcraft import generate, masks
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.worlds import make_surface_world
from tests.fakes.benchmark_data import write_dataset

SIDE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LoopcraftDataset:
    root = tmp_path_factory.mktemp("plaza") / "val"
    flags = "--world plaza-v1 --split val --num-episodes 2 --candidates 2 --num-frames 256 --workers 1"
    assert generate.main(["--out", str(root), *flags.split(), "--resolution", str(SIDE)]) == 0
    assert masks.main([str(root), "--workers", "1"]) == 0
    return open_dataset(root)


def another_way(*args: object) -> None:
    raise UserError("played again, the walk goes another way")


def test_the_ids_are_the_worlds(data: LoopcraftDataset) -> None:
    key = data.keys[1]
    found = faces_shown(data, key, 40, 16)
    world = make_surface_world("plaza-v1", resolution=16)
    seed = int(data.metadata["world_seed"].loc[key])
    expected = [seen.surface for seen in world.play(seed, data.actions(key), surfaces=True)]
    np.testing.assert_array_equal(found, np.stack(expected[:40]))


def test_a_set_that_does_not_say_its_worlds_is_not_asked(tmp_path: Path) -> None:
    stranger = open_dataset(write_dataset(tmp_path / "data"))
    assert not has_world_seeds(stranger)
    assert faces_shown(stranger, stranger.keys[0], 10, 16) is None


def test_a_run_has_it_in_its_result_and_the_file_keeps_it(data: LoopcraftDataset, tmp_path: Path) -> None:
    result = evaluate("copy-last", data, protocol="loopcraft-mini", metrics=["psnr"], batch_size=2)
    found = result.consistency["surface-psnr"]
    assert found.card.title == "PSNR by surface"
    assert found.possible.estimate.mean > 30 > 20 > found.with_itself.estimate.mean
    assert "surface-psnr" not in result.absent
    write_result(tmp_path / "result.json", result)
    assert read_result(tmp_path / "result.json") == result


def test_another_way_is_said_and_stops_nothing(data: LoopcraftDataset, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(replay, "play_again", another_way)
    flags = {"protocol": "loopcraft-mini", "metrics": ["psnr"], "out": tmp_path / "run"}
    result = evaluate("copy-last", data, **flags)
    assert result.recall is not None
    assert "surface-psnr" not in result.consistency
    assert "the walks take another path when played again" in result.absent["surface-psnr"]
    monkeypatch.undo()
    again = evaluate("copy-last", data, **flags)  # keeps the scores that it has
    assert again.absent == result.absent


def test_a_video_is_its_pixels_and_one_without_any_does_not_count(tmp_path: Path) -> None:
    rows = np.zeros((192, NUM_COLUMNS), np.float32)
    rows[[3, 5]] = [[1, 3 * 100, 3 * 400, 3, 0, 0], [3, 3 * 300, 0, 9, 0, 0]]
    paths = [tmp_path / "000" / f"{name}.safetensors" for name in ("a", "b", "c")]
    for path, arrays in zip(paths, ({"faces": rows}, {"faces": 0 * rows}, {"psnr": rows}), strict=True):
        write_scores(path, arrays, seconds=1.0)
    found = aggregate_surface_consistency(paths)["surface-psnr"]
    decibels = 20 * np.log10(255) - 10 * np.log10([100, 100, 1])
    assert [
        measured.videos[0] for measured in (found.with_itself, found.with_truth, found.possible)
    ] == pytest.approx(decibels.tolist())
    assert found.with_context.estimate is None
    assert found.with_itself.videos[1:] == (None, None)
    assert aggregate_surface_consistency(paths[1:]) == {}
