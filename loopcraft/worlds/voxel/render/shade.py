"""Colours of what each sample sees: texture, tint, light, water, fog, sky.

Shading is deferred: `trace` has found the face, and this module colours it. 64 samples go through the stages
together; each stage leaves its results in two flat scratch arrays, so that the arithmetic stages vectorise
and only the look-ups between them are scalar. Colours are packed integers (see packed_color.py).
"""

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from loopcraft.core.jit import inlined, kernel
from loopcraft.worlds.voxel.core.packed_color import blend, light_up
from loopcraft.worlds.voxel.render.ray_packet import (
    BELOW_ONE,
    F0,
    F1,
    F16,
    I0,
    I1,
    I2,
    I3,
    I4,
    I7,
    LIQUID,
    PACKET,
    SKY,
    WATER_SIGHT_BLOCKS,
    Floats,
    Hits,
    Ints,
    Size,
    View,
    mip_size,
    mip_start,
    place_parts,
)
from loopcraft.worlds.voxel.render.scene import (
    BLOCKS_PLANE,
    LIGHT,
    SHAPE,
    TEXEL_MASK,
    TINT_SHIFT,
    VARIED_SHIFT,
    Scene,
)
from loopcraft.worlds.voxel.render.sky import COLOR, LENGTH, RIGHT, RISE, Sky, gradient_step, shade_sky

# Rows of the float scratch. The first three hold the sample's direction (see sky.py).
T, U, V, WIDTH, ACROSS, UP = (PACKET * row for row in range(3, 9))
FLOAT_ROWS = 9
# Rows of the integer scratch. TEXEL and GLOW take four rows each.
CELL, COLUMN, CORNER, STEP_ACROSS, STEP_UP, FACE, HASH, FOG, FOG_COLOR, TINTED, FACTOR = (
    PACKET * row for row in range(1, 12)
)
PLACE, SHARE_X, SHARE_Y, TEXEL, GLOW = (PACKET * row for row in (12, 13, 14, 15, 19))
INT_ROWS = 23

FACE_SHADE = (154, 154, 128, 256, 205, 205, 240, 240)
"""Brightness of each face in 256ths: x sides 0.6, bottom 0.5, top 1, z sides 0.8, plants 0.94."""
_SHADE_X, _SHADE_BOTTOM, _SHADE_TOP, _SHADE_Z, _SHADE_PLANT = (
    np.int32(FACE_SHADE[face]) for face in (0, 2, 3, 4, 6)
)
FOG_START, FOG_END = 0.5, 0.97
"""Shares of the view distance at which fog starts and is full."""
DEEP_WATER = np.int32(44 | 84 << 8 | 138 << 16)
WATER_VEIL, WATER_MURK, WATER_DEEPENING = np.int32(150), np.int32(100), np.float32(100)
"""Share (of 256) that water hides at once, from above and from within, and its increase where sight ends."""
HALF, SMALL, TINY, F256 = (np.float32(value) for value in (0.5, 0.02, 0.001, 256))


@kernel
def shade(
    scene: Scene,
    sky: Sky,
    view: View,
    screen: Float32[np.ndarray, "3 N"],
    hits: Hits,
    colors: Int32[np.ndarray, " N"],
) -> None:
    """Fill `colors` for the `hits` that `trace` found for `screen`, and set the sky's distances."""
    places, distances, water_places, water_distances = hits
    view_distance, origin = view.distance, (scene.x0, scene.z0)
    ex, ey, ez = view.eye
    in_water = scene.rules[scene.voxels[BLOCKS_PLANE, int(ex), int(ez), int(ey)], SHAPE] == LIQUID
    floats, ints = np.empty(FLOAT_ROWS * PACKET, np.float32), np.empty(INT_ROWS * PACKET, np.int32)
    size, voxels, tints = scene.voxels.shape[1:], scene.voxels.reshape(-1), scene.tints.reshape(-1)
    faces, texels, gradient = scene.faces, scene.texels, sky.gradient
    for first in range(0, screen.shape[1], PACKET):
        num_sky, num_water = 0, 0
        for k in range(PACKET):
            num_sky += places[first + k] == SKY
            num_water += water_distances[first + k] > 0
        for row in range(3):
            for k in range(PACKET):
                floats[RIGHT + PACKET * row + k] = screen[row, first + k]
        if num_sky < PACKET:
            _take(places, distances, first, floats, ints)
            _shade_faces(size, origin, voxels, faces, tints, texels, gradient, view, floats, ints)
            for k in range(PACKET):
                colors[first + k] = ints[COLOR + k]
        if num_sky:
            shade_sky(sky, origin, view, floats, ints)
            for k in range(PACKET):
                if places[first + k] == SKY:
                    colors[first + k] = ints[COLOR + k]
                    distances[first + k] = view_distance
        if num_water:
            _take(water_places, water_distances, first, floats, ints)
            _shade_faces(size, origin, voxels, faces, tints, texels, gradient, view, floats, ints)
            _cover(hits, first, ints, colors)
        if in_water:
            for k in range(PACKET):
                murk = min(distances[first + k] / (2 * WATER_SIGHT_BLOCKS), F1)
                share = WATER_MURK + np.int32(murk * WATER_DEEPENING)
                colors[first + k] = blend(colors[first + k], DEEP_WATER, share)


