"""The face each pixel shows, from replaying the world; and runs whose world cannot be replayed."""

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


def fail_to_replay(*args: object) -> None:
    raise UserError("played again, the walk goes another way")


def test_ids_match_the_world(data: LoopcraftDataset) -> None:
    key = data.keys[1]
    ids = faces_shown(data, key, 40, 16)
    world = make_surface_world("plaza-v1", resolution=16)
    seed = int(data.metadata["world_seed"].loc[key])
    expected = [seen.surface for seen in world.play(seed, data.actions(key), surfaces=True)]
    np.testing.assert_array_equal(ids, np.stack(expected[:40]))


def test_a_set_without_world_seeds_is_not_replayed(tmp_path: Path) -> None:
    dataset = open_dataset(write_dataset(tmp_path / "data"))
    assert not has_world_seeds(dataset)
    assert faces_shown(dataset, dataset.keys[0], 10, 16) is None


def test_surface_consistency_is_in_the_result_and_its_file(data: LoopcraftDataset, tmp_path: Path) -> None:
    result = evaluate("copy-last", data, protocol="loopcraft-mini", metrics=["psnr"], batch_size=2)
    measured = result.consistency["surface-psnr"]
    assert measured.card.title == "PSNR by surface"
    assert measured.possible.estimate.mean > 30 > 20 > measured.with_itself.estimate.mean
    assert "surface-psnr" not in result.absent
    write_result(tmp_path / "result.json", result)
    assert read_result(tmp_path / "result.json") == result


def test_a_failed_replay_is_reported_and_does_not_stop_the_run(
    data: LoopcraftDataset, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(replay, "play_again", fail_to_replay)
    flags = {"protocol": "loopcraft-mini", "metrics": ["psnr"], "out": tmp_path / "run"}
    result = evaluate("copy-last", data, **flags)
    assert result.recall is not None
    assert "surface-psnr" not in result.consistency
    assert "the walks take another path when played again" in result.absent["surface-psnr"]
    monkeypatch.undo()
    again = evaluate("copy-last", data, **flags)  # reuses its scores
    assert again.absent == result.absent


def test_pixels_are_pooled_per_video_and_videos_without_any_do_not_count(tmp_path: Path) -> None:
    rows = np.zeros((192, NUM_COLUMNS), np.float32)
    rows[[3, 5]] = [[1, 3 * 100, 3 * 400, 3, 0, 0], [3, 3 * 300, 0, 9, 0, 0]]
    paths = [tmp_path / "000" / f"{name}.safetensors" for name in ("a", "b", "c")]
    for path, arrays in zip(paths, ({"faces": rows}, {"faces": 0 * rows}, {"psnr": rows}), strict=True):
        write_scores(path, arrays, seconds=1.0)
    consistency = aggregate_surface_consistency(paths)["surface-psnr"]
    decibels = 20 * np.log10(255) - 10 * np.log10([100, 100, 1])
    assert [
        measure.videos[0]
        for measure in (consistency.with_itself, consistency.with_truth, consistency.possible)
    ] == pytest.approx(decibels.tolist())
    assert consistency.with_context.estimate is None
    assert consistency.with_itself.videos[1:] == (None, None)
    assert aggregate_surface_consistency(paths[1:]) == {}
