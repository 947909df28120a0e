"""Where ponds and landmarks lie: at most one in each cell of 40 x 40 blocks, never across its border.

A site is planned from the bare columns around it alone, so that whoever asks for a part of it gets the same one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16, UInt8, UInt64
from numba import njit

from loopcraft.worlds.voxel import tables as t
from loopcraft.worlds.voxel.biomes import BIOMES
from loopcraft.worlds.voxel.blocks import BLOCK_IDS, BLOCKS
from loopcraft.worlds.voxel.canvas import KEEP, Dice, Template
from loopcraft.worlds.voxel.columns import SEA_LEVEL, Columns, columns
from loopcraft.worlds.voxel.landmarks import LANDMARKS
from loopcraft.worlds.voxel.noise import hash2, noise2
from loopcraft.worlds.voxel.region import HEIGHT_BLOCKS

CELL = 40
_HALF = 9
"""A site's templates and ponds reach at most this far from its centre."""
_CLEAR = 3
"""No caves this close to a site; its centre keeps farther than _HALF + _CLEAR from the cell's border."""
_TRIES = 3
_MAX_RISE = 4
_MAX_DRAPED_RISE = 6
_MAX_BANK = 3

_AIR = BLOCK_IDS["air"]
_GIVES_WAY = tuple(not block.solid or block.name.endswith("_leaves") for block in BLOCKS)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A planned site: the square of side 2 _HALF + 1 from (x0, z0) and what is there."""

    x0: int
    z0: int
    heights: Int16[np.ndarray, "S S"]
    """Top block of each bare column, or the floor of the pond."""
    water: Int16[np.ndarray, "S S"]
    """Level of the standing water, `SEA_LEVEL` outside ponds."""
    template: Template | None = None
    corner: tuple[int, int, int] = (0, 0, 0)
    """World (x, y, z) of the template's first block; y is unused when it drapes."""


@njit(cache=True)
def _dig_pond(
    seed: np.uint64, x0: int, z0: int, radius: float, heights: Int16[np.ndarray, "S S"], water: np.ndarray
) -> bool:
    """Dig a pond into `heights` and set its level, the lowest of its rim; False, and nothing dug, where banks are high."""
    size = heights.shape[0]
    depth = np.zeros((size, size), np.int16)
    for i in range(2, size - 2):
        for k in range(2, size - 2):
            dx, dz = i - _HALF, k - _HALF
            wobble = 1.0 + 0.7 * noise2(seed, (x0 + i) / 6.0, (z0 + k) / 6.0)
            ratio = (dx * dx + dz * dz) * wobble / (radius * radius)
            depth[i, k] = 0 if ratio >= 1.0 else (1 if ratio > 0.45 or radius < 5.0 else 2)
    level, highest = 999, 0
    for i in range(1, size - 1):
        for k in range(1, size - 1):
            if depth[i, k] > 0:
                highest = max(highest, heights[i, k])
            elif depth[i - 1, k] or depth[i + 1, k] or depth[i, k - 1] or depth[i, k + 1]:
                level = min(level, heights[i, k])
    if level > HEIGHT_BLOCKS or highest - level > _MAX_BANK or level < SEA_LEVEL + 2:
        return False
    for i in range(2, size - 2):
        for k in range(2, size - 2):
            if depth[i, k] > 0:
                heights[i, k] = level - depth[i, k]
            if depth[i - 2 : i + 3, k - 2 : k + 3].any() and (depth[i, k] > 0 or heights[i, k] >= level):
                water[i, k] = level
    return True


def _level_ground(land: Columns) -> Int16[np.ndarray, "S S"] | None:
    """The top blocks of columns that are dry and free of overhangs; None if they are not."""
    if land.rough.any() or land.height.min() < SEA_LEVEL + 1:
        return None
    return np.floor(land.height).astype(np.int16)


