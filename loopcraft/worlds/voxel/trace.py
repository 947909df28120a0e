"""Ray packets through octant fields: which block face does each sample of a picture see, and how far away.

64 rays travel together. Their state lies in two flat scratch arrays, one float32 and one int32, in rows of 64, so that
each of the three loops of a step is one that the compiler can vectorise (index, gather, update). All rays run in
their octant's mirrored space, where every direction is positive. A crossed coordinate is set exactly, never nudged.

Blocks with holes (leaves, plants) and water stop a ray like any block; then the texel that it meets is tested. A ray
that passes waits, with others of its kind, until they fill a packet that travels on.
"""

import numpy as np

from loopcraft.worlds.voxel.blocks import Shape
from loopcraft.worlds.voxel.fields import HIT
from loopcraft.worlds.voxel.jit import inlined, kernel
from loopcraft.worlds.voxel.scene import OPAQUE_BIT, SHAPE, TEXELS, TEXTURE

PACKET = 64

# Rows of the float scratch (of PACKET each).
DX, DY, DZ, IX, IY, IZ, OX, OY, OZ, T, T_MAX = (PACKET * row for row in range(11))
FLOAT_ROWS = 11
# Rows of the integer scratch.
CX, CY, CZ, BASE, VALUE, AXIS, OCTANT, SAMPLE = (PACKET * row for row in range(8))
INT_ROWS = 8

Y_SHIFT, Z_SHIFT, X_SHIFT = np.int32(3), np.int32(10), np.int32(21)
"""A place is x (11 bits), z (11), y (7) and face (3) in one int32; the sky is -1."""
MAX_SIDE = 2046
"""The longest side of a padded volume for which places are unique."""
SKY = np.int32(-1)
FACE_CROSS_A, FACE_CROSS_B = 6, 7
"""Faces 0 to 5 are -x, +x, -y, +y, -z, +z; 6 and 7 are the diagonal planes of a plant."""

CUBE, CUTOUT, CROSS, LIQUID = int(Shape.CUBE), int(Shape.CUTOUT), int(Shape.CROSS), int(Shape.LIQUID)
MIP_START = (0, 256, 320, 336, 340)
"""Where each mip level begins among a texture's texels."""
WATER_SIGHT_BLOCKS = np.float32(5)
"""How far one sees through water; the rest of such a ray counts as sky, which the water hides."""
TINY = np.float32(1e-9)
BELOW_ONE = np.float32(0.99999994)
F0, F1 = np.float32(0), np.float32(1)
I0, I1, I2, I4 = np.int32(0), np.int32(1), np.int32(2), np.int32(4)


@kernel
def trace(scene, eye, basis, view_distance, screen, pixel_size, hits):
    """Trace every sample of `screen`, (3, N) float32, N a multiple of 64: right and up on the plane at distance 1, length.

    `eye` (3,) float64 lies in the padded volume's coordinates, `basis` (3, 3) float32 holds right, up, forward as rows
    (x, y, z). Fills `hits`: places and distances (along the direction whose forward part is 1), and the same for the
    water surface in front (distance 0: none). `pixel_size` is a sample's width at distance 1; it chooses the mip level
    at which holes are looked up.
    """
    floats = np.empty(FLOAT_ROWS * PACKET, np.float32)
    ints = np.empty(INT_ROWS * PACKET, np.int32)
    waiting = (np.empty_like(floats), np.empty_like(ints))
    num_waiting = 0
    open_rays = np.empty(PACKET + 1, np.int64)
    size = scene.voxels.shape[1:]
    field, rules = scene.voxels.reshape(-1), scene.rules
    places, distances, _, water_distances = hits
    water_distances[: screen.shape[1]] = 0
    for first in range(0, screen.shape[1], PACKET):
        _aim(size, eye, basis, view_distance, screen, first, floats, ints)
        _advance(field, size[1], size[2], floats, ints)
        _settle_all(size, floats, ints, places[first : first + PACKET], distances[first : first + PACKET])
        num_open = _list_open(rules, ints, open_rays)
        for item in range(num_open):
            _copy(floats, ints, open_rays[item], *waiting, num_waiting)
            num_waiting += 1
            while num_waiting == PACKET:
                num_waiting = _send_on(scene, *waiting, PACKET, pixel_size, hits)
    while num_waiting:
        num_waiting = _send_on(scene, *waiting, num_waiting, pixel_size, hits)


