"""Ray packets through octant fields: which block face does each sample of a picture see, and how far away.

64 rays travel together. Their state lies in two flat scratch arrays, one float32 and one int32, in rows of 64, so that
each of the three loops of a step is one that the compiler can vectorise (index, gather, update). All rays run in
their octant's mirrored space, where every direction is positive. A crossed coordinate is set exactly, never nudged.

Blocks with holes (leaves, plants) and water stop a ray like any block; then the texel that it meets is tested. Rays that
pass wait for others of their kind until they fill a packet, which travels on.
"""

import numpy as np

from loopcraft.worlds.voxel.blocks import Shape
from loopcraft.worlds.voxel.fields import HIT
from loopcraft.worlds.voxel.jit import inlined, kernel
from loopcraft.worlds.voxel.scene import OPAQUE, SHAPE, TEXELS, TEXTURE

PACKET = 64

# Rows of the float scratch, of PACKET each; the first FLOAT_STATE_ROWS are the ray's state, the rest one stop's findings.
DX, DY, DZ, IX, IY, IZ, OX, OY, OZ, T, T_MAX, T_NEAR, T_FAR = (
    PACKET * row for row in range(13)
)
FLOAT_ROWS, FLOAT_STATE_ROWS = 13, 11
# Rows of the integer scratch, likewise.
CX, CY, CZ, BASE, VALUE, AXIS, OCTANT, SAMPLE, PLACE, TEXEL, TEXEL_NEAR, TEXEL_FAR, FACE_NEAR = (
    PACKET * row for row in range(13)
)
INT_ROWS, INT_STATE_ROWS = 13, 8

Y_SHIFT, Z_SHIFT, X_SHIFT = np.int32(3), np.int32(10), np.int32(21)
"""A place is x (11 bits), z (11), y (7) and face (3) in one int32; the sky is -1."""
MAX_SIDE = 2046
"""The longest side of a padded volume for which places are unique."""
SKY = np.int32(-1)
FACE_CROSS_A, FACE_CROSS_B = 6, 7
"""Faces 0 to 5 are -x, +x, -y, +y, -z, +z; 6 and 7 are the diagonal planes of a plant."""

CUBE, CUTOUT, CROSS, LIQUID = int(Shape.CUBE), int(Shape.CUTOUT), int(Shape.CROSS), int(Shape.LIQUID)
SOLID_LEAVES_WIDTH = np.float32(0.175)
"""Leaves have no holes where a pixel is wider than this (in blocks; 32 blocks away at 256 pixels): they would flicker."""
WATER_SIGHT_BLOCKS = np.float32(5)
"""How far one sees through water; the rest of such a ray counts as sky, which the water hides."""
TINY = np.float32(1e-9)
BELOW_ONE = np.float32(0.99999994)
FAR = np.float32(1e9)
MIP_1, MIP_2, MIP_3, MIP_4 = np.float32(1.4), np.float32(2.8), np.float32(5.6), np.float32(11.2)
"""A pixel that covers more texels than this (along one side) takes this mip level."""
START_1, START_2, START_3, START_4 = np.int32(256), np.int32(320), np.int32(336), np.int32(340)
"""Where the mip levels begin among a texture's texels."""
F0, F1, F2, F4, F8, F16 = (np.float32(value) for value in (0, 1, 2, 4, 8, 16))
I0, I1, I2, I4, I7 = (np.int32(value) for value in (0, 1, 2, 4, 7))


@kernel
def trace(scene, eye, basis, view_distance, screen, pixel_size, hits):
    """Trace every sample of `screen`, (3, N) float32, N a multiple of 64: right and up on the plane at distance 1, length.

    `eye` (3,) float64 lies in the padded volume's coordinates, `basis` (3, 3) float32 holds right, up, forward as rows
    (x, y, z). Fills `hits`: places and distances (along the direction whose forward part is 1), and the same for the
    water surface in front (distance 0: none). `pixel_size` is a sample's width at distance 1; it chooses the mip level
    at which holes are looked up.
    """
    floats, ints = np.empty(FLOAT_ROWS * PACKET, np.float32), np.empty(INT_ROWS * PACKET, np.int32)
    # Zeros, as a packet that is not full advances its empty lanes too.
    waiting_floats, waiting_ints = np.zeros_like(floats), np.zeros_like(ints)
    passed = np.empty(PACKET, np.int64)
    size, field = scene.voxels.shape[1:], scene.voxels.reshape(-1)
    rules, texels = scene.rules, scene.texels
    places, distances, water_places, water_distances = hits
    num_waiting = 0
    water_distances[: screen.shape[1]] = 0
    for first in range(0, screen.shape[1], PACKET):
        _aim(size, eye, basis, view_distance, screen, first, floats, ints)
        num_passed = _travel(
            size, field, rules, texels, pixel_size, floats, ints, PACKET,
            places, distances, water_places, water_distances, passed,
        )  # fmt: skip
        for item in range(num_passed):
            _step(floats, ints, passed[item])
            _copy(floats, ints, passed[item], waiting_floats, waiting_ints, num_waiting)
            num_waiting += 1
            while num_waiting == PACKET:
                num_waiting = _send_on(scene, pixel_size, waiting_floats, waiting_ints, PACKET, hits)
    while num_waiting:
        num_waiting = _send_on(scene, pixel_size, waiting_floats, waiting_ints, num_waiting, hits)


