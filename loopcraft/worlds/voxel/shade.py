"""From what each sample sees to its colour: texture, tint, light, water, fog, sky.

Shading is deferred: `trace` has found the face, here it gets its colour. 64 samples go through stages together; what
one stage leaves to the next lies in two flat scratch arrays, so that the arithmetic stages vectorise and only the
look-ups between them are scalar. Colours are packed integers (see lanes.py).
"""

import numpy as np

from loopcraft.worlds.voxel.jit import inlined, kernel
from loopcraft.worlds.voxel.lanes import blend, light_up
from loopcraft.worlds.voxel.scene import BLOCKS_PLANE, LIGHT, SHAPE, TEXELS, TEXTURE, TINT, VARIED
from loopcraft.worlds.voxel.sky import COLOR, LENGTH, RIGHT, RISE, gradient_step, shade_sky
from loopcraft.worlds.voxel.trace import (
    BELOW_ONE,
    F0,
    F1,
    F2,
    F4,
    F8,
    F16,
    I0,
    I1,
    I2,
    I4,
    LIQUID,
    MIP_1,
    MIP_2,
    MIP_3,
    MIP_4,
    PACKET,
    SKY,
    START_1,
    START_2,
    START_3,
    START_4,
    WATER_SIGHT_BLOCKS,
    X_SHIFT,
    Y_SHIFT,
    Z_SHIFT,
)

# Rows of the float scratch.
# The first three are the sample's own and stay (see sky.py).
T, U, V, WIDTH, ACROSS, UP = (PACKET * row for row in range(3, 9))
FLOAT_ROWS = 9
# Rows of the integer scratch. Texels and corners come in fours.
CELL, COLUMN, CORNER, STEP_ACROSS, STEP_UP, FACE, HASH, FOG, FOG_COLOR, TINTED, FACTOR = (
    PACKET * row for row in range(1, 12)
)
PLACE, SHARE_X, SHARE_Y, TEXEL, GLOW = (PACKET * row for row in (12, 13, 14, 15, 19))
INT_ROWS = 23

FACE_SHADE = np.array([154, 154, 128, 256, 205, 205, 240, 240], np.int32)
"""Brightness of each face in 256ths: x sides 0.6, bottom 0.5, top 1, z sides 0.8."""
FOG_START, FOG_END = 0.5, 0.97
"""Fog sets in and is full at these shares of the view distance."""
DEEP_WATER = np.int32(44 | 84 << 8 | 138 << 16)
WATER_VEIL, WATER_MURK, WATER_DEEPENING = np.int32(150), np.int32(100), np.float32(100)
"""How much (of 256) water hides at once, from above and from within, and how much more at the end of sight."""
HALF, SMALL = np.float32(0.5), np.float32(0.02)
F256 = np.float32(256)


@kernel
def shade(scene, sky, eye, basis, view_distance, screen, pixel_size, hits, colors):
    """Fill `colors` (N,) int32 for the samples that `trace` put into `hits`; same arguments as there."""
    places, distances, water_places, water_distances = hits
    ex, ey, ez = np.float32(eye[0]), np.float32(eye[1]), np.float32(eye[2])
    in_water = scene.rules[scene.voxels[BLOCKS_PLANE, int(ex), int(ez), int(ey)], SHAPE] == LIQUID
    floats, ints = np.empty(FLOAT_ROWS * PACKET, np.float32), np.empty(INT_ROWS * PACKET, np.int32)
    view = (ex, ey, ez, basis, view_distance, pixel_size)
    size, x0, z0 = scene.voxels.shape[1:], scene.x0, scene.z0
    voxels, rules, tints, texels = scene.voxels.reshape(-1), scene.rules, scene.tints.reshape(-1), scene.texels
    gradient, clouds, sun_axes, disc_colors = sky.gradient, sky.clouds.reshape(-1), sky.sun_axes, (sky.sun_color, sky.cloud_color)
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
            _shade_faces(size, x0, z0, voxels, rules, tints, texels, gradient, view, floats, ints)
            for k in range(PACKET):
                colors[first + k] = ints[COLOR + k]
        if num_sky:
            shade_sky(gradient, clouds, sun_axes, disc_colors, x0, z0, view, floats, ints)
            for k in range(PACKET):
                if places[first + k] == SKY:
                    colors[first + k] = ints[COLOR + k]
                    distances[first + k] = view_distance
        if num_water:
            _take(water_places, water_distances, first, floats, ints)
            _shade_faces(size, x0, z0, voxels, rules, tints, texels, gradient, view, floats, ints)
            for k in range(PACKET):
                t = water_distances[first + k]
                if t > 0:
                    depth = min((distances[first + k] - t) / WATER_SIGHT_BLOCKS, F1)
                    share = WATER_VEIL + np.int32(depth * WATER_DEEPENING)
                    colors[first + k] = blend(colors[first + k], ints[COLOR + k], share)
        if in_water:
            for k in range(PACKET):
                murk = min(distances[first + k] / (2 * WATER_SIGHT_BLOCKS), F1)
                share = WATER_MURK + np.int32(murk * WATER_DEEPENING)
                colors[first + k] = blend(colors[first + k], DEEP_WATER, share)


