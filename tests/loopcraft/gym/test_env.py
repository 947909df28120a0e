"""The worlds as Gymnasium environments: Gymnasium's checker passes, and they show what `play` shows."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from loopcraft.core.errors import UserError
from loopcraft.core.seeding import generator
from loopcraft.gym import env as gym_env
from loopcraft.gym import environments
from loopcraft.walks.actions import draw_walk
from loopcraft.worlds import make_world
from loopcraft.worlds.voxel.world import VoxelWorld

SMALL = {"resolution": 32, "quality": "fast"}


ROOT = Path(__file__).parents[3]


def share_differing(frame: np.ndarray, expected: np.ndarray) -> float:
    """Share of the pixels that differ, as float32 rounds differently from another corner."""
    return float(np.any(frame != expected, axis=-1).mean())


@pytest.mark.parametrize("name", sorted(environments.ENVIRONMENTS))
def test_gymnasiums_own_checker_passes(name: str) -> None:
    environment = gymnasium.make(name, render_mode="rgb_array", **SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings(
            "ignore", message=".*Box observation space m(in|ax)imum value is"
        )  # a pose has none
        check_env(environment.unwrapped)


@pytest.mark.parametrize(("name", "world_id"), [("Voxel-v1", "voxel-v1"), ("Plaza-v1", "plaza-v1")])
def test_it_shows_what_the_world_plays(name: str, world_id: str) -> None:
    actions = draw_walk(generator(0, "gym test"), 400)
    environment = gymnasium.make(f"loopcraft/{name}", **SMALL)
    _, info = environment.reset(options={"world_seed": 5})
    assert info == {"world_seed": 5}
    for action, expected in zip(actions, make_world(world_id, **SMALL).play(5, actions), strict=True):
        seen, reward, terminated, truncated, _ = environment.step(action)
        np.testing.assert_array_equal(seen["pose"], expected.pose)
        assert share_differing(seen["frame"], expected.frame) < 0.01
        assert (reward, terminated, truncated) == (0.0, False, False)


def test_it_walks_far_in_one_direction() -> None:
    environment = gym_env.VoxelEnv(**SMALL)
    start, _ = environment.reset(seed=1, options={"world_seed": 11})
    actions = np.zeros(500, np.int8)
    for action, expected in zip(actions, VoxelWorld(**SMALL).play(11, actions), strict=True):
        seen, *_ = environment.step(action)
        np.testing.assert_array_equal(seen["pose"], expected.pose)
        assert share_differing(seen["frame"], expected.frame) < 0.01
    assert np.abs(seen["pose"] - start["pose"])[[0, 2]].max() > gym_env.SLACK_BLOCKS


def test_seeds_decide_the_worlds() -> None:
    environment = gym_env.VoxelEnv(**SMALL)
    worlds = [environment.reset(seed=seed)[1]["world_seed"] for seed in (1, 2, 1)]
    worlds.append(environment.reset()[1]["world_seed"])
    assert worlds[0] == worlds[2]
    assert len(set(worlds)) == 3


def test_episodes_are_truncated_not_terminated() -> None:
    assert gymnasium.spec("loopcraft/Voxel-v1").max_episode_steps == 1024


INVALID_ACTIONS = (3, -1, 7, 1.5, 1.0, "1", None, np.int64(3), np.float32(1), np.array([1]), 2**70)


def test_an_invalid_action_is_refused_and_changes_nothing() -> None:
    environment = gym_env.VoxelEnv(**SMALL)
    environment.reset(options={"world_seed": 5})
    for action in INVALID_ACTIONS:
        with pytest.raises(UserError, match=r"choose one of 0 \(forward\), 1 \(left\), 2 \(right\)"):
            environment.step(action)
    seen, *_ = environment.step(0)
    (expected,) = VoxelWorld(**SMALL).play(5, np.zeros(1, np.int8))
    np.testing.assert_array_equal(seen["pose"], expected.pose)


def test_actions_of_any_integer_type_are_accepted() -> None:
    environment = gym_env.VoxelEnv(**SMALL)
    environment.reset(options={"world_seed": 5})
    actions = (2, np.int8(2), np.uint64(2), np.array(2))
    poses = [environment.step(action)[0]["pose"] for action in actions]
    expected = [seen.pose for seen in VoxelWorld(**SMALL).play(5, np.full(len(actions), 2, np.int8))]
    np.testing.assert_array_equal(poses, expected)


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None, 2**63])
def test_an_invalid_world_seed_is_refused(seed: object) -> None:
    with pytest.raises(UserError, match=r"world_seed .*: choose an integer"):
        gym_env.VoxelEnv(**SMALL).reset(options={"world_seed": seed})


# Registration, each time in a process that has imported nothing yet, like a user's own.


def python(script: str, folder: Path) -> str:
    """Run a script as a file and return what it prints."""
    path = folder / "script.py"
    path.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, str(path)], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


IMPORTS = {
    "gymnasium first": 'import gymnasium, loopcraft\nname = "loopcraft/Voxel-v1"',
    "loopcraft first": 'import loopcraft, gymnasium\nname = "loopcraft/Voxel-v1"',
    "a submodule": 'import loopcraft.core.cli\nimport gymnasium\nname = "loopcraft/Voxel-v1"',
    "by its name": 'import gymnasium\nname = "loopcraft:loopcraft/Voxel-v1"',
}


@pytest.mark.parametrize("order", IMPORTS)
def test_make_finds_the_environment(order: str, tmp_path: Path) -> None:
    script = f"{IMPORTS[order]}\nprint(gymnasium.make(name, resolution=32).spec.id)"
    assert python(script, tmp_path) == "loopcraft/Voxel-v1\n"


VECTOR = """
import gymnasium
import loopcraft
import numpy as np


