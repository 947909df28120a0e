"""A plain renderer for tests and perf/render.py: one ray at a time in float64, no skipping, no packets.

It traverses voxels as Amanatides and Woo do and computes the same formulas for one sample. It reads the same
scene and constants as the real renderer but shares none of its code.
"""

import math

import numpy as np

from loopcraft.core.jit import kernel as plain
from loopcraft.worlds.voxel.render.scene import BLOCKS_PLANE, LIGHT, SHAPE, TEXELS, TEXTURE, TINT, VARIED
from loopcraft.worlds.voxel.render.shade import FACE_SHADE, FOG_END, FOG_START
from loopcraft.worlds.voxel.render.sky import (
    CLOUD_CELL_BLOCKS,
    CLOUD_FADE_BLOCKS,
    CLOUD_HEIGHT_BLOCKS,
    SUN_GLOW,
    SUN_HALF_WIDTH,
)

STARTS = (0, 256, 320, 336, 340)
WATER_SIGHT = 5.0
SOLID_LEAVES = 0.175
AIR, CUBE, CUTOUT, CROSS, LIQUID = range(5)
SKY = -1
BELOW_ONE = 0.9999999


@plain
def render(scene, sky, eye, basis, view_distance, resolution):
    """The picture, float64 RGB (H, W, 3) before rounding, and the face hit by each pixel, int64 (H, W)."""
    picture = np.zeros((resolution, resolution, 3))
    hits = np.zeros((resolution, resolution), np.int64)
    pixel = 2 * math.tan(math.radians(35)) / resolution
    voxels, rules, texels, tints = scene.voxels, scene.rules, scene.texels, scene.tints
    origin = (eye[0], eye[1], eye[2])
    corner = (scene.x0, scene.z0)
    for row in range(resolution):
        for column in range(resolution):
            right = (column + 0.5 - resolution / 2) * pixel
            up = (resolution / 2 - row - 0.5) * pixel
            ray = (
                right * basis[0, 0] + up * basis[1, 0] + basis[2, 0],
                right * basis[0, 1] + up * basis[1, 1] + basis[2, 1],
                right * basis[0, 2] + up * basis[1, 2] + basis[2, 2],
            )
            length = math.sqrt(ray[0] ** 2 + ray[1] ** 2 + ray[2] ** 2)
            t_max = view_distance / length
            hit, t, water, water_t = walk(voxels, rules, texels, origin, ray, t_max, pixel)
            surface = (
                voxels,
                rules,
                texels,
                tints,
                sky.gradient,
                corner,
                origin,
                ray,
                length,
                view_distance,
                pixel,
            )
            if hit == SKY:
                color = sky_color(sky, origin, corner, ray, length)
            else:
                color = face_color(hit, t, *surface)
            if water_t > 0:
                depth = min(((view_distance if hit == SKY else t) - water_t) / WATER_SIGHT, 1.0)
                color = mix(
                    color, face_color(water, water_t, *surface), (150 + math.floor(depth * 100)) / 256
                )
            picture[row, column, 0], picture[row, column, 1], picture[row, column, 2] = color
            hits[row, column] = hit
    return picture, hits


@plain
def walk(voxels, rules, texels, origin, ray, t_max, pixel):
    """Walk to the first opaque face: the face and its distance, and those of the first water (or 0)."""
    ox, oy, oz = origin
    dx, dy, dz = ray
    x, y, z = int(ox), int(oy), int(oz)
    step_x, step_y, step_z = (1 if dx > 0 else -1), (1 if dy > 0 else -1), (1 if dz > 0 else -1)
    delta_x, delta_y, delta_z = 1 / max(abs(dx), 1e-12), 1 / max(abs(dy), 1e-12), 1 / max(abs(dz), 1e-12)
    next_x = (x + 1 - ox if dx > 0 else ox - x) * delta_x
    next_y = (y + 1 - oy if dy > 0 else oy - y) * delta_y
    next_z = (z + 1 - oz if dz > 0 else oz - z) * delta_z
    size_x, size_z, size_y = voxels.shape[1:]
    t, face = 0.0, 0
    water, water_t = SKY, 0.0
    while t < t_max:
        if x <= 0 or y <= 0 or z <= 0 or x >= size_x - 1 or y >= size_y - 1 or z >= size_z - 1:
            break
        block = voxels[BLOCKS_PLANE, x, z, y]
        shape = rules[block, SHAPE]
        if shape == CUBE or (shape == CUTOUT and t * pixel > SOLID_LEAVES):
            return pack(x, y, z, face), t, water, water_t
        if shape == LIQUID:
            if water_t == 0 and t > 0:
                water, water_t = pack(x, y, z, face), t
            if t > water_t + WATER_SIGHT:
                break
        elif shape != AIR:
            lx, ly, lz = ox + t * dx - x, oy + t * dy - y, oz + t * dz - z
            if shape == CUTOUT:
                if opaque(rules, texels, block, face, lx, ly, lz, t * pixel):
                    return pack(x, y, z, face), t, water, water_t
            else:
                leave = min(next_x, next_y, next_z) - t
                first = (lz - lx) / (dx - dz) if dx != dz else -1.0
                second = (1 - lx - lz) / (dx + dz) if dx != -dz else -1.0
                for turn in range(2):
                    use_first = (first <= second) == (turn == 0)
                    s = first if use_first else second
                    plane = 6 if use_first else 7
                    if 0 <= s <= leave and opaque(
                        rules, texels, block, plane, lx + s * dx, ly + s * dy, lz + s * dz, t * pixel
                    ):
                        return pack(x, y, z, plane), t + s, water, water_t
        if next_x <= next_y and next_x <= next_z:
            t, x, next_x, face = next_x, x + step_x, next_x + delta_x, (0 if dx > 0 else 1)
        elif next_y <= next_z:
            t, y, next_y, face = next_y, y + step_y, next_y + delta_y, (2 if dy > 0 else 3)
        else:
            t, z, next_z, face = next_z, z + step_z, next_z + delta_z, (4 if dz > 0 else 5)
    return SKY, 0.0, water, water_t


