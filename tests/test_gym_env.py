"""The voxel world as a Gymnasium environment: Gymnasium's checker passes, and it shows what `play` shows."""

import tomllib
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from loopcraft import gym_env
from loopcraft.actions import draw_walk
from loopcraft.seeding import generator
from loopcraft.worlds.voxel.world import VoxelWorld

SMALL = {"resolution": 32, "quality": "fast"}


@pytest.fixture(autouse=True)
def _registered() -> None:
    gym_env.register()


def share_differing(frame: np.ndarray, wanted: np.ndarray) -> float:
    """Share of the pixels that differ: float32 rounds otherwise from another corner."""
    return float(np.any(frame != wanted, axis=-1).mean())


def test_gymnasiums_own_checker_passes() -> None:
    environment = gymnasium.make("loopcraft/Voxel-v1", render_mode="rgb_array", **SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings(
            "ignore", message=".*Box observation space m(in|ax)imum value is"
        )  # a pose has none
        check_env(environment.unwrapped)


def test_it_shows_what_the_world_plays() -> None:
    actions = draw_walk(generator(0, "gym test"), 400)
    environment = gymnasium.make("loopcraft/Voxel-v1", **SMALL)
    _, info = environment.reset(options={"world_seed": 5})
    assert info == {"world_seed": 5}
    for action, wanted in zip(actions, VoxelWorld(**SMALL).play(5, actions), strict=True):
        seen, reward, terminated, truncated, _ = environment.step(action)
        np.testing.assert_array_equal(seen["pose"], wanted.pose)
        assert share_differing(seen["frame"], wanted.frame) < 0.01
        assert (reward, terminated, truncated) == (0.0, False, False)


def test_it_walks_far_in_one_direction() -> None:
    environment = gym_env.VoxelEnv(**SMALL)
    start, _ = environment.reset(seed=1, options={"world_seed": 11})
    actions = np.zeros(500, np.int8)
    for action, wanted in zip(actions, VoxelWorld(**SMALL).play(11, actions), strict=True):
        seen, *_ = environment.step(action)
        np.testing.assert_array_equal(seen["pose"], wanted.pose)
        assert share_differing(seen["frame"], wanted.frame) < 0.01
    assert np.abs(seen["pose"] - start["pose"])[[0, 2]].max() > gym_env.SLACK_BLOCKS


def test_seeds_decide_the_worlds() -> None:
    environment = gym_env.VoxelEnv(**SMALL)
    worlds = [environment.reset(seed=seed)[1]["world_seed"] for seed in (1, 2, 1)]
    worlds.append(environment.reset()[1]["world_seed"])
    assert worlds[0] == worlds[2]
    assert len(set(worlds)) == 3


def test_episodes_are_truncated_not_terminated() -> None:
    assert gymnasium.spec("loopcraft/Voxel-v1").max_episode_steps == 1024


def test_the_entry_point_names_it() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["gymnasium.envs"] == {"__root__": "loopcraft.gym_env:register"}
