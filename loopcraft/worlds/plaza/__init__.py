"""The built-in world `plaza-v1`: a walled court with plain landmarks, simple enough for small models."""

from loopcraft.worlds.base import UNDRAWN
from loopcraft.worlds.registry import WorldSpec

SPEC = WorldSpec(
    factory="loopcraft.worlds.plaza.world:PlazaWorld",
    knows_surfaces=True,
    surface_quality=UNDRAWN,
    map_ground="loopcraft.worlds.plaza.world:map_ground",
)
