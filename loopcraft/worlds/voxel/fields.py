"""Octant fields: how far a ray may jump from each voxel, one byte a voxel and direction octant.

The volume is padded by one layer of border cells on every side. For each of the eight sign combinations of a ray's
direction, a mirrored copy of the volume holds, at every empty voxel, the side of the largest empty cube that has
the voxel as its near corner and extends in the ray's direction. Mirroring makes every ray run towards +x, +y, +z.

A byte is a skip length (1 to 63) or `HIT` + block id; the border is `HIT` + air, which reads as sky. So the tracer
needs neither bounds checks nor a second look-up to know what it has met.
"""

from loopcraft.worlds.voxel.jit import kernel

HIT = 64
"""Bytes from here on are hits: block id + HIT."""
MAX_SKIP = HIT - 1


@kernel
def fill_octant_fields(padded, fields):
    """Compute the eight mirrored fields, uint8 (8, X, Z, Y), of a padded volume of block ids.

    Octant bits: 1 for a ray towards -x, 2 for -z, 4 for -y. One dynamic-programming sweep each: the cube at a voxel is
    one larger than the smallest cube at its seven neighbours further along.
    """
    size_x, size_z, size_y = padded.shape
    for octant in range(8):
        field = fields[octant]
        flip_x, flip_z, flip_y = octant & 1, octant & 2, octant & 4
        field[size_x - 1, :, :] = HIT
        for x in range(size_x - 2, -1, -1):
            source_x = size_x - 1 - x if flip_x else x
            field[x, size_z - 1, :] = HIT
            for z in range(size_z - 2, -1, -1):
                source_z = size_z - 1 - z if flip_z else z
                column = padded[source_x, source_z]
                if x == 0 or z == 0:
                    field[x, z, :] = HIT
                elif flip_y:
                    _sweep_column(column[::-1], field[x, z], field[x + 1, z], field[x, z + 1], field[x + 1, z + 1])
                else:
                    _sweep_column(column, field[x, z], field[x + 1, z], field[x, z + 1], field[x + 1, z + 1])

@kernel
def _sweep_column(column, out, next_x, next_z, next_xz):
    """Fill one column of a field from the three columns further along and its own upper neighbours."""
    size = column.size
    out[size - 1] = HIT
    above = 0
    for y in range(size - 2, 0, -1):
        block = column[y]
        if block:
            out[y] = HIT + block
            above = 0
            continue
        smallest = above
        for value in (next_x[y], next_z[y], next_xz[y], next_x[y + 1], next_z[y + 1], next_xz[y + 1]):
            skip = 0 if value >= HIT else value
            if skip < smallest:
                smallest = skip
        above = min(smallest + 1, MAX_SKIP)
        out[y] = above
    out[0] = HIT
