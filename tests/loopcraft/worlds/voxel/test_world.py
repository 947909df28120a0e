"""The voxel world as a whole: play does not depend on time, process or earlier episodes."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from loopcraft.core.errors import UserError
from loopcraft.core.seeding import generator
from loopcraft.walks.actions import draw_walk
from loopcraft.worlds import make_world
from loopcraft.worlds.base import PathWorld, World
from loopcraft.worlds.voxel.world import BlockWorld, VoxelWorld

GOLDEN_EPISODE = "19d8c6768b4cc9ca8e4654fd55ed5114c7b3850c6bd5dfff7880717422864c8a"
"""SHA-256 of frames and poses of 40 ticks in world 5 at 32 pixels: all of voxel-v1 in one number."""

PLAY = """
import hashlib
from loopcraft.walks.actions import draw_walk
from loopcraft.core.seeding import generator
from loopcraft.worlds.voxel.world import VoxelWorld
digest = hashlib.sha256()
for seen in VoxelWorld(resolution=32).play(5, draw_walk(generator(0, "test"), 40)):
    digest.update(seen.frame.tobytes())
    digest.update(repr(tuple(seen.pose)).encode())
print(digest.hexdigest())
"""


def walk(num_ticks: int) -> np.ndarray:
    return draw_walk(generator(0, "test"), num_ticks)


def digest(world: BlockWorld, seed: int, num_ticks: int) -> str:
    total = hashlib.sha256()
    for observation in world.play(seed, walk(num_ticks)):
        total.update(observation.frame.tobytes())
        total.update(repr(tuple(observation.pose)).encode())
    return total.hexdigest()


def test_its_paths_are_known_in_advance() -> None:
    world: World = make_world("voxel-v1", resolution=32)
    assert isinstance(world, PathWorld)
    assert (world.world_id, world.resolution) == ("voxel-v1", 32)


def test_play_follows_path() -> None:
    world = VoxelWorld(resolution=32)
    actions = walk(60)
    poses = np.array([seen.pose for seen in world.play(9, actions)])
    assert np.array_equal(poses, world.path(9, actions))
    turned = (np.diff(poses[:, 3]) + 180) % 360 - 180
    assert np.array_equal(turned, np.choose(actions[1:], [0, -10, 10]))


def test_frames_are_the_same_after_another_episode_and_in_another_process() -> None:
    world = VoxelWorld(resolution=32)
    digest(world, 6, 20)
    in_process = digest(world, 5, 40)
    printed = subprocess.run([sys.executable, "-c", PLAY], capture_output=True, text=True, check=True).stdout
    assert in_process == printed.strip() == GOLDEN_EPISODE


def test_a_longer_walk_begins_with_the_same_frames() -> None:
    world = VoxelWorld(resolution=64)
    short = np.stack([seen.frame for seen in world.play(7, walk(30))])
    long = np.stack([seen.frame for _, seen in zip(range(30), world.play(7, walk(300)), strict=False)])
    assert (short != long).any(axis=-1).mean() < 2e-3


def test_surfaces_on_request() -> None:
    world = VoxelWorld(resolution=32)
    seen = next(world.play(5, walk(1), surfaces=True))
    assert seen.surface is not None
    assert (seen.surface.shape, seen.surface.dtype) == ((32, 32), np.uint64)
    assert next(world.play(5, walk(1))).surface is None


CHOICES = r"choose one of 0 \(forward\), 1 \(left\), 2 \(right\)$"
INVALID_WALKS = {
    "action 7": [0, 7],
    "action -1": np.array([-1]),
    "action 300": np.array([300, 300, 0]),
    r"actions array\(\[1\.7\]\)": np.array([1.7]),
    r"actions \[True\]": [True],
    r"actions \[\]": [],
    r"actions array\(\[\[0, 1\], \[2, 0\]\]\)": np.array([[0, 1], [2, 0]]),
    r"actions \[\[0\], \[1, 2\]\]": [[0], [1, 2]],
    "actions None": None,
}


@pytest.mark.parametrize("message", INVALID_WALKS)
def test_an_invalid_walk_is_refused(message: str) -> None:
    world = VoxelWorld(resolution=32)
    with pytest.raises(UserError, match=rf"^{message}: .*{CHOICES}"):
        world.path(5, INVALID_WALKS[message])
    with pytest.raises(UserError, match=rf"^{message}: .*{CHOICES}"):
        next(world.play(5, INVALID_WALKS[message]))


@pytest.mark.parametrize("kind", [list, np.uint8, np.int64])
def test_a_walk_of_any_integer_type_is_accepted(kind: type) -> None:
    world, actions = VoxelWorld(resolution=32), walk(20)
    converted = actions.tolist() if kind is list else actions.astype(kind)
    assert np.array_equal(world.path(5, converted), world.path(5, actions))


def test_an_unknown_world_is_refused() -> None:
    with pytest.raises(UserError, match=r"unknown world 'moon-v1': choose one of voxel-v1"):
        make_world("moon-v1", resolution=64)