@inlined
def _take(
    places: Int32[np.ndarray, " N"],
    distances: Float32[np.ndarray, " N"],
    first: int,
    floats: Floats,
    ints: Ints,
) -> None:
    """Copy a packet's places and distances into the scratch."""
    for k in range(PACKET):
        ints[PLACE + k] = places[first + k]
    for k in range(PACKET):
        floats[T + k] = distances[first + k]


@inlined
def _cover(hits: Hits, first: int, ints: Ints, colors: Int32[np.ndarray, " N"]) -> None:
    """Blend water, whose surface colour is in row `COLOR`, over what is seen through it."""
    distances, water_distances = hits.distances, hits.water_distances
    for k in range(PACKET):
        t = water_distances[first + k]
        if t > 0:
            depth = min((distances[first + k] - t) / WATER_SIGHT_BLOCKS, F1)
            share = WATER_VEIL + np.int32(depth * WATER_DEEPENING)
            colors[first + k] = blend(colors[first + k], ints[COLOR + k], share)


@kernel
def _shade_faces(
    size: Size,
    origin: tuple[int, int],
    voxels: UInt8[np.ndarray, " 13*V"],
    faces: Int32[np.ndarray, " B*8"],
    tints: Int32[np.ndarray, " 4*C"],
    texels: Int32[np.ndarray, " N*341"],
    gradient: Int32[np.ndarray, " 256"],
    view: View,
    floats: Floats,
    ints: Ints,
) -> None:
    """Compute the textured, lit and fogged colours of a packet's faces; those of the sky are meaningless."""
    _locate(view, floats, ints)
    _address(size, origin, ints)
    for k in range(PACKET):
        block = np.int32(voxels[np.uint32(ints[CELL + k])])
        ints[FACE + k] = faces[np.uint32(block * 8 + ints[FACE + k])]
    _find_texels(size, floats, ints)
    for k in range(PACKET):
        ints[TINTED + k] = tints[np.uint32(ints[COLUMN + k])]
        ints[FOG_COLOR + k] = gradient[np.uint32(ints[FOG_COLOR + k])]
    for k in range(PACKET):
        corner, across, up = ints[CORNER + k], ints[STEP_ACROSS + k], ints[STEP_UP + k]
        ints[GLOW + k] = voxels[np.uint32(corner)]
        ints[GLOW + PACKET + k] = voxels[np.uint32(corner + across)]
        ints[GLOW + 2 * PACKET + k] = voxels[np.uint32(corner + up)]
        ints[GLOW + 3 * PACKET + k] = voxels[np.uint32(corner + across + up)]
    for k in range(4 * PACKET):
        ints[TEXEL + k] = texels[np.uint32(ints[TEXEL + k])]
    _mix(floats, ints)


@inlined
def _locate(view: View, floats: Floats, ints: Ints) -> None:
    """Find each sample's point on its face, a pixel's width there and the fog in between.

    Choices are between values computed beforehand: a branch left in the loop stops the vectoriser.
    """
    ex, ey, ez = view.eye
    rx, ry, rz = view.axes[0]
    ux, uy, uz = view.axes[1]
    fx, fy, fz = view.axes[2]
    view_distance, pixel_size = view.distance, view.pixel_size
    fog_start = np.float32(FOG_START * view_distance)
    fog_scale = np.float32(1 / (view_distance * (FOG_END - FOG_START)))
    for k in range(PACKET):
        a, b, length, t = floats[RIGHT + k], floats[RISE + k], floats[LENGTH + k], floats[T + k]
        dx, dy, dz = a * rx + b * ux + fx, a * ry + b * uy + fy, a * rz + b * uz + fz
        place = ints[PLACE + k]
        x, y, z, face = place_parts(place if place != SKY else I0)
        lx = min(max(ex + t * dx - np.float32(x), F0), BELOW_ONE)
        ly = min(max(ey + t * dy - np.float32(y), F0), BELOW_ONE)
        lz = min(max(ez + t * dz - np.float32(z), F0), BELOW_ONE)
        axis = face >> I1
        along_x, flat, plant = axis == 0, axis == 1, axis == 3
        floats[U + k] = lz if along_x else lx
        down = BELOW_ONE - ly
        floats[V + k] = lz if flat else down
        floats[ACROSS + k] = lz if along_x else lx
        floats[UP + k] = lz if flat else ly
        along = max(abs(dx if along_x else (dy if flat else dz)), SMALL)
        along = length if plant else along
        floats[WIDTH + k] = t * pixel_size * np.sqrt(length / along)
        far = min(max((t * length - fog_start) * fog_scale, F0), F1)
        ints[FOG + k] = np.int32(far * far * F256)
        ints[FOG_COLOR + k] = gradient_step(dy / length)


