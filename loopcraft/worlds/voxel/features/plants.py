"""Ground cover: tall grass, ferns, mushrooms, reeds, and flowers that grow in patches.

A plant stands on the open top of its column, on suitable ground; which one depends on the column, the hash
of its position and two slow noises.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int16, Int64, UInt8, UInt64

from loopcraft.core.jit import kernel
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS
from loopcraft.worlds.voxel.core.noise import hash2, noise2
from loopcraft.worlds.voxel.features.trees import DRY, SOIL
from loopcraft.worlds.voxel.terrain import tables as t
from loopcraft.worlds.voxel.terrain.biomes import BIOMES
from loopcraft.worlds.voxel.terrain.columns import Columns

SUITABLE: dict[str, tuple[str, ...]] = {
    "dead_bush": (*DRY, "terracotta", "podzol", "dirt", "grass", "snowy_grass", "snow", "sandstone"),
    "reeds": (*SOIL, *DRY, "clay", "gravel"),
}
"""Ground blocks that each plant grows on; plants not listed grow on `_LUSH`, soil without snow."""

_LUSH = ("grass", "podzol", "dirt", "mud")
_NUM_PLANTS = 6
_NUM_FLOWERS = 6
_PATCH_CELL = 19
_AIR, _WATER, _REEDS = BLOCK_IDS["air"], BLOCK_IDS["water"], BLOCK_IDS["reeds"]


class PlantArrays(NamedTuple):
    """The biomes' ground cover as arrays for the kernels."""

    plants: Int64[np.ndarray, "B 6"]
    chance: Float64[np.ndarray, "B 6"]
    flowers: Int64[np.ndarray, "B 6"]
    num_flowers: Int64[np.ndarray, " B"]
    flower_share: Float64[np.ndarray, " B"]
    suitable: np.ndarray
    """Whether plant block p grows on block b: bool (256, 256)."""


@cache
def plant_arrays() -> PlantArrays:
    """Return the ground cover of `BIOMES` as arrays."""
    plants = np.zeros((len(BIOMES), _NUM_PLANTS), np.int64)
    chance = np.zeros((len(BIOMES), _NUM_PLANTS))
    flowers = np.zeros((len(BIOMES), _NUM_FLOWERS), np.int64)
    suitable = np.zeros((256, 256), np.bool_)
    for row, biome in enumerate(BIOMES):
        plants[row, : len(biome.plants)] = [BLOCK_IDS[name] for name in biome.plants]
        chance[row, : len(biome.plants)] = list(biome.plants.values())
        flowers[row, : len(biome.flowers)] = [BLOCK_IDS[name] for name in biome.flowers]
        for name in (*biome.plants, *biome.flowers):
            suitable[BLOCK_IDS[name], [BLOCK_IDS[soil] for soil in SUITABLE.get(name, _LUSH)]] = True
    suitable[_REEDS, [BLOCK_IDS[soil] for soil in SUITABLE["reeds"]]] = True
    return PlantArrays(
        plants=plants,
        chance=chance,
        flowers=flowers,
        num_flowers=np.array([len(b.flowers) for b in BIOMES]),
        flower_share=np.array([b.flower_share for b in BIOMES]),
        suitable=suitable,
    )


@kernel
def _by_water(blocks: UInt8[np.ndarray, "X Z 96"], x: int, y: int, z: int) -> bool:
    for dx, dz in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        i, k = x + dx, z + dz
        if 0 <= i < blocks.shape[0] and 0 <= k < blocks.shape[1] and blocks[i, k, y] == _WATER:
            return True
    return False


@kernel
def _choose(
    seeds: UInt64[np.ndarray, " S"], plants: PlantArrays, biome: int, cell: int, x: int, z: int, soil: int
) -> int:
    """Return the plant of a column, or air."""
    h = hash2(seeds[t.SEED_PLANT], x, z)
    draw = float(h & 0xFFFF) / 65536.0
    meadow = noise2(seeds[t.SEED_MEADOW], x / 9.0, z / 9.0)
    flowers = plants.num_flowers[biome]
    if flowers > 0 and meadow > 0.36 and draw < plants.flower_share[biome] * (0.8 + meadow):
        # A patch has one species and a few plants of a second one.
        patch = hash2(seeds[t.SEED_MEADOW], x // _PATCH_CELL, z // _PATCH_CELL) + cell
        flower = plants.flowers[biome, (patch if (h >> 16) & 7 else patch >> 5) % flowers]
        return flower if plants.suitable[flower, soil] else _AIR
    density = max(0.15, 1.0 + 2.0 * noise2(seeds[t.SEED_PLANT], x / 14.0, z / 14.0))
    threshold = 0.0
    draw = float((h >> 15) & 0xFFFF) / 65536.0
    for j in range(_NUM_PLANTS):
        plant = plants.plants[biome, j]
        threshold += plants.chance[biome, j] * density
        if draw < threshold:
            return plant if plants.suitable[plant, soil] else _AIR
    return _AIR


@kernel
def sow(
    seeds: UInt64[np.ndarray, " S"],
    plants: PlantArrays,
    columns: Columns,
    margin: int,
    x0: int,
    z0: int,
    blocks: UInt8[np.ndarray, "X Z 96"],
    ground: Int16[np.ndarray, "X Z"],
) -> None:
    """Plant the volume that starts at (x0, z0); correct except in the outermost ring of columns."""
    for i in range(ground.shape[0]):
        for k in range(ground.shape[1]):
            y, x, z = ground[i, k], x0 + i, z0 + k
            if blocks[i, k, y + 1] != _AIR:
                continue
            soil = blocks[i, k, y]
            biome, cell = columns.biome[i + margin, k + margin], columns.cell[i + margin, k + margin]
            if plants.suitable[_REEDS, soil] and _by_water(blocks, i, y, k):
                g = hash2(seeds[t.SEED_PLANT], z, x)
                if g & 15 < 5:
                    blocks[i, k, y + 1] = _REEDS
                    if g & 32 and blocks[i, k, y + 2] == _AIR:
                        blocks[i, k, y + 2] = _REEDS
                    continue
            plant = _choose(seeds, plants, biome, cell, x, z, soil)
            if plant != _AIR:
                blocks[i, k, y + 1] = plant
