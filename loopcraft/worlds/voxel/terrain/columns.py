"""The 2-D stage: the properties of each column of the world, before any voxel exists.

Biomes are the cells of a jittered, domain-warped Voronoi diagram; heights and tints blend across their
borders, where a hash dithers the biome itself. Slow noises are evaluated on a lattice of 4 x 4 blocks aligned
with the world's coordinates and interpolated. Everything is a pure function of (seed, x, z).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt64

from loopcraft.core.jit import inlined, kernel
from loopcraft.worlds.voxel.core.noise import hash2, noise2
from loopcraft.worlds.voxel.terrain import tables as t

LATTICE = 4
SEA_LEVEL = 40
"""The highest block of standing water outside ponds."""

_CELL = 76.0
_BLEND = 14.0
"""Width in blocks over which cells mix; with `_JITTER`, all cells this near are among the 3 x 3."""
_JITTER = 0.5
_DITHER = 5.0
_WARP = 22.0

# Fields of the lattice.
_WARP_X, _WARP_Z, _HILLS, _ROLL, _CLIFF, _RAMP, _ROUGH, _TONE, _WOODS = range(9)


class Columns(NamedTuple):
    """The columns x0 <= x < x0 + X, z0 <= z < z0 + Z."""

    height: Float64[np.ndarray, "X Z"]
    """Height of the ground: a block at y is solid where y <= height (plus 3-D displacement)."""
    rough: Float64[np.ndarray, "X Z"]
    """Largest 3-D displacement in blocks, often exactly 0."""
    biome: UInt8[np.ndarray, "X Z"]
    """The biome, dithered near borders."""
    country: UInt8[np.ndarray, "X Z"]
    """The biome without dithering, which decides the rock below."""
    cell: Int64[np.ndarray, "X Z"]
    """Hash of the biome cell, so that cells of the same biome differ in tint, woods and flowers."""
    woods: Float64[np.ndarray, "X Z"]
    """Density of woods and bushes, 1 on average."""
    tints: UInt8[np.ndarray, "X Z 9"]
    """RGB of grass, foliage and water."""


@kernel
def _lattice(seeds: UInt64[np.ndarray, " S"], x0: int, z0: int, nx: int, nz: int) -> np.ndarray:
    """Evaluate the slow noises at world points (4 (x0 + i), 4 (z0 + k))."""
    out = np.empty((nx, nz, 9))
    for i in range(nx):
        for k in range(nz):
            x, z = float((x0 + i) * LATTICE), float((z0 + k) * LATTICE)
            node = out[i, k]
            s, d = seeds[t.SEED_WARP_X], seeds[t.SEED_WARP_Z]
            node[_WARP_X] = _WARP * (noise2(s, x / 61.0, z / 61.0) + 0.35 * noise2(s, x / 17.0, z / 17.0))
            node[_WARP_Z] = _WARP * (noise2(d, x / 61.0, z / 61.0) + 0.35 * noise2(d, x / 17.0, z / 17.0))
            s = seeds[t.SEED_HILLS]
            node[_HILLS] = noise2(s, x / 83.0 + 0.3, z / 83.0) + 0.45 * noise2(s, x / 41.0, z / 41.0 + 0.6)
            s = seeds[t.SEED_ROLL]
            node[_ROLL] = noise2(s, x / 27.0, z / 27.0 + 0.5)
            s = seeds[t.SEED_CLIFF]
            node[_CLIFF] = noise2(s, x / 67.0, z / 67.0) + 0.3 * noise2(s, x / 23.0 + 0.2, z / 23.0)
            node[_RAMP] = noise2(seeds[t.SEED_RAMP], x / 37.0, z / 37.0)
            node[_ROUGH] = noise2(seeds[t.SEED_ROUGH], x / 53.0, z / 53.0)
            node[_TONE] = noise2(seeds[t.SEED_TONE], x / 29.0, z / 29.0)
            node[_WOODS] = noise2(seeds[t.SEED_WOODS], x / 31.0, z / 31.0)
    return out


@kernel
def _cells(
    seeds: UInt64[np.ndarray, " S"], climate: Float64[np.ndarray, "B 2"], c0: int, d0: int, nc: int, nd: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres (x, z) and the (biome, hash) of the Voronoi cells from (c0, d0) on."""
    centre = np.empty((nc, nd, 2))
    kind = np.empty((nc, nd, 2), np.int64)
    allowed = np.empty(climate.shape[0], np.int64)
    for i in range(nc):
        for k in range(nd):
            h = hash2(seeds[t.SEED_CELL], c0 + i, d0 + k)
            x = (c0 + i + 0.5 + _JITTER * (float(h & 1023) / 1024.0 - 0.5)) * _CELL
            z = (d0 + k + 0.5 + _JITTER * (float((h >> 10) & 1023) / 1024.0 - 0.5)) * _CELL
            temperature = 0.5 + 0.7 * noise2(seeds[t.SEED_CLIMATE], x / 410.0 + 0.5, z / 410.0 + 0.5)
            temperature = min(max(temperature, 0.0), 1.0)
            count = 0
            for b in range(climate.shape[0]):
                if climate[b, 0] <= temperature <= climate[b, 1]:
                    allowed[count] = b
                    count += 1
            centre[i, k, 0], centre[i, k, 1] = x, z
            h = hash2(seeds[t.SEED_CELL], d0 + k, -(c0 + i))
            kind[i, k, 0] = allowed[h % count]
            kind[i, k, 1] = h // 16
    return centre, kind


