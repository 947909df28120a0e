"""Octant fields: how far a ray may jump from each voxel, one byte a voxel and direction octant.

The volume is padded by one layer of border cells on every side. For each of the eight sign combinations of a
ray's direction, a mirrored copy of the volume holds, at every empty voxel, the side of the largest empty cube
that has the voxel as its near corner and extends in the ray's direction. Mirroring makes every ray run
towards +x, +y, +z.

A byte is a skip length (1 to 63) or `HIT` + block id; the border is `HIT` + air, which reads as sky. So the
tracer needs neither bounds checks nor a second look-up to know what it has met.
"""

import numpy as np
from jaxtyping import UInt8

from loopcraft.worlds.voxel.jit import inlined, kernel

HIT = 64
"""Bytes from here on are hits: block id + HIT."""
MAX_SKIP = HIT - 1
NONE = np.uint8(0)

Column = UInt8[np.ndarray, " Y"]


@kernel
def fill_octant_fields(padded: UInt8[np.ndarray, "X Z Y"], fields: UInt8[np.ndarray, "8 X Z Y"]) -> None:
    """Compute the eight mirrored fields, uint8 (8, X, Z, Y), of a padded volume of block ids.

    Octant bits: 1 for a ray towards -x, 2 for -z, 4 for -y. One dynamic-programming sweep each: the cube at a
    voxel is one larger than the smallest cube at its seven neighbours further along.
    """
    size_x, size_z, size_y = padded.shape
    beside = np.empty(size_y, np.uint8)
    for octant in range(8):
        field = fields[octant]
        flip_x, flip_z, flip_y = octant & 1, octant & 2, octant & 4
        field[size_x - 1, :, :] = HIT
        for x in range(size_x - 2, -1, -1):
            source_x = size_x - 1 - x if flip_x else x
            field[x, size_z - 1, :] = HIT
            for z in range(size_z - 2, -1, -1):
                source_z = size_z - 1 - z if flip_z else z
                column = padded[source_x, source_z, ::-1] if flip_y else padded[source_x, source_z, ::1]
                if x == 0 or z == 0:
                    field[x, z, :] = HIT
                else:
                    nexts = field[x + 1, z], field[x, z + 1], field[x + 1, z + 1]
                    _sweep_column(column, field[x, z], *nexts, beside)


@kernel
def _sweep_column(
    column: Column, out: Column, next_x: Column, next_z: Column, next_xz: Column, beside: Column
) -> None:
    """Fill one column of a field from the three columns further along and its own upper neighbours.

    `beside` is scratch: the smallest cube among the three columns at each height, which needs no order.
    """
    size = column.size
    for y in range(size):
        beside[y] = min(_skip(next_x[y]), _skip(next_z[y]), _skip(next_xz[y]))
    out[size - 1] = HIT
    above = 0
    for y in range(size - 2, 0, -1):
        block = column[y]
        above = 0 if block else min(min(above, beside[y], beside[y + 1]) + 1, MAX_SKIP)
        out[y] = HIT + block if block else above
    out[0] = HIT


@inlined
def _skip(value: np.uint8) -> np.uint8:
    """The side of the empty cube that a byte stands for; none at a hit."""
    return NONE if value >= HIT else value
