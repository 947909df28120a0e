"""Tracing of ray packets through octant fields: which block face each sample sees, and how far away.

64 rays travel together. Their state is in two flat scratch arrays, one float32 and one int32, in rows of 64,
so that the compiler can vectorise each of the three loops of a step (index, gather, update). All rays run in
their octant's mirrored space, where every direction is positive. A crossed coordinate is set exactly, never
nudged.

Blocks with holes (leaves, plants) and water stop a ray like any block; then the texel that it meets is
tested. Rays that pass, and the last few that would hold up a packet, wait until they fill a new packet.
"""

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8

from loopcraft.core.jit import inlined, kernel
from loopcraft.worlds.voxel.render.octant_fields import HIT, box_height, box_width
from loopcraft.worlds.voxel.render.ray_packet import (
    BELOW_ONE,
    F0,
    F1,
    F16,
    I0,
    I1,
    I2,
    I4,
    I7,
    PACKET,
    PLANE_A,
    PLANE_B,
    SKY,
    WATER_SIGHT_BLOCKS,
    X_SHIFT,
    Y_SHIFT,
    Z_SHIFT,
    Floats,
    Hits,
    Ints,
    Size,
    View,
    mip_size,
    mip_start,
)
from loopcraft.worlds.voxel.render.scene import FIRST_CROSS, FIRST_CUTOUT, FIRST_LIQUID, OPAQUE, Scene

# Rows of the float scratch, of PACKET each.
DX, DY, DZ, IX, IY, IZ, OX, OY, OZ, T, T_MAX, T_NEAR, T_FAR = (PACKET * row for row in range(13))
FLOAT_ROWS = 13
# Rows of the integer scratch, likewise.
CX, CY, CZ, BASE, VALUE, AXIS, OCTANT, SAMPLE, PLACE, PARTLY, TEXEL_NEAR, TEXEL_FAR, PLACE_NEAR, PLACE_FAR = (
    PACKET * row for row in range(14)
)
INT_ROWS = 14

UNDERWAY = np.int32(-2)
"""Value of a place while its ray has not stopped yet."""
STRAGGLERS = 16
"""The last rays leave a packet once at most one in this many is underway."""
SOLID_LEAVES_WIDTH = np.float32(0.175)
"""Leaves have no holes where a pixel is wider than this, in blocks (32 blocks away at 256 pixels)."""
TINY, FAR = np.float32(1e-9), np.float32(1e9)