@inlined
def _smooth(u: float) -> float:
    u = min(max(u, 0.0), 1.0)
    return u * u * (3.0 - 2.0 * u)


@inlined
def _ground(relief: np.ndarray, field: np.ndarray, detail: float) -> tuple[float, float]:
    """Return a column's height and roughness from its blended relief and its interpolated noises."""
    base, hills, roll, plateau, rough, terrace = relief
    height = base + hills * field[_HILLS] + roll * field[_ROLL] + 0.9 * detail
    # Plateaus: the edge is a wall where the ramp noise is high and a walkable slope elsewhere.
    sharp = 1.1 + 26.0 * _smooth(3.0 * field[_RAMP] - 0.35)
    height += plateau * _smooth((field[_CLIFF] - 0.22) * sharp + 0.5)
    step = np.floor(height / 4.0)
    part = height / 4.0 - step
    stepped = 4.0 * (step + _smooth((part - 0.5) * 3.5 + 0.5))
    height += terrace * (stepped - height)
    displacement = rough * _smooth(3.0 * field[_ROUGH] - 0.5) * _smooth((height - SEA_LEVEL - 2.0) / 4.0)
    if height < SEA_LEVEL + 0.5:  # shallow lakes with gentle shores
        height = max(SEA_LEVEL + 0.5 - 0.6 * (SEA_LEVEL + 0.5 - height), SEA_LEVEL - 3.5)
    if height > 66.0:
        height = 66.0 + 0.5 * (height - 66.0)
    return min(height, 76.0), displacement


@inlined
def _interpolate(lattice: np.ndarray, a: int, b: int, u: float, v: float, field: np.ndarray) -> None:
    for f in range(len(field)):
        low = lattice[a, b, f] + u * (lattice[a + 1, b, f] - lattice[a, b, f])
        high = lattice[a, b + 1, f] + u * (lattice[a + 1, b + 1, f] - lattice[a, b + 1, f])
        field[f] = low + v * (high - low)