@inlined
def _take(places, distances, first, floats, ints):
    """Copy a packet's places and distances into the scratch."""
    for k in range(PACKET):
        ints[PLACE + k] = places[first + k]
    for k in range(PACKET):
        floats[T + k] = distances[first + k]


@kernel
def _shade_faces(size, x0, z0, voxels, rules, tints, texels, gradient, view, floats, ints):
    """The textured, lit and fogged colours of one packet's faces; samples of the sky get a meaningless one."""
    _locate(size, x0, z0, view, floats, ints)
    _look_up_blocks(size, voxels, rules, tints, gradient, ints)
    _find_texels(floats, ints)
    for k in range(4 * PACKET):
        ints[TEXEL + k] = texels[np.uint32(ints[TEXEL + k])]
    _mix(floats, ints)


@inlined
def _locate(size, x0, z0, view, floats, ints):
    """Stage 1, arithmetic: where on which face, how wide a pixel is there, how much fog lies between.

    Choices are between values computed beforehand: a branch that is left in the loop stops the vectoriser.
    """
    ex, ey, ez, basis, view_distance, pixel_size = view
    stride_z = np.int32(size[2])
    stride_x = np.int32(size[1] * size[2])
    columns_x = np.int32(size[1])
    volume = np.int32(size[0] * size[1] * size[2])
    rx, ry, rz = basis[0]
    ux, uy, uz = basis[1]
    fx, fy, fz = basis[2]
    fog_start = np.float32(FOG_START * view_distance)
    fog_scale = np.float32(1 / (view_distance * (FOG_END - FOG_START)))
    wx, wz = np.int32(x0), np.int32(z0)
    for k in range(PACKET):
        a, b, length, t = floats[RIGHT + k], floats[RISE + k], floats[LENGTH + k], floats[T + k]
        place = ints[PLACE + k]
        place = place if place != SKY else I0
        dx, dy, dz = a * rx + b * ux + fx, a * ry + b * uy + fy, a * rz + b * uz + fz
        x = np.int32(place >> X_SHIFT & 0x7FF)
        z = np.int32(place >> Z_SHIFT & 0x7FF)
        y = np.int32(place >> Y_SHIFT & 0x7F)
        face = np.int32(place & 7)
        axis = np.int32(face >> 1)
        lx = min(max(ex + t * dx - np.float32(x), F0), BELOW_ONE)
        ly = min(max(ey + t * dy - np.float32(y), F0), BELOW_ONE)
        lz = min(max(ez + t * dz - np.float32(z), F0), BELOW_ONE)
        along_x, flat, plant = axis == 0, axis == 1, axis == 3
        floats[U + k] = lz if along_x else lx
        down = BELOW_ONE - ly
        floats[V + k] = lz if flat else down
        floats[ACROSS + k] = lz if along_x else lx
        floats[UP + k] = lz if flat else ly
        along = abs(dx if along_x else (dy if flat else dz))
        along = max(along, SMALL)
        along = length if plant else along
        floats[WIDTH + k] = t * pixel_size * np.sqrt(length / along)
        cell = np.int32(x * stride_x + z * stride_z + y)
        side = stride_x if along_x else (I1 if flat else stride_z)
        other_side = np.int32(-side)
        side = side if face & I1 else other_side
        side = I0 if plant else side
        plane = np.int32(LIGHT + axis)
        ints[CELL + k] = cell
        ints[COLUMN + k] = np.int32(x * columns_x + z)
        ints[CORNER + k] = np.int32(plane * volume + cell + side)
        ints[STEP_ACROSS + k] = I0 if plant else (stride_z if along_x else stride_x)
        ints[STEP_UP + k] = I0 if plant else (stride_z if flat else I1)
        ints[FACE + k] = face
        mix = np.int32((x + wx) * np.int32(73856093)) ^ np.int32((z + wz) * np.int32(83492791)) ^ np.int32(y * np.int32(19349663))
        mix = np.int32(np.int32(mix ^ (mix >> np.int32(15))) * np.int32(1274126177))
        ints[HASH + k] = np.int32((mix >> np.int32(20)) & np.int32(7)) if flat else I0
        far = min(max((t * length - fog_start) * fog_scale, F0), F1)
        ints[FOG + k] = np.int32(far * far * F256)
        ints[FOG_COLOR + k] = gradient_step(dy / length)


