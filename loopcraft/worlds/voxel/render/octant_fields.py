"""Octant fields: how far a ray can jump from each voxel, one byte per voxel and direction octant.

The volume is padded by one layer of border cells on every side. For each of the eight sign combinations of a
ray's direction, a mirrored copy of the volume holds, at every empty voxel, a large empty box that has the
voxel as its near corner and extends in the ray's direction. Mirroring makes every ray run towards +x, +y, +z.

A box is as wide in x as in z. Its height may differ: most rays are nearly horizontal, and above flat ground
a cube would be no larger than the eye's height. A byte below `HIT` is a box: four bits for the width (see
`box_width`) and above them the base-2 logarithm of the height. Other bytes are `HIT` + block; the border is
`HIT` + air, which reads as sky. So the tracer needs neither bounds checks nor a second look-up.
"""

import numpy as np
from jaxtyping import UInt8

from loopcraft.core.jit import inlined, kernel

NUM_HEIGHTS = 6
"""Boxes are 1, 2, 4, 8, 16 or 32 voxels high."""
WIDTH_BITS = 4
HIT = NUM_HEIGHTS << WIDTH_BITS
"""Bytes from this value up are hits: `HIT` + block."""
MAX_WIDTH = 64
_I1, _I2 = np.int32(1), np.int32(2)
_WIDTH_BITS, _WIDTH_MASK = np.int32(WIDTH_BITS), np.int32((1 << WIDTH_BITS) - 1)


@inlined
def box_width(byte: np.int32) -> np.int32:
    """Return a box's extent in x and z: 1, 2, 3, 4, 6, 8, 12 ... 64 for codes 1, 2, 3, 4, 5, 6, 7 ... 12."""
    code = byte & _WIDTH_MASK
    return np.int32((_I2 | (code & _I1)) << (code >> _I1) >> _I1)


@inlined
def box_height(byte: np.int32) -> np.int32:
    """Return a box's extent in y."""
    return np.int32(_I1 << (byte >> _WIDTH_BITS))


def _width_codes() -> UInt8[np.ndarray, " 65"]:
    """Return, for each width, the code of the widest box that is no wider."""
    codes = np.arange(1, 1 << WIDTH_BITS, dtype=np.int32)
    widths = [box_width.py_func(code) for code in codes]  # type: ignore[attr-defined]
    return np.array([sum(width <= limit for width in widths) for limit in range(MAX_WIDTH + 1)], np.uint8)


WIDTH_CODES = _width_codes()

Column = UInt8[np.ndarray, " Y"]
Widths = UInt8[np.ndarray, "6 Y"]
"""Width of the widest empty box of each height, for every voxel of a column."""


@kernel
def fill_octant_fields(padded: UInt8[np.ndarray, "X Z Y"], fields: UInt8[np.ndarray, "8 X Z Y"]) -> None:
    """Compute the eight mirrored fields, uint8 (8, X, Z, Y), of a padded volume of block ids.

    Octant bits: 1 for a ray towards -x, 2 for -z, 4 for -y. Each field is one dynamic-programming sweep: the
    box of a given height at a voxel is one wider than the narrowest of its three neighbours further along in
    x and z.
    """
    size_x, size_z, size_y = padded.shape
    best_width, best_height = np.empty(size_y, np.uint8), np.empty(size_y, np.uint8)
    for flip_y in range(2):
        volume = padded[:, :, ::-1] if flip_y else padded[:, :, ::1]
        room = _room_above(volume)
        for flip_xz in range(4):
            field = fields[4 * flip_y + flip_xz]
            field[:] = HIT
            widths = np.zeros((2, size_z, NUM_HEIGHTS, size_y), np.uint8)
            for x in range(size_x - 2, 0, -1):
                current, ahead = widths[x & 1], widths[x + 1 & 1]
                source_x = size_x - 1 - x if flip_xz & 1 else x
                for z in range(size_z - 2, 0, -1):
                    source_z = size_z - 1 - z if flip_xz & 2 else z
                    rooms = room[source_x, source_z]
                    _widen(rooms, ahead[z], current[z + 1], ahead[z + 1], current[z])
                    _choose(current[z], best_width, best_height)
                    _write(volume[source_x, source_z], best_width, best_height, field[x, z])


@kernel
def _room_above(volume: UInt8[np.ndarray, "X Z Y"]) -> UInt8[np.ndarray, "X Z Y"]:
    """Count the empty voxels from each voxel upwards; the border counts as full."""
    room = np.zeros(volume.shape, np.uint8)
    size_x, size_z, size_y = volume.shape
    for x in range(1, size_x - 1):
        for z in range(1, size_z - 1):
            empty = np.uint8(0)
            for y in range(size_y - 2, 0, -1):
                empty = np.uint8(0) if volume[x, z, y] else np.uint8(empty + 1)
                room[x, z, y] = empty
    return room


@inlined
def _widen(rooms: Column, next_x: Widths, next_z: Widths, next_xz: Widths, widths: Widths) -> None:
    """Compute the widest box of every height at each voxel of one column."""
    for height in range(NUM_HEIGHTS):
        least = np.uint8(1 << height)
        for y in range(rooms.size):
            width = min(min(next_x[height, y], next_z[height, y]), next_xz[height, y])
            width = np.uint8(min(width, np.uint8(MAX_WIDTH - 1)) + np.uint8(1))
            widths[height, y] = width if rooms[y] >= least else np.uint8(0)


@inlined
def _choose(widths: Widths, best_width: Column, best_height: Column) -> None:
    """Choose each voxel's box with the longest shortest side: its width, and its height as stored in a byte.

    As heights double, a box beats all lower ones if and only if it is wider than half its height. Ties go to
    the lower box unless the higher one is as wide.
    """
    for y in range(best_width.size):
        best_width[y], best_height[y] = widths[0, y], 0
    for height in range(1, NUM_HEIGHTS):
        half, code = np.uint8(1 << height >> 1), np.uint8(height << WIDTH_BITS)
        for y in range(best_width.size):
            width = widths[height, y]
            best_width[y] = width if width > half else best_width[y]
            best_height[y] = code if width == best_width[y] else best_height[y]


@inlined
def _write(column: Column, best_width: Column, best_height: Column, out: Column) -> None:
    """Write the bytes of one column except its ends, which are border."""
    for y in range(1, column.size - 1):
        box = np.uint8(best_height[y] | WIDTH_CODES[best_width[y]])
        out[y] = np.uint8(column[y] + HIT) if column[y] else box
