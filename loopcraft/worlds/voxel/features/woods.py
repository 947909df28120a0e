"""Growth of the trees of `trees.py` on a filled volume.

Whether and what grows at a position depends only on hashes and on bare terrain, never on other trees. Where
two trees meet, wood replaces leaves; otherwise the first in the order of the world's cells stays. So every
box shows the same woods.
"""

import numpy as np
from jaxtyping import Int16, UInt8, UInt64

from loopcraft.core.jit import kernel
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS, BLOCKS, Shape
from loopcraft.worlds.voxel.core.noise import hash2, hash3
from loopcraft.worlds.voxel.features.trees import TREE_REACH, Form, TreeArrays
from loopcraft.worlds.voxel.terrain import tables as t
from loopcraft.worlds.voxel.terrain.columns import Columns
from loopcraft.worlds.voxel.terrain.region import HEIGHT_BLOCKS

_CELL = 4
_AIR, _WATER = BLOCK_IDS["air"], BLOCK_IDS["water"]
_DIRT, _GRASS = BLOCK_IDS["dirt"], BLOCK_IDS["grass"]
_LYING, _BOULDER = int(Form.LYING), int(Form.BOULDER)
_IS_LEAVES = tuple(block.shape == Shape.CUTOUT for block in BLOCKS)
_TOP = HEIGHT_BLOCKS - 1


@kernel
def _between(low: int, high: int, bits: int) -> int:
    return low + bits % (high - low + 1)


@kernel
def _put(blocks: UInt8[np.ndarray, "X Z 96"], x: int, y: int, z: int, block: int, wood: bool) -> None:
    """Set a voxel that is air, or also leaves if `wood`; ignore voxels outside the box."""
    if x < 0 or z < 0 or x >= blocks.shape[0] or z >= blocks.shape[1] or y < 1 or y >= _TOP:
        return
    old = blocks[x, z, y]
    if old == _AIR or (wood and _IS_LEAVES[old]):
        blocks[x, z, y] = block


@kernel
def _disc(
    seed: np.uint64,
    blocks: UInt8[np.ndarray, "X Z 96"],
    foot: tuple[int, int, int],
    centre: tuple[int, int, int],
    size: tuple[int, int],
    kind: np.ndarray,
    droop: int,
) -> None:
    """Draw a layer of leaves. `foot`: x, z of the volume's corner, lowest y; `size`: radius^2, ragged %."""
    radius_sq, ragged = size
    x, y, z = centre
    leaves, mix, mix_percent = kind[2], kind[15], kind[16]
    radius = 0
    while (radius + 1) * (radius + 1) <= radius_sq:
        radius += 1
    for dx in range(-radius, radius + 1):
        for dz in range(-radius, radius + 1):
            d = dx * dx + dz * dz
            if d > radius_sq or y < foot[2]:
                continue
            h = hash3(seed, foot[0] + x + dx, y, foot[1] + z + dz)
            rim = 5 * d > 3 * radius_sq
            if rim and h % 100 < ragged:
                continue
            block = mix if (h >> 8) % 100 < mix_percent else leaves
            _put(blocks, x + dx, y, z + dz, block, False)
            if rim and droop > 0 and (h >> 16) & 3:
                for fall in range(1, 1 + (h >> 18) % (droop + 1)):
                    if y - fall >= foot[2]:
                        _put(blocks, x + dx, y - fall, z + dz, leaves, False)


@kernel
def _branch(
    seed: np.uint64,
    blocks: UInt8[np.ndarray, "X Z 96"],
    kind: np.ndarray,
    foot: tuple[int, int, int],
    start: tuple[int, int, int],
    h: int,
) -> None:
    """Draw a branch that slants up in one of eight directions, or an arm that goes out and then up."""
    (x, y, z), log = start, kind[1]
    out, arm_height = _between(kind[10], kind[11], h), kind[12] if kind[12] > 1 else 0
    direction = (h >> 4) & 7
    dx, dz = (1, 1, 0, -1, -1, -1, 0, 1)[direction], (0, 1, 1, 1, 0, -1, -1, -1)[direction]
    if arm_height > 0:
        dx, dz = (1, 0, -1, 0)[direction & 3], (0, 1, 0, -1)[direction & 3]
    for step in range(1, out + 1):
        _put(blocks, x + dx * step, y if arm_height > 0 else y + step, z + dz * step, log, True)
    x, z = x + dx * out, z + dz * out
    for up in range(1, arm_height + 1):
        _put(blocks, x, y + up, z, log, True)
    y += arm_height if arm_height > 0 else out
    if kind[13] > 0:
        _disc(seed, blocks, foot, (x, y + 1, z), (kind[13] - 3, 20), kind, 0)
        _disc(seed, blocks, foot, (x, y, z), (kind[13], 20), kind, kind[14])