@inlined
def _aim(size, eye, basis, view_distance, screen, first, floats, ints):
    """Set the packet's rays at the eye, each mirrored into its octant."""
    volume = np.int32(size[0] * size[1] * size[2])
    ex, ey, ez = np.float32(eye[0]), np.float32(eye[1]), np.float32(eye[2])
    mx, my, mz = np.float32(size[0]) - ex, np.float32(size[2]) - ey, np.float32(size[1]) - ez
    rx, ry, rz = basis[0]
    ux, uy, uz = basis[1]
    fx, fy, fz = basis[2]
    for row in range(3):
        for k in range(PACKET):
            floats[DX + PACKET * row + k] = screen[row, first + k]
    for k in range(PACKET):
        a, b, length = floats[DX + k], floats[DY + k], floats[DZ + k]
        dx, dy, dz = a * rx + b * ux + fx, a * ry + b * uy + fy, a * rz + b * uz + fz
        ox = mx if dx < F0 else ex
        oy = my if dy < F0 else ey
        oz = mz if dz < F0 else ez
        octant = (np.int32(1) if dx < F0 else I0) + (np.int32(2) if dz < F0 else I0) + (np.int32(4) if dy < F0 else I0)
        dx, dy, dz = max(abs(dx), TINY), max(abs(dy), TINY), max(abs(dz), TINY)
        floats[DX + k], floats[DY + k], floats[DZ + k] = dx, dy, dz
        floats[IX + k], floats[IY + k], floats[IZ + k] = F1 / dx, F1 / dy, F1 / dz
        floats[OX + k], floats[OY + k], floats[OZ + k] = ox, oy, oz
        floats[T + k] = F0
        floats[T_MAX + k] = view_distance / length
        ints[CX + k], ints[CY + k], ints[CZ + k] = np.int32(ox), np.int32(oy), np.int32(oz)
        ints[BASE + k] = np.int32(octant * volume)
        ints[OCTANT + k] = octant
        ints[AXIS + k] = I0
        ints[SAMPLE + k] = np.int32(first + k)


@inlined
def _advance(field, size_z, size_y, floats, ints):
    """Move all rays from empty cube to empty cube until each is in a block, in the border or past its range."""
    stride_x, stride_z = np.int32(size_z * size_y), np.int32(size_y)
    active = I1
    while active:
        for k in range(PACKET):
            ints[VALUE + k] = np.int32(
                ints[BASE + k] + ints[CX + k] * stride_x + ints[CZ + k] * stride_z + ints[CY + k]
            )
        for k in range(PACKET):
            ints[VALUE + k] = field[np.uint32(ints[VALUE + k])]
        active = I0
        for k in range(PACKET):
            value = ints[VALUE + k]
            go = (value < HIT) & (floats[T + k] < floats[T_MAX + k])
            cx, cy, cz = ints[CX + k], ints[CY + k], ints[CZ + k]
            ex, ey, ez = np.int32(cx + value), np.int32(cy + value), np.int32(cz + value)
            ox, oy, oz = floats[OX + k], floats[OY + k], floats[OZ + k]
            tx = (np.float32(ex) - ox) * floats[IX + k]
            ty = (np.float32(ey) - oy) * floats[IY + k]
            tz = (np.float32(ez) - oz) * floats[IZ + k]
            t = min(min(tx, ty), tz)
            nx = min(max(np.int32(ox + t * floats[DX + k]), cx), np.int32(ex - I1))
            ny = min(max(np.int32(oy + t * floats[DY + k]), cy), np.int32(ey - I1))
            nz = min(max(np.int32(oz + t * floats[DZ + k]), cz), np.int32(ez - I1))
            nx = ex if tx <= t else nx
            ny = ey if ty <= t else ny
            nz = ez if tz <= t else nz
            axis = np.int32(0) if tx <= t else (np.int32(1) if ty <= t else np.int32(2))
            ints[CX + k] = nx if go else cx
            ints[CY + k] = ny if go else cy
            ints[CZ + k] = nz if go else cz
            floats[T + k] = t if go else floats[T + k]
            ints[AXIS + k] = axis if go else ints[AXIS + k]
            active = np.int32(active + (I1 if go else I0))