@plain
def pack(x, y, z, face):
    """A voxel's face as one integer, packed as in the renderer."""
    return ((x << 11 | z) << 7 | y) << 3 | face


@plain
def texture_point(face, lx, ly, lz):
    """The coordinates right and down on the texture of a face."""
    lx, ly, lz = min(max(lx, 0.0), BELOW_ONE), min(max(ly, 0.0), BELOW_ONE), min(max(lz, 0.0), BELOW_ONE)
    if face == 2 or face == 3:
        return lx, lz
    return (lz if face < 2 else lx), BELOW_ONE - ly


@plain
def mip(width):
    """The mip level of a pixel `width` blocks wide: the first with texels wider than 1 / 1.4 of that."""
    level = 0
    while level < 4 and width * 16 > 1.4 * 2**level:
        level += 1
    return level


@plain
def opaque(rules, texels, block, face, lx, ly, lz, width):
    """Whether the nearest texel is opaque."""
    u, v = texture_point(face, lx, ly, lz)
    level = mip(width)
    size = 16 >> level
    texel = STARTS[level] + int(v * size) * size + int(u * size)
    return texels[rules[block, TEXTURE + face] * TEXELS + texel] >> 24 != 0


@plain
def rgb(packed):
    """The bytes of a packed colour as floats."""
    return float(packed & 0xFF), float(packed >> 8 & 0xFF), float(packed >> 16 & 0xFF)


@plain
def mix(first, second, share):
    """Interpolate from `first` (share 0) to `second` (share 1)."""
    rest = 1 - share
    return (
        first[0] * rest + second[0] * share,
        first[1] * rest + second[1] * share,
        first[2] * rest + second[2] * share,
    )


@plain
def face_color(
    hit, t, voxels, rules, texels, tints, gradient, corner, origin, ray, length, view_distance, pixel
):
    """The colour of a face: texture times tint times light, with fog."""
    face, x, y, z = hit & 7, hit >> 21, hit >> 3 & 0x7F, hit >> 10 & 0x7FF
    lx, ly, lz = origin[0] + t * ray[0] - x, origin[1] + t * ray[1] - y, origin[2] + t * ray[2] - z
    u, v = texture_point(face, lx, ly, lz)
    along = length if face >= 6 else max(abs(ray[face >> 1]), 0.02)
    width = t * pixel * math.sqrt(length / along)
    block = voxels[BLOCKS_PLANE, x, z, y]
    if face >> 1 == 1 and rules[block, VARIED]:
        u, v = turn_texture(u, v, x + corner[0], y, z + corner[1])
    color = filter_texture(texels, rules[block, TEXTURE + face] * TEXELS, u, v, width)
    tint = rgb(tints[rules[block, TINT + face], x, z])
    shade = FACE_SHADE[face] / 256 * (corner_light(voxels, face, x, y, z, lx, ly, lz) + 1) / 256
    lit = (
        color[0] * (tint[0] + 1) / 256 * shade,
        color[1] * (tint[1] + 1) / 256 * shade,
        color[2] * (tint[2] + 1) / 256 * shade,
    )
    far = min(max((t * length / view_distance - FOG_START) / (FOG_END - FOG_START), 0.0), 1.0)
    return mix(lit, rgb(gradient[int((ray[1] / length + 1) * 127.5)]), far * far)