@kernel
def _send_on(scene, pixel_size, floats, ints, num_rays, hits):
    """Let waiting rays travel to their next stop; those that pass there too move to the front, and are counted."""
    passed = np.empty(PACKET, np.int64)
    floats[T_MAX + num_rays : T_MAX + PACKET] = -F1
    num_passed = _travel(
        scene.voxels.shape[1:], scene.voxels.reshape(-1), scene.rules, scene.texels, pixel_size, floats, ints, num_rays,
        hits.places, hits.distances, hits.water_places, hits.water_distances, passed,
    )  # fmt: skip
    for item in range(num_passed):
        _step(floats, ints, passed[item])
        _copy(floats, ints, passed[item], floats, ints, item)
    return num_passed


@inlined
def _travel(
    size, field, rules, texels, pixel_size, floats, ints, num_rays,
    places, distances, water_places, water_distances, passed,
):  # fmt: skip
    """Advance a packet and write what its rays see; lists and counts those that pass through a hole or into water."""
    _advance(field, size[1], size[2], floats, ints)
    _find_places(size, floats, ints)
    examined = False
    num_passed = 0
    for ray in range(num_rays):
        sample, t, place = ints[SAMPLE + ray], floats[T + ray], ints[PLACE + ray]
        block = np.uint32(max(ints[VALUE + ray] - HIT, 0))
        shape = rules[block, SHAPE]
        if place == SKY or shape == CUBE or (shape == CUTOUT and t * pixel_size > SOLID_LEAVES_WIDTH):
            places[sample], distances[sample] = place, t
            continue
        if shape == LIQUID:
            if water_distances[sample] == 0 and t > 0:
                water_places[sample], water_distances[sample] = place, t
            places[sample] = SKY
            passed[num_passed] = ray
            num_passed += t <= water_distances[sample] + WATER_SIGHT_BLOCKS
            continue
        if not examined:
            _examine(pixel_size, floats, ints)
            examined = True
        # Which of these comes true looks random to the processor: values are chosen, not branched on.
        near = FACE_CROSS_A + ints[FACE_NEAR + ray]
        t_near, t_far = floats[T_NEAR + ray], floats[T_FAR + ray]
        in_face = _opaque(rules, texels, block, place & I7, ints[TEXEL + ray])
        in_near = _opaque(rules, texels, block, near, ints[TEXEL_NEAR + ray]) & (t_near >= F0)
        in_far = _opaque(rules, texels, block, near ^ I1, ints[TEXEL_FAR + ray]) & (t_far >= F0)
        is_plant = shape == CROSS
        plane = near if in_near else near ^ I1
        places[sample] = (place & ~I7) | plane if is_plant else place
        distances[sample] = (t_near if in_near else t_far) if is_plant else t
        passed[num_passed] = ray
        num_passed += not ((in_near | in_far) if is_plant else in_face)
    return num_passed


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


@inlined
def _find_places(size, floats, ints):
    """The place at which every ray has stopped, with the face through which it came in; `SKY` if it has left."""
    top_x, top_z, top_y = np.int32(size[0] - 1), np.int32(size[1] - 1), np.int32(size[2] - 1)
    for k in range(PACKET):
        octant, axis = ints[OCTANT + k], ints[AXIS + k]
        x, z, y = ints[CX + k], ints[CZ + k], ints[CY + k]
        x = np.int32(top_x - x) if octant & I1 else x
        z = np.int32(top_z - z) if octant & I2 else z
        y = np.int32(top_y - y) if octant & I4 else y
        backwards = octant if axis == I0 else (octant >> I2 if axis == I1 else octant >> I1)
        place = (x << X_SHIFT) | (z << Z_SHIFT) | (y << Y_SHIFT) | (axis << I1) | (backwards & I1)
        missed = (ints[VALUE + k] <= HIT) | (floats[T + k] >= floats[T_MAX + k])
        ints[PLACE + k] = SKY if missed else np.int32(place)