@inlined
def _address(size: Size, origin: tuple[int, int], ints: Ints) -> None:
    """Compute each face's indices of block, column and corner light, its brightness and its cell's hash."""
    stride_z, stride_x = np.int32(size[2]), np.int32(size[1] * size[2])
    columns_x, volume = np.int32(size[1]), np.int32(size[0] * size[1] * size[2])
    x0, z0 = np.int32(origin[0]), np.int32(origin[1])
    for k in range(PACKET):
        place = ints[PLACE + k]
        x, y, z, face = place_parts(place if place != SKY else I0)
        axis = face >> I1
        along_x, flat, plant = axis == 0, axis == 1, axis == 3
        cell = np.int32(x * stride_x + z * stride_z + y)
        side = stride_x if along_x else (I1 if flat else stride_z)
        other_side = np.int32(-side)
        side = side if face & I1 else other_side
        side = I0 if plant else side
        ints[CELL + k] = np.int32(cell + BLOCKS_PLANE * volume)
        ints[CORNER + k] = np.int32((LIGHT + axis) * volume + cell + side)
        ints[STEP_ACROSS + k] = I0 if plant else (stride_z if along_x else stride_x)
        ints[STEP_UP + k] = I0 if plant else (stride_z if flat else I1)
        ints[COLUMN + k] = np.int32(x * columns_x + z)
        ints[FACE + k] = face
        level = _SHADE_TOP if face & I1 else _SHADE_BOTTOM
        upright = _SHADE_X if along_x else (_SHADE_PLANT if plant else _SHADE_Z)
        ints[FACTOR + k] = level if flat else upright
        mix = np.int32((x + x0) * np.int32(73856093)) ^ np.int32((z + z0) * np.int32(83492791))
        mix = mix ^ np.int32(y * np.int32(19349663))
        mix = np.int32(np.int32(mix ^ (mix >> np.int32(15))) * np.int32(1274126177))
        ints[HASH + k] = np.int32((mix >> np.int32(20)) & I7)


@inlined
def _find_texels(size: Size, floats: Floats, ints: Ints) -> None:
    """Find the four texels around the point in the mip level for the pixel's width, their shares, the tint.

    Texel edges are blended over the pixel's width, as by a box filter.
    """
    columns = np.int32(size[0] * size[1])
    for k in range(PACKET):
        u, v, width = floats[U + k], floats[V + k], floats[WIDTH + k]
        face = ints[FACE + k]
        turn = ints[HASH + k] if face >> VARIED_SHIFT else I0
        u = BELOW_ONE - u if turn & I1 else u
        v = BELOW_ONE - v if turn & I2 else v
        first = v if turn & I4 else u
        v = u if turn & I4 else v
        texels = width * F16
        scale, start = mip_size(texels), mip_start(texels)
        side = np.int32(scale)
        sharpness = F1 / max(width * scale, TINY)
        x, y = first * scale + HALF, v * scale + HALF
        right, down = np.int32(x), np.int32(y)
        share_x = min(max((x - np.float32(right) - HALF) * sharpness + HALF, F0), F1)
        share_y = min(max((y - np.float32(down) - HALF) * sharpness + HALF, F0), F1)
        ints[SHARE_X + k] = np.int32(share_x * F256)
        ints[SHARE_Y + k] = np.int32(share_y * F256)
        wrap = np.int32(side - I1)
        upper, lower = np.int32((down - I1 & wrap) * side), np.int32((down & wrap) * side)
        left, right = np.int32(right - I1 & wrap), np.int32(right & wrap)
        base = np.int32((face & TEXEL_MASK) + start)
        ints[TEXEL + k] = np.int32(base + upper + left)
        ints[TEXEL + PACKET + k] = np.int32(base + upper + right)
        ints[TEXEL + 2 * PACKET + k] = np.int32(base + lower + left)
        ints[TEXEL + 3 * PACKET + k] = np.int32(base + lower + right)
        ints[COLUMN + k] += np.int32((face >> TINT_SHIFT & I3) * columns)


@inlined
def _mix(floats: Floats, ints: Ints) -> None:
    """Filter the texels, light and tint them, and add fog."""
    for k in range(PACKET):
        share_x, share_y = ints[SHARE_X + k], ints[SHARE_Y + k]
        upper = blend(ints[TEXEL + k], ints[TEXEL + PACKET + k], share_x)
        lower = blend(ints[TEXEL + 2 * PACKET + k], ints[TEXEL + 3 * PACKET + k], share_x)
        color = blend(upper, lower, share_y)
        across, up = floats[ACROSS + k], floats[UP + k]
        a, b = np.float32(ints[GLOW + k]), np.float32(ints[GLOW + PACKET + k])
        c, d = np.float32(ints[GLOW + 2 * PACKET + k]), np.float32(ints[GLOW + 3 * PACKET + k])
        low, high = a + across * (b - a), c + across * (d - c)
        light = np.int32(low + up * (high - low) + HALF)
        factor = np.int32(ints[FACTOR + k] * np.int32(light + I1) >> np.int32(8))
        ints[COLOR + k] = blend(light_up(color, ints[TINTED + k], factor), ints[FOG_COLOR + k], ints[FOG + k])
