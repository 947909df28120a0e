"""Models with known memory, steering and consistency: the scores separate them though PSNR alone does not.

The data are a few generated walks of plaza-v1 at 64 x 64; docs/recall.md has a table for more.
"""

import re
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from benchmark import library
from benchmark.conformance.known_memory import Forgetter, Oracle
from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from benchmark.memory import collector
from benchmark.memory.faces import SIDE as FACES_SIDE
from benchmark.memory.faces import Sightings, find_sightings
from benchmark.memory.replay import faces_shown
from benchmark.memory.steering import turns
from benchmark.results.recall import memory_horizon, recall_gain
from benchmark.results.result_file import Result, read_result, write_result
from loopcraft import generate, masks
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset, open_dataset
from perf import known_memory
from tests.fakes.benchmark_data import write_dataset

VIDEOS = 5
SEED = 3  # its walks return to generated frames and to the context within tolerance


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LoopcraftDataset:
    root = tmp_path_factory.mktemp("plaza")
    flags = ["--out", str(root), "--world", "plaza-v1", "--split", "val", "--seed", str(SEED)]
    more = [
        "--resolution",
        "64",
        "--num-episodes",
        str(VIDEOS),
        "--num-frames",
        str(MINI.num_frames),
        "--workers",
        "1",
    ]
    assert generate.main([*flags, *more]) == 0
    assert masks.main([str(root), "--workers", "1"]) == 0
    return open_dataset(root)


@pytest.fixture(scope="module")
def results(data: LoopcraftDataset) -> dict[str, Result]:
    """The result of every model. Faces and turns of the true videos are computed only for the first."""

    @cache
    def find_faces(key: str) -> Any:
        return faces_shown(data, key, MINI.num_frames, FACES_SIDE)

    sightings: dict[int, Sightings] = {}

    def find_once(ids: np.ndarray, poses: np.ndarray, num_context: int) -> Sightings:
        if id(ids) not in sightings:
            sightings[id(ids)] = find_sightings(ids, poses, num_context)
        return sightings[id(ids)]

    @cache
    def find_turns(frames: bytes, shape: tuple[int, ...]) -> np.ndarray:
        return turns(np.frombuffer(frames, np.uint8).reshape(shape))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(collector, "faces_shown", lambda episodes, key, *size: find_faces(key))
        patched.setattr(collector, "find_sightings", find_once)
        patched.setattr(collector, "turns", lambda frames: find_turns(frames.tobytes(), frames.shape))
        runs = [
            library.evaluate(model, data, protocol=MINI.id, metrics=["psnr", "ssim"], batch_size=VIDEOS)
            for model in (*known_memory.REFERENCES, *known_memory.models_for(data))
        ]
    return {run.model.name: run for run in runs}


def horizon(results: dict[str, Result], name: str, metric: str = "ssim"):
    value = memory_horizon(results[name], results["other-video"], results["ground-truth"], metric)
    assert value is not None
    return value


def mean_psnr(results: dict[str, Result], name: str) -> float:
    return fmean(results[name].metrics["psnr"].curve.mean)


def consistency(results: dict[str, Result], name: str, field: str) -> float:
    return getattr(results[name].consistency["ssim"], field).estimate.mean


def steering(results: dict[str, Result], name: str, field: str) -> float:
    return getattr(results[name].steering, field).estimate.mean


@pytest.mark.parametrize(
    ("name", "known", "verdict"),
    [
        ("oracle-16", 16, "none"),  # anything out of sight for 20 frames is older
        ("oracle-64", 64, "measured"),
        ("oracle-256", 256, "longer"),
        ("forgets-96", 96, None),
        ("ground-truth", 10**9, "longer"),
        ("other-video", 0, "none"),
    ],
)
def test_the_horizon_recovers_the_known_memory(results, name: str, known: float, verdict) -> None:
    measured = horizon(results, name)
    assert measured.verdict == (verdict or measured.verdict)
    low, high = measured.interval
    assert low <= known <= (np.inf if high is None else high)
    if verdict in ("none", "measured"):
        assert high < 128


@pytest.mark.parametrize("name", ["drifts", "other-world", "ignores-actions", "average"])
def test_models_that_show_the_wrong_thing_have_no_memory(results, name: str) -> None:
    assert horizon(results, name).verdict == "none"


def test_recall_ranks_the_oracles(results) -> None:
    returned = [results[name].recall.metrics["ssim"].returned.estimate.mean for name in
                ("oracle-16", "oracle-64", "forgets-96", "oracle-256", "ground-truth")]  # fmt: skip
    assert returned == sorted(returned)
    assert recall_gain(results["oracle-256"], "ssim").estimate.interval[0] > 0.3
    assert recall_gain(results["oracle-16"], "ssim").estimate.interval[1] < 0.3


def test_an_oracles_shares_are_one_up_to_its_age_and_zero_beyond(results) -> None:
    for point in horizon(results, "oracle-64", "psnr").points:  # exact per pixel
        if point.last <= 64:
            assert point.share == pytest.approx(1.0)
        else:
            assert abs(point.share) < 0.15
    assert horizon(results, "oracle-64", "psnr").frames == pytest.approx(64, abs=4)