@inlined
def _examine(pixel_size, floats, ints):
    """For every ray, as if its block were both: the texel on the face it came through, and those of a plant's two planes.

    Texels count from the start of the texture. A plane that is not met within the cell gets a negative distance. In
    mirrored space the planes keep their places, except that one flip of x or z swaps the two.
    """
    for k in range(PACKET):
        octant, axis, t = ints[OCTANT + k], ints[AXIS + k], floats[T + k]
        flip_x, flip_z, flip_y = octant & I1, octant & I2, octant & I4
        dx, dy, dz = floats[DX + k], floats[DY + k], floats[DZ + k]
        lx = min(max(floats[OX + k] + t * dx - np.float32(ints[CX + k]), F0), BELOW_ONE)
        ly = min(max(floats[OY + k] + t * dy - np.float32(ints[CY + k]), F0), BELOW_ONE)
        lz = min(max(floats[OZ + k] + t * dz - np.float32(ints[CZ + k]), F0), BELOW_ONE)
        texels = t * pixel_size * F16
        size = F16 if texels <= MIP_1 else (F8 if texels <= MIP_2 else (F4 if texels <= MIP_3 else (F2 if texels <= MIP_4 else F1)))
        start = I0 if texels <= MIP_1 else (
            START_1 if texels <= MIP_2 else (START_2 if texels <= MIP_3 else (START_3 if texels <= MIP_4 else START_4))
        )
        across = BELOW_ONE - lx if flip_x else lx
        depth = BELOW_ONE - lz if flip_z else lz
        down = ly if flip_y else BELOW_ONE - ly
        u = depth if axis == I0 else across
        v = depth if axis == I1 else down
        ints[TEXEL + k] = np.int32(start + np.int32(v * size) * np.int32(size) + np.int32(u * size))
        leave = min(min((F1 - lx) * floats[IX + k], (F1 - ly) * floats[IY + k]), (F1 - lz) * floats[IZ + k])
        slope = dx - dz
        slope = slope if abs(slope) > TINY else TINY
        diagonal = (lz - lx) / slope
        diagonal = diagonal if (diagonal >= F0) & (diagonal <= leave) else FAR
        other = (F1 - lx - lz) / (dx + dz)
        other = other if (other >= F0) & (other <= leave) else FAR
        swapped = (flip_x != I0) != (flip_z != I0)
        ints[FACE_NEAR + k] = I1 if (other < diagonal) != swapped else I0
        for far in range(2):
            step = max(diagonal, other) if far else min(diagonal, other)
            met = step < FAR
            step = step if met else F0
            u = min(max(lx + step * dx, F0), BELOW_ONE)
            v = min(max(ly + step * dy, F0), BELOW_ONE)
            u = BELOW_ONE - u if flip_x else u
            v = v if flip_y else BELOW_ONE - v
            texel = np.int32(start + np.int32(v * size) * np.int32(size) + np.int32(u * size))
            if far:
                floats[T_FAR + k] = t + step if met else -F1
                ints[TEXEL_FAR + k] = texel
            else:
                floats[T_NEAR + k] = t + step if met else -F1
                ints[TEXEL_NEAR + k] = texel


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
def _copy(floats, ints, ray, other_floats, other_ints, other_ray):
    """Copy one ray's state into another packet, or forward in its own."""
    for row in range(FLOAT_STATE_ROWS):
        other_floats[PACKET * row + other_ray] = floats[PACKET * row + ray]
    for row in range(INT_STATE_ROWS):
        other_ints[PACKET * row + other_ray] = ints[PACKET * row + ray]


@inlined
def place_parts(place):
    """The cell's x, y, z and the face of a place."""
    return place >> X_SHIFT & 0x7FF, place >> Y_SHIFT & 0x7F, place >> Z_SHIFT & 0x7FF, place & 7


@inlined
def _opaque(rules, texels, block, face, texel):
    """Whether a texel of a block's face is not a hole."""
    return texels[np.uint32(rules[block, np.uint32(TEXTURE + face)] * TEXELS + texel)] >= OPAQUE