def _plan_at(seeds: UInt64[np.ndarray, " S"], cx: int, cz: int, attempt: int) -> Site | None:
    room = CELL - 2 * (_HALF + _CLEAR + 1)
    h = int(hash2(seeds[t.SEED_SITE], cx + attempt * 7919, cz))
    x = cx * CELL + CELL // 2 - room // 2 + h % room
    z = cz * CELL + CELL // 2 - room // 2 + (h >> 8) % room
    dice = Dice(int(hash2(seeds[t.SEED_SITE], cz, cx)) << 32 | h)
    biome = BIOMES[columns(seeds, x, z, 1, 1).biome[0, 0]]
    draw = int(hash2(seeds[t.SEED_SITE], -cx, cz)) % 100
    kind = ""
    for kind, weight in biome.sites.items():
        draw -= weight
        if draw < 0:
            break
    else:
        return None
    x0, z0, size = x - _HALF, z - _HALF, 2 * _HALF + 1
    heights = _level_ground(columns(seeds, x0, z0, size, size))
    if heights is None:
        return None
    water = np.full((size, size), SEA_LEVEL, np.int16)
    if kind == "pond":
        radius = dice.between(28, 75) / 10.0
        if not _dig_pond(seeds[t.SEED_SITE], x0, z0, radius, heights, water):
            return None
        return Site(x0=x0, z0=z0, heights=heights, water=water)
    template = LANDMARKS[kind](dice, biome.name)
    size_x, size_z, _ = template.blocks.shape
    i, k = _HALF - size_x // 2, _HALF - size_z // 2
    under = heights[i : i + size_x, k : k + size_z]
    low, high = int(under.min()), int(under.max())
    if high - low > (_MAX_DRAPED_RISE if template.drape else _MAX_RISE):
        return None
    corner = (x0 + i, (low + high + 1) // 2, z0 + k)
    return Site(x0=x0, z0=z0, heights=heights, water=water, template=template, corner=corner)


def plan_sites(seeds: UInt64[np.ndarray, " S"], x0: int, z0: int, size_x: int, size_z: int) -> list[Site]:
    """All sites in the cells that the box touches, in the order of the cells."""
    sites = []
    for cx in range(x0 // CELL, (x0 + size_x - 1) // CELL + 1):
        for cz in range(z0 // CELL, (z0 + size_z - 1) // CELL + 1):
            for attempt in range(_TRIES):
                site = _plan_at(seeds, cx, cz, attempt)
                if site is not None:
                    sites.append(site)
                    break
    return sites


def _overlap(start: int, size: int, x0: int, extent: int) -> tuple[slice, slice]:
    """Where [start, start + size) meets [x0, x0 + extent): as slices of the first and of the second."""
    low, high = max(start, x0), max(min(start + size, x0 + extent), max(start, x0))
    return slice(low - start, high - start), slice(low - x0, high - x0)


def dig(
    sites: list[Site],
    land: Columns,
    water: Int16[np.ndarray, "X Z"],
    barred: UInt8[np.ndarray, "X Z"],
    x0: int,
    z0: int,
) -> None:
    """Write ponds into the columns of a box at (x0, z0), keep caves off all sites and bar trees from landmarks."""
    size_x, size_z = water.shape
    for site in sites:
        side = 2 * (_HALF + _CLEAR) + 1
        _, i = _overlap(site.x0 - _CLEAR, side, x0, size_x)
        _, k = _overlap(site.z0 - _CLEAR, side, z0, size_z)
        water[i, k] = -SEA_LEVEL
        si, i = _overlap(site.x0, 2 * _HALF + 1, x0, size_x)
        sk, k = _overlap(site.z0, 2 * _HALF + 1, z0, size_z)
        pond = site.water[si, sk] > SEA_LEVEL
        land.height[i, k][pond] = site.heights[si, sk][pond] + 0.5
        water[i, k] = -site.water[si, sk]
        if site.template is not None:
            width, length, _ = site.template.blocks.shape
            _, i = _overlap(site.corner[0] - 2, width + 4, x0, size_x)
            _, k = _overlap(site.corner[2] - 2, length + 4, z0, size_z)
            barred[i, k] = 1


@njit(cache=True)
def _stamp(
    blocks: UInt8[np.ndarray, "X Z 96"],
    template: UInt8[np.ndarray, "TX TZ TY"],
    bases: Int16[np.ndarray, "TX TZ"],
    foundation: int,
    x0: int,
    z0: int,
) -> None:
    """Write a template whose column (i, k) starts at height bases[i, k] and whose corner is (x0, z0) in `blocks`."""
    for i in range(max(0, -x0), min(template.shape[0], blocks.shape[0] - x0)):
        for k in range(max(0, -z0), min(template.shape[1], blocks.shape[1] - z0)):
            column, base = blocks[x0 + i, z0 + k], bases[i, k]
            for j in range(template.shape[2]):
                block = template[i, k, j]
                if block != KEEP and base + j < HEIGHT_BLOCKS:
                    column[base + j] = block
            if template[i, k, 0] != KEEP and template[i, k, 0] != _AIR:
                y = base - 1
                while y > 0 and _GIVES_WAY[column[y]]:
                    column[y] = foundation
                    y -= 1


def build(sites: list[Site], blocks: UInt8[np.ndarray, "X Z 96"], x0: int, z0: int) -> None:
    """Stamp the landmarks into the volume that starts at (x0, z0)."""
    for site in sites:
        if site.template is None:
            continue
        template, (x, y, z) = site.template, site.corner
        size_x, size_z, _ = template.blocks.shape
        i, k = x - site.x0, z - site.z0
        bases = np.full((size_x, size_z), y, np.int16)
        if template.drape:
            bases = site.heights[i : i + size_x, k : k + size_z] + np.int16(1)
        _stamp(blocks, template.blocks, bases, template.foundation, x - x0, z - z0)