@inlined
def _look_up_blocks(size, voxels, rules, tints, gradient, ints):
    """Stage 2, look-ups: texture, tint, light at the corners, fog colour."""
    volume = size[0] * size[1] * size[2]
    columns = size[0] * size[1]
    for k in range(PACKET):
        block = np.int64(voxels[np.uint32(BLOCKS_PLANE * volume + ints[CELL + k])])
        face = np.int64(ints[FACE + k])
        ints[TEXEL + k] = rules[block, TEXTURE + face] * TEXELS
        ints[TINTED + k] = tints[np.uint32(rules[block, TINT + face] * columns + ints[COLUMN + k])]
        ints[HASH + k] = ints[HASH + k] if rules[block, VARIED] else 0
        ints[FACTOR + k] = FACE_SHADE[face]
        corner, across, up = ints[CORNER + k], ints[STEP_ACROSS + k], ints[STEP_UP + k]
        ints[GLOW + k] = voxels[np.uint32(corner)]
        ints[GLOW + PACKET + k] = voxels[np.uint32(corner + across)]
        ints[GLOW + 2 * PACKET + k] = voxels[np.uint32(corner + up)]
        ints[GLOW + 3 * PACKET + k] = voxels[np.uint32(corner + across + up)]
        ints[FOG_COLOR + k] = gradient[np.uint32(ints[FOG_COLOR + k])]


@inlined
def _find_texels(floats, ints):
    """Stage 3, arithmetic: the four texels around the point, in the mip level for the pixel's width, and their shares.

    Texel edges are blended over the pixel's width, as a box filter would.
    """
    for k in range(PACKET):
        u, v, width = floats[U + k], floats[V + k], floats[WIDTH + k]
        turn = ints[HASH + k]
        u = BELOW_ONE - u if turn & I1 else u
        v = BELOW_ONE - v if turn & I2 else v
        first = v if turn & I4 else u
        v = u if turn & I4 else v
        texels = width * F16
        scale = F16 if texels <= MIP_1 else (F8 if texels <= MIP_2 else (F4 if texels <= MIP_3 else (F2 if texels <= MIP_4 else F1)))
        start = I0 if texels <= MIP_1 else (
            START_1 if texels <= MIP_2 else (START_2 if texels <= MIP_3 else (START_3 if texels <= MIP_4 else START_4))
        )
        size = np.int32(scale)
        sharpness = F1 / max(width * scale, np.float32(0.001))
        x, y = first * scale + HALF, v * scale + HALF
        right, down = np.int32(x), np.int32(y)
        share_x = min(max((x - np.float32(right) - HALF) * sharpness + HALF, F0), F1)
        share_y = min(max((y - np.float32(down) - HALF) * sharpness + HALF, F0), F1)
        ints[SHARE_X + k] = np.int32(share_x * F256)
        ints[SHARE_Y + k] = np.int32(share_y * F256)
        wrap = np.int32(size - I1)
        upper, lower = np.int32((down - I1 & wrap) * size), np.int32((down & wrap) * size)
        left, right = np.int32(right - I1 & wrap), np.int32(right & wrap)
        base = np.int32(ints[TEXEL + k] + start)
        ints[TEXEL + k] = np.int32(base + upper + left)
        ints[TEXEL + PACKET + k] = np.int32(base + upper + right)
        ints[TEXEL + 2 * PACKET + k] = np.int32(base + lower + left)
        ints[TEXEL + 3 * PACKET + k] = np.int32(base + lower + right)


@inlined
def _mix(floats, ints):
    """Stage 4, arithmetic: filter the texels, light and tint them, add fog."""
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
