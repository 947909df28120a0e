"""Worlds in which walks are played: one protocol, several engines, found by name."""

from loopcraft.cli import UserError
from loopcraft.worlds.base import World

WORLD_IDS = ("voxel-v1",)


def make_world(world_id: str, *, resolution: int, quality: str = "default") -> World:
    """The world called `world_id`, rendering square frames of `resolution` pixels.

    Raises `UserError` for an unknown world, resolution or quality. Engines are imported only when asked for.
    """
    if world_id == "voxel-v1":
        from loopcraft.worlds.voxel.world import VoxelWorld

        return VoxelWorld(resolution=resolution, quality=quality)
    raise UserError(f"unknown world {world_id!r}: choose one of {', '.join(WORLD_IDS)}")
