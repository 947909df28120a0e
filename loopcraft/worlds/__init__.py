"""Worlds in which walks are played: one protocol, several engines, found by name."""

from contextlib import AbstractContextManager
from typing import cast

from loopcraft.cli import UserError
from loopcraft.worlds.base import SurfaceWorld, World

WORLD_IDS = ("voxel-v1", "minerl")


def make_world(
    world_id: str,
    *,
    resolution: int,
    quality: str = "default",
    turns: AbstractContextManager[object] | None = None,
) -> World:
    """The world called `world_id`, rendering square frames of `resolution` pixels.

    Raises `UserError` for an unknown world, resolution or quality. Engines are imported only when asked for.
    `turns` is for worlds that share a machine: see `MineRLWorld`.
    """
    if world_id == "voxel-v1":
        from loopcraft.worlds.voxel.world import VoxelWorld

        return VoxelWorld(resolution=resolution, quality=quality)
    if world_id == "minerl":
        from loopcraft.worlds.minerl.world import MineRLWorld

        if quality != "default":
            raise UserError(f"--quality {quality}: world 'minerl' has one quality; leave it out")
        return MineRLWorld(resolution=resolution, turns=turns)
    raise UserError(f"unknown world {world_id!r}: choose one of {', '.join(WORLD_IDS)}")


def make_surface_world(world_id: str, *, resolution: int) -> SurfaceWorld:
    """The world called `world_id`, to learn from it which block face each pixel shows.

    Raises `UserError` for a world that does not know. Its frames are drawn roughly.
    """
    if world_id in WORLD_IDS and world_id != "voxel-v1":
        raise UserError(f"world {world_id!r} does not tell which block face a pixel shows; voxel-v1 does")
    world = make_world(world_id, resolution=resolution, quality="fast")
    return cast(SurfaceWorld, world)