@kernel
def _send_on(scene, floats, ints, num_rays, pixel_size, hits):
    """Let rays that stopped at a block with holes or at water settle there or travel on, to the next block.

    Returns how many have stopped at such a block again; they are moved to the front of the packet.
    """
    size = scene.voxels.shape[1:]
    rules, texels = scene.rules, scene.texels
    places, distances, water_places, water_distances = hits
    num_passed = 0
    for ray in range(num_rays):
        sample, t = ints[SAMPLE + ray], floats[T + ray]
        block = ints[VALUE + ray] - HIT
        shape = rules[np.uint64(block), SHAPE]
        if shape == LIQUID:
            if water_distances[sample] == 0 and t > 0:
                water_places[sample] = _place(size, ints, ray, _entered_face(ints, ray))
                water_distances[sample] = t
            if t > water_distances[sample] + WATER_SIGHT_BLOCKS:
                places[sample] = SKY
                continue
        else:
            face, distance = _meet(rules, texels, block, shape, floats, ints, ray, pixel_size)
            if face >= 0:
                places[sample] = _place(size, ints, ray, face)
                distances[sample] = distance
                continue
        _step(floats, ints, ray)
        _copy(floats, ints, ray, floats, ints, num_passed)
        num_passed += 1
    floats[T_MAX + num_passed : T_MAX + PACKET] = -F1
    _advance(scene.voxels.reshape(-1), size[1], size[2], floats, ints)
    num_open = 0
    for ray in range(num_passed):
        value, sample = ints[VALUE + ray], ints[SAMPLE + ray]
        if value <= HIT or floats[T + ray] >= floats[T_MAX + ray]:
            places[sample] = SKY
        elif rules[np.uint64(value - HIT), SHAPE] == CUBE:
            places[sample] = _place(size, ints, ray, _entered_face(ints, ray))
            distances[sample] = floats[T + ray]
        else:
            _copy(floats, ints, ray, floats, ints, num_open)
            num_open += 1
    return num_open


@inlined
def _copy(floats, ints, ray, other_floats, other_ints, other_ray):
    """Copy one ray's state into another packet, or forward in its own."""
    for row in range(FLOAT_ROWS):
        other_floats[PACKET * row + other_ray] = floats[PACKET * row + ray]
    for row in range(INT_ROWS):
        other_ints[PACKET * row + other_ray] = ints[PACKET * row + ray]


@inlined
def _settle_all(size, floats, ints, places, distances):
    """Write every ray's place as if it had met a full cube or the sky."""
    top_x, top_z, top_y = np.int32(size[0] - 1), np.int32(size[1] - 1), np.int32(size[2] - 1)
    for k in range(PACKET):
        octant, axis = ints[OCTANT + k], ints[AXIS + k]
        x, z, y = ints[CX + k], ints[CZ + k], ints[CY + k]
        x = np.int32(top_x - x) if octant & I1 else x
        z = np.int32(top_z - z) if octant & I2 else z
        y = np.int32(top_y - y) if octant & I4 else y
        bit = octant if axis == I0 else (octant >> I2 if axis == I1 else octant >> I1)
        place = (x << X_SHIFT) | (z << Z_SHIFT) | (y << Y_SHIFT) | (axis << I1) | (bit & I1)
        missed = (ints[VALUE + k] <= HIT) | (floats[T + k] >= floats[T_MAX + k])
        places[k] = SKY if missed else np.int32(place)
        distances[k] = floats[T + k]


@inlined
def _list_open(rules, ints, open_rays):
    """List the rays that have stopped at a block with holes or at water; returns their number."""
    count = 0
    for k in range(PACKET):
        open_rays[count] = k
        value = ints[VALUE + k]
        count += value > HIT and rules[np.uint64(value - HIT), SHAPE] != CUBE
    return count


@inlined
def _step(floats, ints, ray):
    """Move one ray to the next cell."""
    cx, cy, cz = ints[CX + ray], ints[CY + ray], ints[CZ + ray]
    tx = (np.float32(cx + 1) - floats[OX + ray]) * floats[IX + ray]
    ty = (np.float32(cy + 1) - floats[OY + ray]) * floats[IY + ray]
    tz = (np.float32(cz + 1) - floats[OZ + ray]) * floats[IZ + ray]
    t = min(min(tx, ty), tz)
    if tx <= t:
        ints[CX + ray] = cx + 1
        ints[AXIS + ray] = 0
    elif ty <= t:
        ints[CY + ray] = cy + 1
        ints[AXIS + ray] = 1
    else:
        ints[CZ + ray] = cz + 1
        ints[AXIS + ray] = 2
    floats[T + ray] = t