def test_consistency_and_correctness_are_separated(results) -> None:
    possible = consistency(results, "ground-truth", "with_itself")
    assert consistency(results, "ground-truth", "possible") == possible
    assert consistency(results, "other-world", "with_itself") > 0.9 * possible
    assert consistency(results, "other-world", "with_truth") < 0.6 * possible
    assert consistency(results, "other-world", "with_context") < 0.6 * possible
    for name in ("drifts", "ignores-actions", "other-video"):
        assert consistency(results, name, "with_itself") < 0.75 * possible


def surface_consistency(results: dict[str, Result], name: str, field: str) -> float:
    return getattr(results[name].consistency["surface-psnr"], field).estimate.mean


def test_surfaces_separate_consistent_but_wrong_from_right(results) -> None:
    """On returned faces, a model that repaints the world is as consistent as the truth."""
    possible = surface_consistency(results, "ground-truth", "possible")
    assert possible > 32
    assert surface_consistency(results, "ground-truth", "with_itself") == possible
    assert surface_consistency(results, "ground-truth", "with_truth") == 100
    assert surface_consistency(results, "ground-truth", "with_context") > 32
    assert surface_consistency(results, "repaints", "with_itself") == pytest.approx(possible)
    assert surface_consistency(results, "repaints", "with_truth") < 20
    assert surface_consistency(results, "repaints", "with_context") < 20
    for name in ("oracle-16", "oracle-64", "ignores-actions", "other-video", "drifts"):
        assert surface_consistency(results, name, "with_itself") < possible - 10
    for name in results:
        assert surface_consistency(results, name, "possible") == possible


def test_surfaces_rank_the_oracles(results) -> None:
    """Surfaces that return within the oracle's memory look as in the context."""
    ranked = ("oracle-16", "oracle-64", "forgets-96", "oracle-256", "ground-truth")
    for field in ("with_truth", "with_context"):
        scores = [surface_consistency(results, name, field) for name in ranked]
        assert scores == sorted(scores)


def test_steering_is_measured_from_the_frames(results) -> None:
    assert steering(results, "ground-truth", "turns_followed") > 0.97
    assert steering(results, "ground-truth", "lag_frames") == 0
    error = steering(results, "ground-truth", "yaw_error_deg")
    assert error < 1.0
    for name in results:
        assert steering(results, name, "true_yaw_error_deg") == error
    assert steering(results, "other-world", "turns_followed") > 0.85
    assert steering(results, "ignores-actions", "turns_followed") < 0.5
    assert steering(results, "average", "turns_followed") == 0
    assert steering(results, "average", "standing_still") > 0.98  # the first frame differs from the context
    assert steering(results, "other-world", "standing_still") < 0.2
    a_pixel = 70 / 64
    assert steering(results, "drifts", "yaw_error_deg") == pytest.approx(a_pixel, abs=error + 0.3)
    assert steering(results, "drifts", "on_course") < steering(results, "ground-truth", "on_course")


def test_plain_psnr_ranks_models_differently(results) -> None:
    """Drifting truth beats memory; a mean colour beats good steering and consistency, as lost models do."""
    assert mean_psnr(results, "drifts") > mean_psnr(results, "oracle-64")
    assert mean_psnr(results, "ignores-actions") > mean_psnr(results, "other-world") - 1.5
    assert mean_psnr(results, "other-world") < mean_psnr(results, "average")


def test_everything_survives_the_file(results, tmp_path: Path) -> None:
    for name in ("ground-truth", "other-video", "average", "oracle-16"):
        result = results[name]
        write_result(tmp_path / name / "result.json", result)
        assert read_result(tmp_path / name / "result.json") == result


def test_the_command_shows_a_row_per_model(results) -> None:
    table = known_memory.to_markdown(results, ("psnr", "ssim"))
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert [re.findall(r"`(.*?)`", row)[0] for row in rows] == list(results)
    assert str(horizon(results, "oracle-64")) in table
    assert f"Means over {VIDEOS} videos" in table


def test_what_a_forgetter_keeps_depends_only_on_the_video() -> None:
    keys = [f"000/{video:03}" for video in range(400)]
    ages = np.array([Forgetter(96).oldest(key) for key in keys])
    assert ages.tolist() == [Forgetter(96).oldest(key) for key in keys]
    assert np.mean(ages > 96) == pytest.approx(0.5, abs=0.06)
    assert np.mean(ages > 192) == pytest.approx(0.25, abs=0.06)


def test_an_oracle_without_masks_names_what_it_needs(tmp_path: Path) -> None:
    data = open_dataset(write_dataset(tmp_path / "data"))
    with pytest.raises(UserError, match=r"000/000: oracle-64 needs complete recall masks for 64 frames"):
        list(Oracle(64).play(data, MINI, ["000/000"]))
    with pytest.raises(UserError, match="records no world seeds"):
        known_memory.models_for(data)
