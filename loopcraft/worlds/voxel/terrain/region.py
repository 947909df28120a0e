"""A box of the voxel world in memory: blocks, and colours that tint plants and water."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

HEIGHT_BLOCKS = 96
"""Every region spans y = 0 (bedrock) to 95; above is sky."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """Blocks of the columns x0 <= x < x0 + X, z0 <= z < z0 + Z, all heights.

    A column's content depends only on the world seed and its coordinates, never on the requested box. Arrays
    are C-contiguous with y fastest.
    """

    x0: int
    z0: int
    blocks: UInt8[np.ndarray, "X Z 96"]
    grass_tint: UInt8[np.ndarray, "X Z 3"]
    """RGB multiplied into grass tops and tall grass (255 = 1.0), soft across biome borders."""
    foliage_tint: UInt8[np.ndarray, "X Z 3"]
    """RGB multiplied into leaves and vines."""
    water_tint: UInt8[np.ndarray, "X Z 3"]
    """RGB multiplied into water."""
