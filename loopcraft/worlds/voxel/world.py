"""Block worlds (a land, a player who walks in it and a renderer) behind the World protocol; `voxel-v1`.

An episode is played in two passes: first the path, in a box of terrain just large enough for the walk; then
the frames, from the terrain within the view distance of that path.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float64, Integer

from loopcraft.core.seeding import generator
from loopcraft.walks.actions import checked_actions
from loopcraft.walks.selection import simulate_flat
from loopcraft.worlds.base import GroundPicture, Observation, Pose
from loopcraft.worlds.voxel.landscape import find_spawn, generate_region
from loopcraft.worlds.voxel.physics import simulate
from loopcraft.worlds.voxel.render.renderer import Renderer
from loopcraft.worlds.voxel.render.scene import build_scene
from loopcraft.worlds.voxel.render.sky import Sky, make_sky
from loopcraft.worlds.voxel.render.topdown import picture_of
from loopcraft.worlds.voxel.terrain.region import Region

BLOCKS_PER_TICK = 0.22
"""Walking speed for the first estimate of a walk's extent; a little above the real 0.2159."""
PATH_MARGIN_BLOCKS = 8
YAW_STEP_DEG = 10
VIEW_DISTANCE_BLOCKS = 64.0


@dataclass(frozen=True, kw_only=True)
class Land:
    """The parts that differ between block worlds: the start, the blocks around a walk, and the sky."""

    world_id: str
    find_start: Callable[[int], tuple[float, float, float, float]]
    """Maps the seed to x, y, z of the feet in blocks and the yaw in degrees."""
    region_around: Callable[[int, Float64[np.ndarray, "T _"], float], Region]
    """Maps the seed, poses (x, y, z, ...) and a margin in blocks to all blocks within the margin."""
    make_sky: Callable[[int], Sky]


class BlockWorld:
    """A world that plays walks in a land of blocks, without state between episodes."""

    def __init__(
        self,
        land: Land,
        *,
        resolution: int,
        quality: str = "default",
        view_distance_blocks: float = VIEW_DISTANCE_BLOCKS,
        turns: object = None,
    ) -> None:
        """`turns` is ignored; it is for worlds that start their own processes."""
        self.land, self.world_id, self.resolution = land, land.world_id, resolution
        self.view_distance_blocks = view_distance_blocks
        self._renderer = Renderer(resolution=resolution, quality=quality, view_distance=view_distance_blocks)

    def play(
        self, seed: int, actions: Integer[np.ndarray, " T"], *, surfaces: bool = False
    ) -> Iterator[Observation]:
        """Yield one observation per action; with `surfaces`, each also holds the face ids of its pixels.

        Raises `UserError` if `actions` is not a walk.
        """
        poses = self.path(seed, actions)
        scene = build_scene(self.land.region_around(seed, poses, self.view_distance_blocks))
        sky = self.land.make_sky(seed)
        for row in poses:
            pose = Pose(*row.tolist())
            frame = self._renderer.render(scene, sky, pose)
            surface = self._renderer.surface(scene) if surfaces else None
            yield Observation(frame=frame, pose=pose, surface=surface)

    def path(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Float64[np.ndarray, "T 5"]:
        """Return the poses (x, y, z, yaw_deg, pitch_deg) after each action, without rendering.

        Raises `UserError` if `actions` is not a walk.
        """
        actions = checked_actions(actions)
        start = self.land.find_start(seed)
        reach = BLOCKS_PER_TICK * float(np.abs(simulate_flat(actions)).max()) + PATH_MARGIN_BLOCKS
        while True:
            region = self.land.region_around(seed, np.array([start]), reach)
            poses, num_played = simulate(region.blocks, start, actions, x0=region.x0, z0=region.z0)
            if num_played == len(actions):
                return poses
            reach *= 1.5


def find_start(seed: int) -> tuple[float, float, float, float]:
    """Return an episode's start: x, y, z of the feet and yaw in degrees."""
    x, y, z = find_spawn(seed)
    yaw_deg = YAW_STEP_DEG * float(generator(seed, "voxel-v1/start").integers(-18, 18))
    return x + 0.5, float(y), z + 0.5, yaw_deg


def region_around(seed: int, poses: Float64[np.ndarray, "T _"], margin_blocks: float) -> Region:
    """Generate the terrain within `margin_blocks` of every pose."""
    low = np.floor(poses[:, [0, 2]].min(axis=0) - margin_blocks - 1).astype(int)
    high = np.ceil(poses[:, [0, 2]].max(axis=0) + margin_blocks + 1).astype(int)
    size_x, size_z = (high - low).tolist()
    return generate_region(seed, x0=int(low[0]), z0=int(low[1]), size_x=size_x, size_z=size_z)


LAND = Land(world_id="voxel-v1", find_start=find_start, region_around=region_around, make_sky=make_sky)


VoxelWorld = partial(BlockWorld, LAND)
"""The built-in world of hills and woods."""


def map_ground(seed: int, poses: Float64[np.ndarray, "T 5"], margin_blocks: float) -> GroundPicture:
    """Draw the terrain around a walk from above."""
    return picture_of(region_around(seed, poses, margin_blocks))