def make():
    return gymnasium.make("loopcraft/Voxel-v1", resolution=16, quality="fast")


def make_by_name():
    return gymnasium.make("loopcraft:loopcraft/Voxel-v1", resolution=16, quality="fast")


if __name__ == "__main__":
    for method in ("spawn", "forkserver"):
        for maker in (make, make_by_name):
            envs = gymnasium.vector.AsyncVectorEnv([maker], context=method)
            envs.reset(seed=1)
            seen, *_ = envs.step(np.array([1]))
            print(method, seen["frame"].shape)
            envs.close()
    envs = gymnasium.make_vec(
        "loopcraft/Voxel-v1", 1, "async", vector_kwargs={"context": "spawn"}, resolution=16, quality="fast"
    )
    envs.reset(seed=1)
    print("make_vec", envs.step(np.array([1]))[0]["frame"].shape)
    envs.close()
"""


def test_workers_of_vector_environments_find_the_environment(tmp_path: Path) -> None:
    lines = python(VECTOR, tmp_path).splitlines()
    assert lines == [
        *["spawn (1, 16, 16, 3)"] * 2,
        *["forkserver (1, 16, 16, 3)"] * 2,
        "make_vec (1, 16, 16, 3)",
    ]


def test_importing_loopcraft_loads_no_package(tmp_path: Path) -> None:
    script = "import sys\nbefore = set(sys.modules)\nimport loopcraft\nprint(*set(sys.modules) - before)"
    loaded = {name.partition(".")[0] for name in python(script, tmp_path).split()}
    assert loaded - sys.stdlib_module_names == {"loopcraft"}


def test_a_failed_import_of_gymnasium_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "gymnasium.py").write_text(
        "import sys\nif not hasattr(sys, 'again'):\n    sys.again = 1\n    raise ImportError('not yet')\n"
        "registry = {}\ndef register(name, entry_point, **_):\n    registry[name] = entry_point\n"
    )
    script = (
        "import loopcraft\ntry:\n    import gymnasium\nexcept ImportError as error:\n    print(error)\n"
        "import gymnasium\nprint(*gymnasium.registry)"
    )
    assert python(script, tmp_path) == "not yet\nloopcraft/Voxel-v1 loopcraft/Plaza-v1\n"


def test_loopcraft_works_without_gymnasium(tmp_path: Path) -> None:
    script = (
        "import sys\nimport loopcraft\nsys.modules['gymnasium'] = None\ntry:\n    import gymnasium\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    assert "gymnasium" in python(script, tmp_path)


def test_every_listed_environment_can_be_made() -> None:
    for name in environments.ENVIRONMENTS:
        spec = gymnasium.make(name, **SMALL).spec
        assert spec is not None
        assert spec.max_episode_steps == environments.EPISODE_STEPS
