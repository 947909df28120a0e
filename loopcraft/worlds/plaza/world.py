"""The world `plaza-v1`: the court and a plain sky, with the player and renderer of the voxel world."""

from functools import partial

import numpy as np
from jaxtyping import Float

from loopcraft.core.seeding import generator
from loopcraft.worlds.base import GroundPicture
from loopcraft.worlds.plaza.court import court, find_start
from loopcraft.worlds.voxel.render.sky import PALETTES, Sky, clear_sky
from loopcraft.worlds.voxel.render.topdown import picture_of
from loopcraft.worlds.voxel.terrain.region import Region
from loopcraft.worlds.voxel.world import BlockWorld, Land


def make_sky(seed: int) -> Sky:
    """Make a cloudless gradient; the sun's position differs between episodes."""
    return clear_sky(PALETTES[0], generator(seed, "plaza-v1/sky"))


def region_around(seed: int, _poses: Float[np.ndarray, "T _"], _margin_blocks: float) -> Region:
    """Return the whole court, regardless of the poses."""
    return court(seed)


PLAZA = Land(world_id="plaza-v1", find_start=find_start, region_around=region_around, make_sky=make_sky)


PlazaWorld = partial(BlockWorld, PLAZA)
"""The built-in world `plaza-v1`."""


def map_ground(seed: int, _poses: Float[np.ndarray, "T 5"], _margin_blocks: float) -> GroundPicture:
    """Return a picture of the court from above."""
    return picture_of(court(seed))
