"""The 3-D stage: rock, caves, soil and standing water of a box of columns.

Displacement and cave noises are evaluated on a lattice of 4 x 4 x 4 blocks aligned with the world's
coordinates and interpolated, as in the game.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int16, UInt8, UInt64

from loopcraft.core.jit import inlined, kernel
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS
from loopcraft.worlds.voxel.core.noise import hash2, hash3, noise2, noise3
from loopcraft.worlds.voxel.terrain import tables as t
from loopcraft.worlds.voxel.terrain.columns import LATTICE, SEA_LEVEL, Columns
from loopcraft.worlds.voxel.terrain.region import HEIGHT_BLOCKS

MARGIN = 3
"""Columns needed around the box, as slopes are measured over this distance."""

_LAYERS = 23
_CAVE_LOW = 30
_CAVE_DEPTH = 18.0
_CAVE_SLAB = 5.0
"""Rock between a cave and the lowest ground nearby, so that caves open into hillsides, not underfoot."""
_CAVE_WIDTH = 0.23
_ORE_FLOOR = 20

_AIR, _BEDROCK = BLOCK_IDS["air"], BLOCK_IDS["bedrock"]
_GRASS, _SNOWY, _SNOW = (BLOCK_IDS[n] for n in ("grass", "snowy_grass", "snow"))
_WATER, _ICE, _CLAY, _GRAVEL = (BLOCK_IDS[n] for n in ("water", "ice", "clay", "gravel"))
_COAL, _IRON, _GOLD = (BLOCK_IDS[n] for n in ("coal_ore", "iron_ore", "gold_ore"))
_REDSTONE, _DIAMOND = BLOCK_IDS["redstone_ore"], BLOCK_IDS["diamond_ore"]


@kernel
def _lattice3(
    seeds: UInt64[np.ndarray, " S"], columns: Columns, x0: int, z0: int, nx: int, nz: int
) -> Float32[np.ndarray, "NX NZ 23 3"]:
    """Evaluate displacement and the two cave noises, only where some column of the box may need them."""
    size_x, size_z = columns.height.shape
    lowest = np.full((nx, nz), 1e9)
    highest = np.full((nx, nz), -1e9)
    rough = np.zeros((nx, nz))
    base_x, base_z = x0 // LATTICE, z0 // LATTICE
    for i in range(size_x):
        for k in range(size_z):
            h, r = columns.height[i, k], columns.rough[i, k]
            a, b = (x0 + i) // LATTICE - base_x, (z0 + k) // LATTICE - base_z
            for j in range(4):
                p, q = a + j // 2, b + j % 2
                lowest[p, q] = min(lowest[p, q], h - r)
                highest[p, q] = max(highest[p, q], h + r)
                rough[p, q] = max(rough[p, q], r)
    out = np.zeros((nx, nz, _LAYERS, 3), np.float32)
    for i in range(nx):
        for k in range(nz):
            x, z = float((base_x + i) * LATTICE), float((base_z + k) * LATTICE)
            low = int(max(lowest[i, k] - _CAVE_DEPTH, _CAVE_LOW)) // LATTICE
            high = min(int(highest[i, k]) // LATTICE + 2, _LAYERS)
            solid = int(lowest[i, k]) // LATTICE
            for layer in range(low, high):
                y = float(layer * LATTICE)
                node = out[i, k, layer]
                if rough[i, k] > 0.0 and layer >= solid:
                    s = seeds[t.SEED_DENSITY]
                    node[0] = 1.3 * noise3(s, x / 21.0, y / 13.0, z / 21.0)
                    node[0] += 0.5 * noise3(s, x / 9.0 + 0.5, y / 8.0, z / 9.0)
                node[1] = noise3(seeds[t.SEED_CAVE_A], x / 33.0, y / 15.0, z / 33.0)
                node[2] = noise3(seeds[t.SEED_CAVE_B], x / 33.0, y / 15.0, z / 33.0)
    return out


@kernel
def _ore(seeds: UInt64[np.ndarray, " S"], x: int, y: int, z: int, rock: int) -> int:
    """Return the ore at a voxel of rock, or the rock itself: veins are cells of 2 x 2 x 2 with gaps."""
    h: int = hash3(seeds[t.SEED_ORE], x >> 1, y >> 1, z >> 1)
    if h & 1023 > 17 or hash3(seeds[t.SEED_ORE], x, y + 512, z) & 7 < 3:
        return rock
    kind = (h >> 10) & 31
    if kind < 16:
        return _COAL
    if kind < 26:
        return _IRON
    return _GOLD if kind < 29 else (_REDSTONE if kind < 31 else _DIAMOND)


@kernel
def _surface(
    seeds: UInt64[np.ndarray, " S"], biomes: t.BiomeArrays, biome: int, x: int, y: int, z: int, water: int
) -> int:
    """Return the block on top of a column."""
    h = hash2(seeds[t.SEED_SOIL], x, z)
    top: int = biomes.soil[biome, 0]
    patch: int = biomes.soil[biome, 2]
    bed: int = biomes.soil[biome, 3]
    soil = noise2(seeds[t.SEED_SOIL], x / 13.0, z / 13.0) + float(h & 255) / 1280.0 - 0.1
    if y < water:
        if soil > 0.35:
            return _CLAY
        return _GRAVEL if soil < -0.42 else bed
    if y <= water + 1 and (y == water or soil > 0.0) and soil > -0.35:
        return bed
    snow = biomes.snow_line[biome] + 8.0 * soil + 0.5 * float((h >> 8) & 1)
    if y > snow:
        return _SNOW if y > snow + 6.0 or top != _GRASS else _SNOWY
    if soil < -0.78 and top == _GRASS:
        return _GRAVEL
    # `soil` is roughly normal with deviation 0.36: a share of 0.5 needs a threshold of 0, 0.05 one of 0.6.
    share = biomes.patch_share[biome]
    if share > 0.0 and soil > 0.66 - 1.32 * share:
        return patch
    return top


@inlined
def _slope(height: Float64[np.ndarray, "X Z"], i: int, k: int) -> tuple[float, float]:
    """Return the lowest ground within MARGIN blocks along the axes, and how far the highest is above it."""
    low = high = height[i, k]
    for d in (-MARGIN, MARGIN):
        low = min(low, height[i + d, k], height[i, k + d])
        high = max(high, height[i + d, k], height[i, k + d])
    return low, high - low


@inlined
def _column_noise(lattice: np.ndarray, a: int, b: int, u: float, v: float, out: np.ndarray) -> None:
    for layer in range(_LAYERS):
        for f in range(3):
            low = lattice[a, b, layer, f] + u * (lattice[a + 1, b, layer, f] - lattice[a, b, layer, f])
            high = lattice[a, b + 1, layer, f]
            high = high + u * (lattice[a + 1, b + 1, layer, f] - high)
            out[layer, f] = low + v * (high - low)


@kernel
def fill(
    seeds: UInt64[np.ndarray, " S"],
    biomes: t.BiomeArrays,
    strata: UInt8[np.ndarray, "R H"],
    columns: Columns,
    water: Int16[np.ndarray, "X Z"],
    x0: int,
    z0: int,
    blocks: UInt8[np.ndarray, "X2 Z2 96"],
    ground: Int16[np.ndarray, "X2 Z2"],
) -> None:
    """Write the voxels of the box inside `columns`' margin and the height of each column's top solid block.

    `columns` and `water` start at (x0, z0) and extend MARGIN beyond the box on each side. `water` is the
    level of standing water, negated where caves must stay away.
    """
    nx = (x0 + columns.height.shape[0] - 1) // LATTICE - x0 // LATTICE + 2
    nz = (z0 + columns.height.shape[1] - 1) // LATTICE - z0 // LATTICE + 2
    lattice = _lattice3(seeds, columns, x0, z0, nx, nz)
    profile = np.empty((_LAYERS, 3))
    for i in range(blocks.shape[0]):
        for k in range(blocks.shape[1]):
            x, z = x0 + MARGIN + i, z0 + MARGIN + k
            a, b = x // LATTICE - x0 // LATTICE, z // LATTICE - z0 // LATTICE
            u, v = float(x % LATTICE) / LATTICE, float(z % LATTICE) / LATTICE
            _column_noise(lattice, a, b, u, v, profile)
            ground[i, k] = _fill_column(
                seeds, biomes, strata, columns, water, i + MARGIN, k + MARGIN, x, z, profile, blocks[i, k]
            )


@inlined
def _at(profile: np.ndarray, y: int, f: int) -> float:
    """Return field f of a column's noises at height y."""
    layer, w = y // LATTICE, float(y % LATTICE) / LATTICE
    value: float = profile[layer, f] + w * (profile[layer + 1, f] - profile[layer, f])
    return value


