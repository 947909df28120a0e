"""The biome table and the world seed as arguments for the kernels."""

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt64

from loopcraft.core.seeding import seed_sequence
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS
from loopcraft.worlds.voxel.terrain.biomes import BIOMES

# Rows of `world_seeds`: one stream of hashes per purpose.
(
    SEED_CLIMATE,
    SEED_CELL,
    SEED_WARP_X,
    SEED_WARP_Z,
    SEED_HILLS,
    SEED_ROLL,
    SEED_CLIFF,
    SEED_RAMP,
    SEED_ROUGH,
    SEED_DETAIL,
    SEED_TONE,
    SEED_DITHER,
    SEED_DENSITY,
    SEED_CAVE_A,
    SEED_CAVE_B,
    SEED_SOIL,
    SEED_ORE,
    SEED_WOODS,
    SEED_TREE,
    SEED_PLANT,
    SEED_MEADOW,
    SEED_SITE,
    SEED_STRATA,
) = range(23)


def world_seeds(world_seed: int) -> UInt64[np.ndarray, " 23"]:
    """Return one 64-bit seed per purpose, derived from the world's seed."""
    return seed_sequence(world_seed, "voxel-v1 terrain").generate_state(23, np.uint64)


class BiomeArrays(NamedTuple):
    """`BIOMES` as columns, one row per biome."""

    climate: Float64[np.ndarray, "B 2"]
    relief: Float64[np.ndarray, "B 6"]
    """base, hills, roll, plateau, rough, terrace."""
    soil: UInt8[np.ndarray, "B 4"]
    """top, filler, patch and bed blocks."""
    rock: Int64[np.ndarray, " B"]
    """Row of the strata table."""
    filler_depth: Int64[np.ndarray, " B"]
    bare_rise: Float64[np.ndarray, " B"]
    patch_share: Float64[np.ndarray, " B"]
    snow_line: Float64[np.ndarray, " B"]
    tints: Float64[np.ndarray, "B 9"]
    """RGB of grass, foliage and water."""


ROCKS = ("stone", "terracotta", "sandstone")


@cache
def biome_arrays() -> BiomeArrays:
    """Return the biome table for the kernels."""
    return BiomeArrays(
        climate=np.array([b.climate for b in BIOMES]),
        relief=np.array([(b.base, b.hills, b.roll, b.plateau, b.rough, b.terrace) for b in BIOMES]),
        soil=np.array([[BLOCK_IDS[s] for s in (b.top, b.filler, b.patch, b.bed)] for b in BIOMES], np.uint8),
        rock=np.array([ROCKS.index(b.rock) for b in BIOMES]),
        filler_depth=np.array([b.filler_depth for b in BIOMES]),
        bare_rise=np.array([b.bare_rise for b in BIOMES]),
        patch_share=np.array([b.patch_share for b in BIOMES]),
        snow_line=np.array([b.snow_line for b in BIOMES]),
        tints=np.array([(*b.grass, *b.foliage, *b.water) for b in BIOMES], np.float64),
    )


@dataclass(frozen=True, kw_only=True)
class Bed:
    """One kind of stratum: its block, thickness range and weight."""

    block: str
    thickness: tuple[int, int]
    weight: int


STRATA: dict[str, tuple[Bed, ...]] = {
    "stone": (
        Bed(block="stone", thickness=(2, 5), weight=8),
        Bed(block="andesite", thickness=(1, 3), weight=3),
        Bed(block="granite", thickness=(1, 3), weight=3),
        Bed(block="diorite", thickness=(1, 2), weight=3),
        Bed(block="gravel", thickness=(1, 2), weight=1),
    ),
    "terracotta": (
        Bed(block="terracotta", thickness=(1, 4), weight=6),
        Bed(block="terracotta_orange", thickness=(1, 3), weight=5),
        Bed(block="terracotta_yellow", thickness=(1, 1), weight=3),
        Bed(block="terracotta_white", thickness=(1, 2), weight=3),
        Bed(block="terracotta_brown", thickness=(1, 2), weight=3),
    ),
    "sandstone": (
        Bed(block="sandstone", thickness=(4, 9), weight=6),
        Bed(block="sand", thickness=(1, 1), weight=1),
        Bed(block="terracotta_yellow", thickness=(1, 1), weight=2),
        Bed(block="stone", thickness=(1, 2), weight=1),
    ),
}
"""The beds of each kind of rock, stacked in a random order."""

STRATA_HEIGHT = 128


def strata(world_seed: int) -> UInt8[np.ndarray, "R 128"]:
    """Return the block at each height of each kind of rock, for one world."""
    words = seed_sequence(world_seed, "voxel-v1 strata").generate_state(len(ROCKS) * STRATA_HEIGHT * 2)
    draws = iter(words.tolist())
    table = np.empty((len(ROCKS), STRATA_HEIGHT), np.uint8)
    for row, rock in enumerate(ROCKS):
        choices = [bed for bed in STRATA[rock] for _ in range(bed.weight)]
        y = 0
        while y < STRATA_HEIGHT:
            bed = choices[next(draws) % len(choices)]
            low, high = bed.thickness
            thickness = low + next(draws) % (high - low + 1)
            table[row, y : y + thickness] = BLOCK_IDS[bed.block]
            y += thickness
    return table
