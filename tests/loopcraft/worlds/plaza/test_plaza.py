"""The world plaza-v1: its courts, and that it behaves like the other worlds."""

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from loopcraft.core.seeding import generator
from loopcraft.views.map import ground_below
from loopcraft.walks.actions import draw_walk
from loopcraft.worlds import make_surface_world, make_world
from loopcraft.worlds.base import PathWorld
from loopcraft.worlds.plaza import court as courts
from loopcraft.worlds.plaza.court import (
    GROUND_BLOCKS,
    MAX_LANDMARKS,
    MIN_LANDMARKS,
    SIDE_BLOCKS,
    START_RADIUS_BLOCKS,
    WALL_HEIGHT_BLOCKS,
    court,
    find_start,
)
from loopcraft.worlds.plaza.landmarks import TALLEST_BLOCKS
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS

GOLDEN_EPISODE = "ed9a621060782e520db4705c3585cdae98c27e0819ca89246f634e825c2c738b"
"""SHA-256 of frames and poses of 40 ticks in court 5 at 32 pixels: all of plaza-v1 in one number."""
SEEDS = range(40)


def interior(seed: int) -> np.ndarray:
    """The blocks within the walls and above the ground, (X, Z, Y)."""
    region = court(seed)
    cells = slice(-region.x0, -region.x0 + SIDE_BLOCKS)
    return region.blocks[cells, cells, GROUND_BLOCKS:]


def digest(seed: int, num_ticks: int) -> str:
    total = hashlib.sha256()
    walk = draw_walk(generator(0, "test"), num_ticks)
    for observation in make_world("plaza-v1", resolution=32).play(seed, walk):
        total.update(observation.frame.tobytes())
        total.update(repr(tuple(observation.pose)).encode())
    return total.hexdigest()


def test_frames_and_poses_match_the_first_release() -> None:
    assert digest(5, 40) == GOLDEN_EPISODE


@pytest.mark.parametrize("seed", SEEDS)
def test_landmarks_stand_apart_and_below_the_walls(seed: int) -> None:
    landmarks = interior(seed) != BLOCK_IDS["air"]
    labels, count = ndimage.label(landmarks.any(axis=2), structure=np.ones((3, 3)))
    assert MIN_LANDMARKS <= count <= MAX_LANDMARKS
    assert landmarks.any(axis=(0, 1)).nonzero()[0].max() < TALLEST_BLOCKS < WALL_HEIGHT_BLOCKS
    grown = [ndimage.binary_dilation(labels == k, structure=np.ones((3, 3))) for k in range(1, count + 1)]
    assert np.sum(grown, axis=0).max() == 1  # two free cells between any two landmarks


def test_walls_are_a_compass() -> None:
    region = court(3)
    low, high = -region.x0 - 1, -region.x0 + SIDE_BLOCKS
    for name, wall in (
        ("north", region.blocks[low + 1 : high, low]),
        ("south", region.blocks[low + 1 : high, high]),
        ("west", region.blocks[low, low + 1 : high]),
        ("east", region.blocks[high, low + 1 : high]),
    ):
        assert (
            wall[:, GROUND_BLOCKS : GROUND_BLOCKS + WALL_HEIGHT_BLOCKS] == BLOCK_IDS[f"plain_wall_{name}"]
        ).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_start_is_free_on_all_sides(seed: int) -> None:
    x, y, z, yaw_deg = find_start(seed)
    assert y == GROUND_BLOCKS
    assert yaw_deg % 10 == 0
    low_x, low_z = int(x) - START_RADIUS_BLOCKS, int(z) - START_RADIUS_BLOCKS
    assert min(low_x, low_z) >= 0
    room = interior(seed)[
        low_x : low_x + 2 * START_RADIUS_BLOCKS + 1, low_z : low_z + 2 * START_RADIUS_BLOCKS + 1
    ]
    assert room.shape[:2] == (2 * START_RADIUS_BLOCKS + 1,) * 2
    assert (room == BLOCK_IDS["air"]).all()


def test_no_two_courts_are_alike() -> None:
    assert len({interior(seed).tobytes() for seed in SEEDS}) == len(SEEDS)


def test_a_court_is_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        court(1).blocks[0, 0, 0] = 1


def test_nobody_leaves_the_court() -> None:
    world = make_world("plaza-v1", resolution=32)
    assert isinstance(world, PathWorld)
    straight = np.zeros(400, np.int8)
    for seed in SEEDS:
        poses = world.path(seed, straight)
        assert poses[:, [0, 2]].min() >= 0.3
        assert poses[:, [0, 2]].max() <= SIDE_BLOCKS - 0.3


def test_play_follows_path_and_gives_surfaces() -> None:
    world = make_surface_world("plaza-v1", resolution=32)
    walk = draw_walk(generator(0, "test"), 30)
    observations = list(world.play(4, walk, surfaces=True))
    assert isinstance(world, PathWorld)
    assert np.array_equal([observation.pose for observation in observations], world.path(4, walk))
    assert all(observation.surface is not None and observation.surface.any() for observation in observations)


def test_a_broken_court_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courts, "GAP_BLOCKS", 1)
    monkeypatch.setattr(f"{__name__}.court", court.__wrapped__)

    def check_all() -> None:
        for seed in SEEDS:
            test_landmarks_stand_apart_and_below_the_walls(seed)

    with pytest.raises(AssertionError):
        check_all()


def test_the_map_has_its_ground() -> None:
    walk = draw_walk(generator(0, "test"), 60)
    world = make_world("plaza-v1", resolution=32)
    assert isinstance(world, PathWorld)
    ground = ground_below("plaza-v1", 5, world.path(5, walk))
    assert ground is not None
    assert ground.image.shape[0] * ground.blocks_per_pixel == court(5).blocks.shape[1]
    assert (ground.west, ground.north) == (court(5).x0, court(5).z0)