@inlined
def _measure(centre: np.ndarray, x: float, z: float, distance: np.ndarray) -> int:
    """Compute the distances to the centres of 3 x 3 cells; return the index of the nearest."""
    nearest = 0
    for j in range(9):
        dx, dz = x - centre[j // 3, j % 3, 0], z - centre[j // 3, j % 3, 1]
        distance[j] = np.sqrt(dx * dx + dz * dz)
        if distance[j] < distance[nearest]:
            nearest = j
    return nearest


@inlined
def _blend(
    biomes: t.BiomeArrays,
    kind: np.ndarray,
    distance: np.ndarray,
    nearest: float,
    relief: np.ndarray,
    tint: np.ndarray,
) -> None:
    """Average a column's relief and tints over the cells at most `_BLEND` farther than the nearest."""
    relief[:] = 0.0
    tint[:] = 0.0
    total = 0.0
    for j in range(9):
        w = max(0.0, 1.0 - (distance[j] - nearest) / _BLEND)
        if w == 0.0:
            continue
        biome, cell = kind[j // 3, j % 3]
        w *= w
        total += w
        for f in range(6):
            relief[f] += w * biomes.relief[biome, f]
        # Cells differ in elevation, hilliness and tone.
        swell = w * biomes.relief[biome, 1]
        relief[0] += (float(cell & 15) - 7.5) * 0.04 * swell
        relief[1] += (float((cell >> 20) & 15) - 7.5) * 0.07 * swell
        for f in range(9):
            shift = 1.0 + (float((cell >> (4 + f)) & 7) - 3.5) * 0.016
            tint[f] += w * shift * biomes.tints[biome, f]
    for f in range(6):
        relief[f] /= total
    for f in range(9):
        tint[f] /= total


@inlined
def _dither(distance: np.ndarray, h: int) -> int:
    """Return the index of the cell that is nearest once each is moved away by up to `_DITHER` blocks."""
    index, best = 0, 1e9
    for j in range(9):
        dithered = distance[j] + _DITHER * float((h >> (3 * j)) & 7) / 7.0
        if dithered < best:
            index, best = j, dithered
    return index


@kernel
def _fill(
    seeds: UInt64[np.ndarray, " S"],
    biomes: t.BiomeArrays,
    x0: int,
    z0: int,
    lattice: np.ndarray,
    centre: np.ndarray,
    kind: np.ndarray,
    c0: int,
    d0: int,
    out: Columns,
) -> None:
    field, relief, tint, distance = np.empty(9), np.empty(6), np.empty(9), np.empty(9)
    for i in range(out.height.shape[0]):
        for k in range(out.height.shape[1]):
            x, z = x0 + i, z0 + k
            u, v = float(x % LATTICE) / LATTICE, float(z % LATTICE) / LATTICE
            _interpolate(lattice, x // LATTICE - x0 // LATTICE, z // LATTICE - z0 // LATTICE, u, v, field)
            px, pz = x + field[_WARP_X], z + field[_WARP_Z]
            c, d = int(np.floor(px / _CELL)) - c0 - 1, int(np.floor(pz / _CELL)) - d0 - 1
            cells = kind[c : c + 3, d : d + 3]
            index = _measure(centre[c : c + 3, d : d + 3], px, pz, distance)
            out.country[i, k] = cells[index // 3, index % 3, 0]
            _blend(biomes, cells, distance, distance[index], relief, tint)
            index = _dither(distance, hash2(seeds[t.SEED_DITHER], x, z))
            out.biome[i, k], out.cell[i, k] = cells[index // 3, index % 3]
            for f in range(9):
                out.tints[i, k, f] = min(max(tint[f] * (1.0 + 0.10 * field[_TONE]), 0.0), 255.0)
            detail = noise2(seeds[t.SEED_DETAIL], x / 11.0, z / 11.0)
            out.height[i, k], out.rough[i, k] = _ground(relief, field, detail)
            out.woods[i, k] = max(0.0, 1.0 + 2.2 * field[_WOODS])


def columns(seeds: UInt64[np.ndarray, " S"], x0: int, z0: int, size_x: int, size_z: int) -> Columns:
    """Compute the columns of a box, without ponds and landmarks."""
    biomes = t.biome_arrays()
    reach = int(4 * _WARP)
    c0, d0 = int((x0 - reach) // _CELL) - 1, int((z0 - reach) // _CELL) - 1
    nc = int((x0 + size_x + reach) // _CELL) + 2 - c0
    nd = int((z0 + size_z + reach) // _CELL) + 2 - d0
    centre, kind = _cells(seeds, biomes.climate, c0, d0, nc, nd)
    nx = (x0 + size_x - 1) // LATTICE - x0 // LATTICE + 2
    nz = (z0 + size_z - 1) // LATTICE - z0 // LATTICE + 2
    lattice = _lattice(seeds, x0 // LATTICE, z0 // LATTICE, nx, nz)
    shape = (size_x, size_z)
    out = Columns(
        height=np.empty(shape),
        rough=np.empty(shape),
        biome=np.empty(shape, np.uint8),
        country=np.empty(shape, np.uint8),
        cell=np.empty(shape, np.int64),
        woods=np.empty(shape),
        tints=np.empty((*shape, 9), np.uint8),
    )
    _fill(seeds, biomes, x0, z0, lattice, centre, kind, c0, d0, out)
    return out