@plain
def turn_texture(u, v, x, y, z):
    """Turn the texture coordinates by the turn that the block's position determines."""
    hashed = wrap(wrap(x * 73856093) ^ wrap(z * 83492791) ^ wrap(y * 19349663))
    turn = wrap((hashed ^ hashed >> 15) * 1274126177) >> 20 & 7
    if turn & 1:
        u = BELOW_ONE - u
    if turn & 2:
        v = BELOW_ONE - v
    return (v, u) if turn & 4 else (u, v)


@plain
def wrap(value):
    """The low 32 bits as a signed number."""
    return (value + 0x80000000 & 0xFFFFFFFF) - 0x80000000


@plain
def filter_texture(texels, base, u, v, width):
    """Interpolate bilinearly between texels, but only over the pixel's width at their edges."""
    level = mip(width)
    size = 16 >> level
    blur = max(width * size, 0.001)
    x, y = u * size - 0.5, v * size - 0.5
    left, upper = math.floor(x), math.floor(y)
    share_x = min(max((x - left - 0.5) / blur + 0.5, 0.0), 1.0)
    share_y = min(max((y - upper - 0.5) / blur + 0.5, 0.0), 1.0)
    base += STARTS[level]
    left, right = left % size, (left + 1) % size
    upper, lower = upper % size * size, (upper + 1) % size * size
    top = mix(rgb(texels[base + upper + left]), rgb(texels[base + upper + right]), share_x)
    bottom = mix(rgb(texels[base + lower + left]), rgb(texels[base + lower + right]), share_x)
    return mix(top, bottom, share_y)


@plain
def corner_light(voxels, face, x, y, z, lx, ly, lz):
    """The light interpolated between the corners of a face, 0 to 255."""
    if face >= 6:
        return float(voxels[LIGHT + 3, x, z, y])
    lx, ly, lz = min(max(lx, 0.0), 1.0), min(max(ly, 0.0), 1.0), min(max(lz, 0.0), 1.0)
    side = 1 if face & 1 else -1
    plane = LIGHT + (face >> 1)
    if face < 2:
        x += side
        a, b = voxels[plane, x, z, y], voxels[plane, x, z + 1, y]
        c, d = voxels[plane, x, z, y + 1], voxels[plane, x, z + 1, y + 1]
        p, q = lz, ly
    elif face < 4:
        y += side
        a, b = voxels[plane, x, z, y], voxels[plane, x + 1, z, y]
        c, d = voxels[plane, x, z + 1, y], voxels[plane, x + 1, z + 1, y]
        p, q = lx, lz
    else:
        z += side
        a, b = voxels[plane, x, z, y], voxels[plane, x + 1, z, y]
        c, d = voxels[plane, x, z, y + 1], voxels[plane, x + 1, z, y + 1]
        p, q = lx, ly
    return (a * (1 - p) + b * p) * (1 - q) + (c * (1 - p) + d * p) * q


@plain
def sky_color(sky, origin, corner, ray, length):
    """The colour of the sky: gradient, sun with its glow, clouds."""
    dx, dy, dz = ray[0] / length, ray[1] / length, ray[2] / length
    color = rgb(sky.gradient[int((dy + 1) * 127.5)])
    axes = sky.sun_axes
    facing = dx * axes[2, 0] + dy * axes[2, 1] + dz * axes[2, 2]
    if facing > 0.5:
        right = abs(dx * axes[0, 0] + dy * axes[0, 1] + dz * axes[0, 2])
        off = max(right, abs(dx * axes[1, 0] + dy * axes[1, 1] + dz * axes[1, 2])) / facing
        if off < SUN_HALF_WIDTH:
            color = rgb(sky.sun_color)
        elif off < SUN_GLOW:
            glow = (SUN_GLOW - off) / (SUN_GLOW - SUN_HALF_WIDTH)
            color = mix(color, rgb(sky.sun_color), glow * glow * 110 / 256)
    if dy > 0.03:
        reach = (CLOUD_HEIGHT_BLOCKS - origin[1]) / dy
        fade = min(max(2 - 2 * reach / CLOUD_FADE_BLOCKS, 0.0), 1.0)
        cell_x = math.floor((origin[0] + corner[0] + reach * dx) / CLOUD_CELL_BLOCKS) % 64
        cell_z = math.floor((origin[2] + corner[1] + reach * dz) / CLOUD_CELL_BLOCKS) % 64
        if fade > 0 and sky.clouds[cell_x, cell_z]:
            color = mix(color, rgb(sky.cloud_color), fade * 190 / 256)
    return color
