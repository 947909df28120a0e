"""All block textures, in the order of the table of blocks."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8

from loopcraft.core.seeding import generator
from loopcraft.worlds.voxel.core.blocks import PLAIN_COLOURS, TEXTURE_NAMES
from loopcraft.worlds.voxel.textures import built, ground, plants, wood
from loopcraft.worlds.voxel.textures.paint import Painter, mottled

PAINTERS: Mapping[str, Painter] = MappingProxyType(
    {
        **ground.PAINTERS,
        **wood.PAINTERS,
        **built.PAINTERS,
        **plants.PAINTERS,
        **{f"plain_{name}": mottled(colour, [1]) for name, colour in PLAIN_COLOURS.items()},
    }
)
"""The painter of each texture name."""


def draw_textures() -> UInt8[np.ndarray, "N 16 16 4"]:
    """Draw the RGBA textures in the order of `TEXTURE_NAMES`, row 0 on top, the same bytes on every machine.

    Alpha is 0 or 255. Each texture uses a generator keyed by its name, so adding one changes no other.
    """
    return np.stack([PAINTERS[name](generator(0, f"texture/{name}")) for name in TEXTURE_NAMES])
