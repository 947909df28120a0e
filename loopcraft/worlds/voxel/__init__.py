"""The built-in block world `voxel-v1`: terrain, physics and a CPU renderer."""

from loopcraft.worlds.base import UNDRAWN
from loopcraft.worlds.registry import WorldSpec

SPEC = WorldSpec(
    factory="loopcraft.worlds.voxel.world:VoxelWorld",
    knows_surfaces=True,
    surface_quality=UNDRAWN,
    map_ground="loopcraft.worlds.voxel.world:map_ground",
)