@kernel
def trace(scene: Scene, view: View, screen: Float32[np.ndarray, "3 N"], hits: Hits) -> None:
    """Fill `hits` for every sample of `screen` (right and up at distance 1, and length), in whole packets."""
    floats, ints = np.empty(FLOAT_ROWS * PACKET, np.float32), np.empty(INT_ROWS * PACKET, np.int32)
    waiting, waiting_t = np.empty((2 * PACKET, 5), np.int32), np.empty(2 * PACKET, np.float32)
    listed = np.empty(PACKET, np.int64)
    size, field = scene.voxels.shape[1:], scene.voxels.reshape(-1)
    textures, texels, pixel_size = scene.textures, scene.texels, view.pixel_size
    places, distances, num_samples = hits.places, hits.distances, screen.shape[1]
    hits.water_distances[:num_samples] = 0
    first = num_waiting = 0
    while first < num_samples or num_waiting:
        # Waiting rays travel as soon as they fill a packet, so at most two packets ever wait.
        num_rays = PACKET
        is_fresh = num_waiting < PACKET and first < num_samples
        if is_fresh:
            _start(size, view, screen, first, floats, ints)
        else:
            num_rays = min(num_waiting, PACKET)
            num_waiting -= num_rays
            _resume(size, view, screen, waiting, waiting_t, num_waiting, num_rays, floats, ints)
        _advance(field, size[1], size[2], num_rays // STRAGGLERS, floats, ints)
        some_left = _find_places(size, pixel_size, floats, ints)
        if is_fresh:
            for k in range(PACKET):
                places[first + k], distances[first + k] = ints[PLACE + k], floats[T + k]
            first += PACKET
        else:
            for ray in range(num_rays):
                sample = ints[SAMPLE + ray]
                places[sample], distances[sample] = ints[PLACE + ray], floats[T + ray]
        num_listed = 0
        if some_left:
            for ray in range(num_rays):
                listed[num_listed] = ray
                num_listed += ints[PARTLY + ray]
            _examine(pixel_size, floats, ints)
            num_listed = _look_through(textures, texels, floats, ints, hits, listed, num_listed)
            _pass_on(floats, ints)
        for item in range(num_listed):
            _wait(floats, ints, listed[item], waiting, waiting_t, num_waiting + item)
        num_waiting += num_listed


@inlined
def _look_through(
    textures: Int32[np.ndarray, " B*8"],
    texels: Int32[np.ndarray, " N*341"],
    floats: Floats,
    ints: Ints,
    hits: Hits,
    listed: Int64[np.ndarray, " 64"],
    num_listed: int,
) -> int:
    """Settle what the listed rays see; keep those that travel on in the list and return their number."""
    places, distances, water_places, water_distances = hits
    num_going = 0
    for item in range(num_listed):
        ray = listed[item]
        listed[num_going] = ray
        sample, t, place, value = ints[SAMPLE + ray], floats[T + ray], ints[PLACE + ray], ints[VALUE + ray]
        if place == UNDERWAY:
            num_going += 1
            continue
        if value >= FIRST_LIQUID:
            if water_distances[sample] == 0 and t > 0:
                water_places[sample], water_distances[sample] = place, t
            places[sample] = SKY
            num_going += t <= water_distances[sample] + WATER_SIGHT_BLOCKS
            continue
        # The processor cannot predict these conditions, so values are selected without branching.
        place, t_near, t_far = ints[PLACE_NEAR + ray], floats[T_NEAR + ray], floats[T_FAR + ray]
        texture = textures[np.uint32((value - HIT) * 8 + (place & I7))]
        in_near = (texels[np.uint32(texture + ints[TEXEL_NEAR + ray])] >= OPAQUE) & (t_near >= F0)
        in_far = (texels[np.uint32(texture + ints[TEXEL_FAR + ray])] >= OPAQUE) & (t_far >= F0)
        places[sample] = place if in_near else ints[PLACE_FAR + ray]
        distances[sample] = t_near if in_near else t_far
        num_going += not (in_near | in_far)
    return num_going


@inlined
def _start(
    size: Size, view: View, screen: Float32[np.ndarray, "3 N"], first: int, floats: Floats, ints: Ints
) -> None:
    """Start the rays of 64 samples at the eye."""
    for row in range(3):
        for k in range(PACKET):
            floats[DX + PACKET * row + k] = screen[row, first + k]
    for k in range(PACKET):
        ints[SAMPLE + k] = np.int32(first + k)
        floats[T + k] = F0
        ints[AXIS + k] = I0
    _aim(size, view, floats, ints)
    for k in range(PACKET):
        ints[CX + k], ints[CY + k] = np.int32(floats[OX + k]), np.int32(floats[OY + k])
        ints[CZ + k] = np.int32(floats[OZ + k])


@inlined
def _resume(
    size: Size,
    view: View,
    screen: Float32[np.ndarray, "3 N"],
    waiting: Int32[np.ndarray, "128 5"],
    waiting_t: Float32[np.ndarray, " 128"],
    first: int,
    num_rays: int,
    floats: Floats,
    ints: Ints,
) -> None:
    """Restore waiting rays; unused lanes stand still."""
    for k in range(PACKET):
        item = first + min(k, num_rays - 1)
        sample = waiting[item, 0]
        ints[SAMPLE + k] = sample
        ints[CX + k], ints[CY + k], ints[CZ + k] = waiting[item, 1], waiting[item, 2], waiting[item, 3]
        ints[AXIS + k] = waiting[item, 4]
        floats[T + k] = waiting_t[item]
        floats[DX + k], floats[DY + k] = screen[0, sample], screen[1, sample]
        floats[DZ + k] = screen[2, sample]
    _aim(size, view, floats, ints)
    for k in range(num_rays, PACKET):
        floats[T_MAX + k] = -F1


@inlined
def _wait(
    floats: Floats,
    ints: Ints,
    ray: int,
    waiting: Int32[np.ndarray, "128 5"],
    waiting_t: Float32[np.ndarray, " 128"],
    item: int,
) -> None:
    """Add a ray to the waiting ones."""
    waiting[item, 0] = ints[SAMPLE + ray]
    waiting[item, 1], waiting[item, 2] = ints[CX + ray], ints[CY + ray]
    waiting[item, 3], waiting[item, 4] = ints[CZ + ray], ints[AXIS + ray]
    waiting_t[item] = floats[T + ray]


@inlined
def _aim(size: Size, view: View, floats: Floats, ints: Ints) -> None:
    """Compute the rays, each mirrored into its octant, from right, up and length in the direction's rows."""
    volume = np.int32(size[0] * size[1] * size[2])
    ex, ey, ez = view.eye
    mx, my, mz = np.float32(size[0]) - ex, np.float32(size[2]) - ey, np.float32(size[1]) - ez
    rx, ry, rz = view.axes[0]
    ux, uy, uz = view.axes[1]
    fx, fy, fz = view.axes[2]
    view_distance = view.distance
    for k in range(PACKET):
        a, b, length = floats[DX + k], floats[DY + k], floats[DZ + k]
        dx, dy, dz = a * rx + b * ux + fx, a * ry + b * uy + fy, a * rz + b * uz + fz
        floats[OX + k] = mx if dx < F0 else ex
        floats[OY + k] = my if dy < F0 else ey
        floats[OZ + k] = mz if dz < F0 else ez
        octant = (I1 if dx < F0 else I0) | (I2 if dz < F0 else I0) | (I4 if dy < F0 else I0)
        dx, dy, dz = max(abs(dx), TINY), max(abs(dy), TINY), max(abs(dz), TINY)
        floats[DX + k], floats[DY + k], floats[DZ + k] = dx, dy, dz
        floats[IX + k], floats[IY + k], floats[IZ + k] = F1 / dx, F1 / dy, F1 / dz
        floats[T_MAX + k] = view_distance / length
        ints[BASE + k] = np.int32(octant * volume)
        ints[OCTANT + k] = octant


@inlined
def _advance(
    field: UInt8[np.ndarray, " 13*V"], size_z: int, size_y: int, few: int, floats: Floats, ints: Ints
) -> None:
    """Move rays from empty box to empty box until all but a few have met a block or reached their range."""
    stride_x, stride_z = np.int32(size_z * size_y), np.int32(size_y)
    underway = np.int32(PACKET)
    while underway > few:
        # Three loops over the packet: index, gather, update. The first and last are pure arithmetic, which
        # the compiler vectorises.
        for k in range(PACKET):
            ints[VALUE + k] = np.int32(
                ints[BASE + k] + ints[CX + k] * stride_x + ints[CZ + k] * stride_z + ints[CY + k]
            )
        for k in range(PACKET):
            ints[VALUE + k] = field[np.uint32(ints[VALUE + k])]
        underway = I0
        for k in range(PACKET):
            value = ints[VALUE + k]
            go = (value < HIT) & (floats[T + k] < floats[T_MAX + k])
            cx, cy, cz = ints[CX + k], ints[CY + k], ints[CZ + k]
            # The cell's value gives the size of an empty box that starts there; (ex, ey, ez) ends it.
            width = box_width(value)
            ex, ey, ez = np.int32(cx + width), np.int32(cy + box_height(value)), np.int32(cz + width)
            ox, oy, oz = floats[OX + k], floats[OY + k], floats[OZ + k]
            tx = (np.float32(ex) - ox) * floats[IX + k]
            ty = (np.float32(ey) - oy) * floats[IY + k]
            tz = (np.float32(ez) - oz) * floats[IZ + k]
            t = min(min(tx, ty), tz)  # the ray leaves the box through the nearest of three planes
            # The clamps keep a rounded coordinate within the box; the crossed coordinate is set exactly.
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
            underway = np.int32(underway + (I1 if go else I0))


@inlined
def _find_places(size: Size, pixel_size: np.float32, floats: Floats, ints: Ints) -> bool:
    """Find the place where each ray has stopped, with the face through which it entered; `SKY` if it left.

    Row `PARTLY` marks the rays to be examined further: those in a block that may not stop them, and those
    underway. Return whether there are any.
    """
    marks = I0
    top_x, top_z, top_y = np.int32(size[0] - 1), np.int32(size[1] - 1), np.int32(size[2] - 1)
    for k in range(PACKET):
        octant, axis, value = ints[OCTANT + k], ints[AXIS + k], ints[VALUE + k]
        x, z, y = ints[CX + k], ints[CZ + k], ints[CY + k]
        # Back from mirrored space: cells count from the other end of each mirrored axis.
        x = np.int32(top_x - x) if octant & I1 else x
        z = np.int32(top_z - z) if octant & I2 else z
        y = np.int32(top_y - y) if octant & I4 else y
        backwards = octant if axis == I0 else (octant >> I2 if axis == I1 else octant >> I1)
        place = (x << X_SHIFT) | (z << Z_SHIFT) | (y << Y_SHIFT) | (axis << I1) | (backwards & I1)
        t = floats[T + k]
        in_range, underway = t < floats[T_MAX + k], value < HIT
        place = np.int32(place) if in_range & (value != HIT) else SKY
        first_holed = FIRST_CUTOUT if t * pixel_size <= SOLID_LEAVES_WIDTH else FIRST_CROSS
        ints[PLACE + k] = UNDERWAY if underway & in_range else place
        mark = I1 if (underway | (value >= first_holed)) & in_range else I0
        ints[PARTLY + k] = mark
        marks |= mark
    return bool(marks != I0)


@inlined
def _examine(pixel_size: np.float32, floats: Floats, ints: Ints) -> None:
    """Find the two points, near and far, at which each ray in a block with holes may meet something opaque.

    In leaves the near one is on the face through which the ray entered, and there is no far one; a plant has
    one on each of its planes. A point that is not met within the cell gets a negative distance. Texels are
    relative to their texture's start. In mirrored space the planes stay the same, except that a single flip
    of x or z swaps the two.
    """
    for k in range(PACKET):
        octant, axis, t, place = ints[OCTANT + k], ints[AXIS + k], floats[T + k], ints[PLACE + k]
        is_plant = ints[VALUE + k] >= FIRST_CROSS
        flip_x, flip_z, flip_y = octant & I1, octant & I2, octant & I4
        dx, dy, dz = floats[DX + k], floats[DY + k], floats[DZ + k]
        lx = min(max(floats[OX + k] + t * dx - np.float32(ints[CX + k]), F0), BELOW_ONE)
        ly = min(max(floats[OY + k] + t * dy - np.float32(ints[CY + k]), F0), BELOW_ONE)
        lz = min(max(floats[OZ + k] + t * dz - np.float32(ints[CZ + k]), F0), BELOW_ONE)
        # The mip level whose texels are about as wide as a pixel is here.
        texels = t * pixel_size * F16
        size, start = mip_size(texels), mip_start(texels)
        across = BELOW_ONE - lx if flip_x else lx
        depth = BELOW_ONE - lz if flip_z else lz
        down = ly if flip_y else BELOW_ONE - ly
        u, v = depth if axis == I0 else across, depth if axis == I1 else down
        on_face = np.int32(start + np.int32(v * size) * np.int32(size) + np.int32(u * size))
        # A plant is two upright planes on the diagonals of its cell: z = x and z = 1 - x.
        leave = min(min((F1 - lx) * floats[IX + k], (F1 - ly) * floats[IY + k]), (F1 - lz) * floats[IZ + k])
        slope = dx - dz
        slope = slope if abs(slope) > TINY else TINY
        diagonal = (lz - lx) / slope
        diagonal = diagonal if (diagonal >= F0) & (diagonal <= leave) else FAR
        antidiagonal = (F1 - lx - lz) / (dx + dz)
        antidiagonal = antidiagonal if (antidiagonal >= F0) & (antidiagonal <= leave) else FAR
        swapped = (flip_x != I0) != (flip_z != I0)
        near_plane = PLANE_B if (antidiagonal < diagonal) != swapped else PLANE_A
        for far in range(2):
            step = max(diagonal, antidiagonal) if far else min(diagonal, antidiagonal)
            is_met = step < FAR
            step = step if is_met else F0
            u = min(max(lx + step * dx, F0), BELOW_ONE)
            v = min(max(ly + step * dy, F0), BELOW_ONE)
            u = BELOW_ONE - u if flip_x else u
            v = v if flip_y else BELOW_ONE - v
            texel = np.int32(start + np.int32(v * size) * np.int32(size) + np.int32(u * size))
            t_plane = t + step if is_met else -F1
            if far:
                floats[T_FAR + k], ints[TEXEL_FAR + k] = (t_plane if is_plant else -F1), texel
                ints[PLACE_FAR + k] = np.int32((place & ~I7) | (near_plane ^ I1))
            else:
                floats[T_NEAR + k] = t_plane if is_plant else t
                ints[TEXEL_NEAR + k] = texel if is_plant else on_face
                ints[PLACE_NEAR + k] = np.int32((place & ~I7) | near_plane) if is_plant else place


@inlined
def _pass_on(floats: Floats, ints: Ints) -> None:
    """Move every ray that has stopped to the next cell."""
    for k in range(PACKET):
        stays = ints[PLACE + k] == UNDERWAY
        cx, cy, cz = ints[CX + k], ints[CY + k], ints[CZ + k]
        nx, ny, nz = np.int32(cx + I1), np.int32(cy + I1), np.int32(cz + I1)
        tx = (np.float32(nx) - floats[OX + k]) * floats[IX + k]
        ty = (np.float32(ny) - floats[OY + k]) * floats[IY + k]
        tz = (np.float32(nz) - floats[OZ + k]) * floats[IZ + k]
        t = min(min(tx, ty), tz)
        axis = I0 if tx <= t else (I1 if ty <= t else I2)
        axis = ints[AXIS + k] if stays else axis
        ints[AXIS + k] = axis
        floats[T + k] = floats[T + k] if stays else t
        ints[CX + k] = cx if stays | (axis != I0) else nx
        ints[CY + k] = cy if stays | (axis != I1) else ny
        ints[CZ + k] = cz if stays | (axis != I2) else nz