@kernel
def _standing(
    seed: np.uint64,
    blocks: UInt8[np.ndarray, "X Z 96"],
    kind: np.ndarray,
    layers: np.ndarray,
    corner: tuple[int, int],
    x: int,
    ground: int,
    z: int,
    h: int,
) -> None:
    height = _between(kind[3], kind[4], h)
    bend = _between(kind[6], kind[7], h >> 4)
    side_x, side_z = ((h >> 6) & 1) * 2 - 1, ((h >> 7) & 1) * 2 - 1
    if (h >> 8) & 1:
        side_x = 0
    elif (h >> 9) & 1:
        side_z = 0
    foot = (corner[0], corner[1], ground + 1 + kind[5])
    bx, bz = x, z
    for step in range(1, height + 1):
        if step > height - bend:
            bx, bz = bx + side_x, bz + side_z
        _put(blocks, bx, ground + step, bz, kind[1], True)
    top = ground + height
    for j in range(kind[17]):
        droop = kind[14] if j == kind[17] - 1 else 0
        _disc(seed, blocks, foot, (bx, top + layers[j, 0], bz), (layers[j, 1], layers[j, 2]), kind, droop)
    for j in range(_between(kind[8], kind[9], h >> 10)):
        g = hash3(seed, corner[0] + x, 1000 + j, corner[1] + z)
        start = ground + max(1, height - 1 - kind[12] - (g >> 8) % max(1, height // 3))
        _branch(seed, blocks, kind, foot, (x, start, z), g)


@kernel
def _lying(
    blocks: UInt8[np.ndarray, "X Z 96"],
    heights: Int16[np.ndarray, "X Z"],
    log: int,
    length: int,
    x: int,
    ground: int,
    z: int,
    along_x: bool,
) -> None:
    """Lay a log that stops where the ground falls or rises."""
    for step in range(length):
        i, k = (x + step, z) if along_x else (x, z + step)
        if i >= heights.shape[0] or k >= heights.shape[1] or heights[i, k] != ground:
            return
        _put(blocks, i, ground + 1, k, log, True)


@kernel
def _boulder(
    seed: np.uint64,
    blocks: UInt8[np.ndarray, "X Z 96"],
    kind: np.ndarray,
    corner: tuple[int, int],
    x: int,
    ground: int,
    z: int,
    h: int,
) -> None:
    diameter = _between(kind[3], kind[4], h)
    squash = 3 + ((h >> 6) & 3)  # quarters: tall or flat
    reach = diameter // 2 + 1
    for dx in range(-reach, reach + 1):
        for dz in range(-reach, reach + 1):
            for dy in range(-reach, reach + 1):
                d = 4 * (dx * dx + dz * dz) + squash * dy * dy
                g = hash3(seed, corner[0] + x + dx, ground + dy, corner[1] + z + dz)
                if d + (g & 3) > diameter * diameter:
                    continue
                i, k, y = x + dx, z + dz, ground + dy
                if i < 0 or k < 0 or i >= blocks.shape[0] or k >= blocks.shape[1] or y >= _TOP:
                    continue
                if blocks[i, k, y] != _WATER:
                    blocks[i, k, y] = kind[15] if (g >> 8) % 100 < kind[16] else kind[1]


@kernel
def grow(
    seeds: UInt64[np.ndarray, " S"],
    trees: TreeArrays,
    columns: Columns,
    margin: int,
    x0: int,
    z0: int,
    blocks: UInt8[np.ndarray, "X Z 96"],
    ground: Int16[np.ndarray, "X Z"],
    barred: UInt8[np.ndarray, "X Z"],
) -> None:
    """Grow all trees whose foot is in the volume that starts at (x0, z0).

    `columns` starts `margin` blocks before it; nothing grows where `barred` is set. The outermost
    TREE_REACH blocks lack trees rooted outside the volume, so the caller crops them.
    """
    size_x, size_z = ground.shape
    soil = np.empty((size_x, size_z), np.uint8)
    for i in range(size_x):
        for k in range(size_z):
            open_sky = blocks[i, k, ground[i, k] + 1] == _AIR
            soil[i, k] = blocks[i, k, ground[i, k]] if open_sky and not barred[i, k] else _AIR
    seed = seeds[t.SEED_TREE]
    for cx in range(x0 // _CELL, (x0 + size_x - 1) // _CELL + 1):
        for cz in range(z0 // _CELL, (z0 + size_z - 1) // _CELL + 1):
            h = hash2(seed, cx, cz)
            x, z = cx * _CELL + h % 3 - x0, cz * _CELL + (h >> 2) % 3 - z0
            if x < 0 or z < 0 or x >= size_x or z >= size_z or soil[x, z] == _AIR:
                continue
            biome, cell = columns.biome[x + margin, z + margin], columns.cell[x + margin, z + margin]
            chance = trees.chance[biome] * columns.woods[x + margin, z + margin]
            chance *= 0.6 + 0.1 * float((cell >> 12) & 7)
            if float((h >> 8) & 0xFFFF) >= 65536.0 * chance:
                continue
            # Three trees in eight are of the biome cell's own kind.
            g = hash2(seed, cz, cx) if (h >> 24) & 7 > 2 else cell
            pick = float((g >> 3) & 0xFFFF) / 65536.0
            kind = 0
            while trees.share[biome, kind] <= pick:
                kind += 1
            if not trees.ground[kind, soil[x, z]]:
                continue
            g = hash3(seed, cx, 7, cz)
            y, number, corner = ground[x, z], trees.numbers[kind], (x0, z0)
            if number[0] == _BOULDER:
                _boulder(seed, blocks, number, corner, x, y, z, g)
            elif number[0] == _LYING:
                length = min(_between(number[3], number[4], g), TREE_REACH)
                _lying(blocks, ground, number[1], length, x, y, z, (g >> 8) & 1 == 1)
            else:
                if blocks[x, z, y] == _GRASS and number[3] > 1:
                    blocks[x, z, y] = _DIRT
                _standing(seed, blocks, number, trees.layers[kind], corner, x, y, z, g)