@inlined
def _place(size, ints, ray, face):
    """Place of the ray's cell, back from its octant's mirrored space."""
    octant = ints[OCTANT + ray]
    x, y, z = ints[CX + ray], ints[CY + ray], ints[CZ + ray]
    x = size[0] - 1 - x if octant & 1 else x
    z = size[1] - 1 - z if octant & 2 else z
    y = size[2] - 1 - y if octant & 4 else y
    return np.int32(x << X_SHIFT | z << Z_SHIFT | y << Y_SHIFT | face)


@inlined
def place_parts(place):
    """The cell's x, y, z and the face of a place."""
    return place >> X_SHIFT & 0x7FF, place >> Y_SHIFT & 0x7F, place >> Z_SHIFT & 0x7FF, place & 7


@inlined
def _entered_face(ints, ray):
    """The face through which a ray came into its cell."""
    axis, octant = ints[AXIS + ray], ints[OCTANT + ray]
    backwards = octant & (1 if axis == 0 else (4 if axis == 1 else 2))
    return 2 * axis + (1 if backwards else 0)


@inlined
def _meet(rules, texels, block, shape, floats, ints, ray, pixel_size):
    """What a ray meets in the block that it has come into: (face or -1, distance)."""
    t = floats[T + ray]
    if shape == CUBE:
        return _entered_face(ints, ray), t
    if shape == LIQUID:
        return -1, t
    octant = ints[OCTANT + ray]
    dx, dy, dz = floats[DX + ray], floats[DY + ray], floats[DZ + ray]
    lx = floats[OX + ray] + t * dx - np.float32(ints[CX + ray])
    ly = floats[OY + ray] + t * dy - np.float32(ints[CY + ray])
    lz = floats[OZ + ray] + t * dz - np.float32(ints[CZ + ray])
    if shape == CUTOUT:
        face = _entered_face(ints, ray)
        u, v = face_uv(face, _unmirror(lx, octant & 1), _unmirror(ly, octant & 4), _unmirror(lz, octant & 2))
        if _opaque(rules, texels, block, face, u, v, mip_level(t * pixel_size)):
            return face, t
        return -1, t
    leave = min(min((1 - lx) * floats[IX + ray], (1 - ly) * floats[IY + ray]), (1 - lz) * floats[IZ + ray])
    # In mirrored space the planes keep their places, except that one flip of x or z swaps the two.
    swapped = (octant & 1 != 0) != (octant & 2 != 0)
    along = (lz - lx) / (dx - dz) if abs(dx - dz) > TINY else -F1
    across = (F1 - lx - lz) / (dx + dz)
    for turn in range(2):
        use_along = (along <= across) == (turn == 0)
        step = along if use_along else across
        if F0 <= step <= leave:
            u = _unmirror(lx + step * dx, octant & 1)
            v = BELOW_ONE - _unmirror(ly + step * dy, octant & 4)
            face = FACE_CROSS_A if use_along != swapped else FACE_CROSS_B
            if _opaque(rules, texels, block, face, u, v, mip_level((t + step) * pixel_size)):
                return face, t + step
    return -1, t


@inlined
def _unmirror(local, flipped):
    """A coordinate inside a cell, from the octant's mirrored space to the world's, within [0, 1)."""
    local = min(max(local, F0), BELOW_ONE)
    return BELOW_ONE - local if flipped else local


@inlined
def face_uv(face, lx, ly, lz):
    """Texture coordinates (right, down, in [0, 1)) of a point inside a cell seen on one of its faces."""
    if face >> 1 == 1:
        return lx, lz
    return (lz if face < 2 else lx), BELOW_ONE - ly


@inlined
def mip_level(width):
    """The mip level for a pixel `width` blocks wide: 0 until it covers 1.4 texels, then one for each doubling."""
    texels = width * 16
    return int(texels > 1.4) + int(texels > 2.8) + int(texels > 5.6) + int(texels > 11.2)


@inlined
def _opaque(rules, texels, block, face, u, v, level):
    """Whether a cut-out texture is opaque at a point."""
    size = 16 >> level
    texel = MIP_START[level] + int(v * size) * size + int(u * size)
    return texels[np.uint32(rules[block, TEXTURE + face] * TEXELS + texel)] >> OPAQUE_BIT
