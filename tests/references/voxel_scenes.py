"""Scenes and poses shared by tests of the voxel world."""

from functools import cache

from loopcraft.worlds.base import Pose
from loopcraft.worlds.voxel.landscape import find_spawn, generate_region
from loopcraft.worlds.voxel.render.scene import Scene, build_scene

SEEDS = (3, 11, 26, 40)
REACH_BLOCKS = 72


@cache
def scene_at_spawn(seed: int) -> tuple[Scene, tuple[int, int, int]]:
    """The scene around a world's spawn, and the spawn (x, feet y, z)."""
    x, y, z = find_spawn(seed)
    side = 2 * REACH_BLOCKS
    region = generate_region(seed, x0=x - REACH_BLOCKS, z0=z - REACH_BLOCKS, size_x=side, size_z=side)
    return build_scene(region), (x, y, z)


def pose_at_spawn(seed: int, yaw_deg: float) -> Pose:
    """A pose in mid-jump at the spawn, away from the grid's symmetry."""
    x, y, z = scene_at_spawn(seed)[1]
    return Pose(x + 0.43, y + 0.71, z + 0.58, yaw_deg, 0.0)