@kernel
def _fill_column(
    seeds: UInt64[np.ndarray, " S"],
    biomes: t.BiomeArrays,
    strata: UInt8[np.ndarray, "R H"],
    columns: Columns,
    water: Int16[np.ndarray, "X Z"],
    i: int,
    k: int,
    x: int,
    z: int,
    profile: np.ndarray,
    out: UInt8[np.ndarray, " 96"],
) -> int:
    biome, height, rough = columns.biome[i, k], columns.height[i, k], columns.rough[i, k]
    level = abs(water[i, k])
    low, rise = _slope(columns.height, i, k)
    roof = 6.0 - 3.0 * max(0.0, rise - 3.0) if water[i, k] > 0 else 99.0
    country = biomes.rock[columns.country[i, k]]
    rock, ore = strata[country], country == 0
    h = hash2(seeds[t.SEED_SOIL], z, x)
    depth_of_soil = biomes.filler_depth[biome] + (h & 1) - ((h >> 1) & 1)
    if rise > biomes.bare_rise[biome] + 0.25 * float((h >> 5) & 7):
        depth_of_soil = -1
    shift = int(columns.woods[i, k] * 1.5) + ((h >> 2) & 7) // 7
    out[:] = _AIR
    ground, depth = 0, 0
    top = min(int(np.floor(height + rough)), HEIGHT_BLOCKS - 12)
    if top < level:
        out[top + 1 : level + 1] = _WATER
        if biomes.snow_line[biome] < 60.0:
            out[level] = _ICE
    for y in range(top, 0, -1):
        if rough > 0.0 and y > SEA_LEVEL + 1 and y > height - rough:
            displacement = rough * min(max(_at(profile, y, 0), -1.0), 1.0)
            if y > height + displacement:
                depth = 0
                continue
        depth += 1
        may_open = y > low + 0.5 and y > SEA_LEVEL + 1
        if y > _CAVE_LOW and roof <= height - y < _CAVE_DEPTH and (may_open or y < low - _CAVE_SLAB):
            a, b = _at(profile, y, 1), _at(profile, y, 2)
            if a * a + b * b < _CAVE_WIDTH * _CAVE_WIDTH:
                continue
        ground = max(ground, y)
        if depth == 1 and (depth_of_soil >= 0 or y <= level):
            out[y] = _surface(seeds, biomes, biome, x, y, z, level)
        elif depth <= depth_of_soil + 1:
            out[y] = biomes.soil[biome, 1] if y >= level - 3 or level > SEA_LEVEL else rock[y + shift]
        elif ore and y > _ORE_FLOOR:
            out[y] = _ore(seeds, x, y, z, rock[y + shift])
        else:
            out[y] = rock[y + shift]
    out[0] = _BEDROCK
    return ground
