"""Positions of ponds and landmarks: at most one per cell of 32 x 32 blocks, never across its border.

A site is planned only from the bare columns around it, so every box that contains part of it gets the same.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int16, UInt8, UInt64

from loopcraft.core.jit import kernel
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS, BLOCKS
from loopcraft.worlds.voxel.core.noise import hash2, noise2
from loopcraft.worlds.voxel.features.canvas import KEEP, Dice, Template
from loopcraft.worlds.voxel.features.landmarks import LANDMARKS
from loopcraft.worlds.voxel.terrain import tables as t
from loopcraft.worlds.voxel.terrain.biome import Biome
from loopcraft.worlds.voxel.terrain.biomes import BIOMES
from loopcraft.worlds.voxel.terrain.columns import SEA_LEVEL, Columns, columns
from loopcraft.worlds.voxel.terrain.region import HEIGHT_BLOCKS

CELL = 32
_HALF = 9
"""Templates and ponds extend at most this far from a site's centre."""
_CLEAR = 3
"""No caves this close to a site."""
_BARE = 2
"""No trees this close to a landmark."""
_TRIES = 4
_MAX_RISE = 4
_MAX_DRAPED_RISE = 6
_MAX_BANK = 4

_AIR = BLOCK_IDS["air"]
_GIVES_WAY = tuple(not block.solid or block.name.endswith("_leaves") for block in BLOCKS)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A pond or a landmark, in the box that starts at (x0, z0) and has the size of `heights`."""

    x0: int
    z0: int
    heights: Int16[np.ndarray, "SX SZ"]
    """Height of each bare column's top block, or of the pond's floor."""
    water: Int16[np.ndarray, "SX SZ"] | None = None
    """Water level in and on the rim of a pond, `SEA_LEVEL` elsewhere."""
    template: Template | None = None
    base: int = 0
    """Height of the template's lowest layer, unless it drapes."""


@kernel
def _dig_pond(
    seed: np.uint64, x0: int, z0: int, radius: float, heights: Int16[np.ndarray, "S S"], water: np.ndarray
) -> bool:
    """Dig a pond and fill it to the lowest point of its rim; return False and dig nothing on unfit ground."""
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


def _kind(biome: Biome, draw: int) -> str:
    """Return the kind of site that a draw from 0 to 99 selects in a biome; "" for none."""
    for kind, weight in biome.sites.items():
        draw -= weight
        if draw < 0:
            return kind
    return ""


def _bare(seeds: UInt64[np.ndarray, " S"], x0: int, z0: int, size_x: int, size_z: int) -> np.ndarray | None:
    """Return the height of each bare column's top block in a box; None if any ground may overhang."""
    land = columns(seeds, x0, z0, size_x, size_z)
    return None if land.rough.any() else np.floor(land.height).astype(np.int16)


def _plan_pond(seeds: UInt64[np.ndarray, " S"], x: int, z: int, radius: float) -> Site | None:
    """Plan a pond around (x, z); None if the ground is unfit."""
    x0, z0, size = x - _HALF, z - _HALF, 2 * _HALF + 1
    heights = _bare(seeds, x0, z0, size, size)
    if heights is None:
        return None
    water = np.full((size, size), SEA_LEVEL, np.int16)
    if not _dig_pond(seeds[t.SEED_SITE], x0, z0, radius, heights, water):
        return None
    return Site(x0=x0, z0=z0, heights=heights, water=water)


def _plan_landmark(seeds: UInt64[np.ndarray, " S"], x: int, z: int, template: Template) -> Site | None:
    """Plan a landmark around (x, z); None if the ground under it is not dry and level enough."""
    size_x, size_z, _ = template.blocks.shape
    x0, z0 = x - size_x // 2, z - size_z // 2
    heights = _bare(seeds, x0, z0, size_x, size_z)
    if heights is None:
        return None
    low, high = int(heights.min()), int(heights.max())
    if low <= SEA_LEVEL or high - low > (_MAX_DRAPED_RISE if template.drape else _MAX_RISE):
        return None
    base = (low + high + 1) // 2
    return Site(x0=x0, z0=z0, heights=heights, template=template, base=base)


def _plan_cell(seeds: UInt64[np.ndarray, " S"], cx: int, cz: int) -> Site | None:
    """Plan a cell's site: the biome at its centre decides the kind, the first position that fits is used."""
    seed, low = seeds[t.SEED_SITE], _HALF + _CLEAR
    dice = Dice(int(hash2(seed, cx, cz)) << 32 | int(hash2(seed, cz, cx)))
    biome = BIOMES[columns(seeds, cx * CELL + CELL // 2, cz * CELL + CELL // 2, 1, 1).biome[0, 0]]
    kind = _kind(biome, dice.between(0, 99))
    if not kind:
        return None
    radius = dice.between(28, 75) / 10.0
    template = None if kind == "pond" else LANDMARKS[kind](dice, biome.name)
    for _ in range(_TRIES):
        x = cx * CELL + dice.between(low, CELL - low - 1)
        z = cz * CELL + dice.between(low, CELL - low - 1)
        site = _plan_pond(seeds, x, z, radius) if template is None else _plan_landmark(seeds, x, z, template)
        if site is not None:
            return site
    return None


def plan_sites(seeds: UInt64[np.ndarray, " S"], x0: int, z0: int, size_x: int, size_z: int) -> list[Site]:
    """Plan all sites in the cells that the box touches, in the order of the cells."""
    return [
        site
        for cx in range(x0 // CELL, (x0 + size_x - 1) // CELL + 1)
        for cz in range(z0 // CELL, (z0 + size_z - 1) // CELL + 1)
        if (site := _plan_cell(seeds, cx, cz)) is not None
    ]


def _overlap(start: int, size: int, x0: int, extent: int) -> tuple[slice, slice]:
    """Return the overlap of [start, start + size) and [x0, x0 + extent) as slices of the first and second."""
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
    """Write ponds into the columns of a box at (x0, z0), keep caves off sites and trees off landmarks."""
    size_x, size_z = water.shape
    for site in sites:
        sx, sz = site.heights.shape
        _, i = _overlap(site.x0 - _CLEAR, sx + 2 * _CLEAR, x0, size_x)
        _, k = _overlap(site.z0 - _CLEAR, sz + 2 * _CLEAR, z0, size_z)
        water[i, k] = -SEA_LEVEL
        if site.water is None:
            _, i = _overlap(site.x0 - _BARE, sx + 2 * _BARE, x0, size_x)
            _, k = _overlap(site.z0 - _BARE, sz + 2 * _BARE, z0, size_z)
            barred[i, k] = 1
        else:
            si, i = _overlap(site.x0, sx, x0, size_x)
            sk, k = _overlap(site.z0, sz, z0, size_z)
            pond = site.water[si, sk] > SEA_LEVEL
            land.height[i, k][pond] = site.heights[si, sk][pond] + 0.5
            water[i, k] = -site.water[si, sk]


@kernel
def _stamp(
    blocks: UInt8[np.ndarray, "X Z 96"],
    template: UInt8[np.ndarray, "TX TZ TY"],
    bases: Int16[np.ndarray, "TX TZ"],
    foundation: int,
    x0: int,
    z0: int,
) -> None:
    """Write a template with its corner at (x0, z0) of `blocks`, each column from the height in `bases`."""
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
        if site.template is not None:
            drape = site.template.drape
            bases = site.heights + np.int16(1) if drape else np.full_like(site.heights, site.base)
            _stamp(blocks, site.template.blocks, bases, site.template.foundation, site.x0 - x0, site.z0 - z0)
