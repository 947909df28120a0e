"""The whole pipeline from a world seed and a box to its voxels, a pure function of the coordinates."""

import numpy as np

from loopcraft.worlds.voxel.features.plants import plant_arrays, sow
from loopcraft.worlds.voxel.features.sites import build, dig, plan_sites
from loopcraft.worlds.voxel.features.trees import TREE_REACH, tree_arrays
from loopcraft.worlds.voxel.features.woods import grow
from loopcraft.worlds.voxel.spawn import open_ground
from loopcraft.worlds.voxel.terrain import tables
from loopcraft.worlds.voxel.terrain.columns import SEA_LEVEL, columns
from loopcraft.worlds.voxel.terrain.region import HEIGHT_BLOCKS, Region
from loopcraft.worlds.voxel.terrain.volume import MARGIN, fill

_SPAWN_BOX = 64


def generate_region(world_seed: int, *, x0: int, z0: int, size_x: int, size_z: int) -> Region:
    """Generate a box of a world; any larger box that contains it holds the same voxels and tints."""
    seeds = tables.world_seeds(world_seed)
    # Trees reach into the box from outside, and the slopes under them are measured farther out still.
    pad, around = TREE_REACH, TREE_REACH + MARGIN
    corner = x0 - around, z0 - around
    land = columns(seeds, *corner, size_x + 2 * around, size_z + 2 * around)
    water = np.full(land.height.shape, SEA_LEVEL, np.int16)
    barred = np.zeros(land.height.shape, np.uint8)
    sites = plan_sites(seeds, *corner, *land.height.shape)
    dig(sites, land, water, barred, *corner)
    shape = (size_x + 2 * pad, size_z + 2 * pad)
    blocks = np.empty((*shape, HEIGHT_BLOCKS), np.uint8)
    ground = np.empty(shape, np.int16)
    fill(seeds, tables.biome_arrays(), tables.strata(world_seed), land, water, *corner, blocks, ground)
    grow(seeds, tree_arrays(), land, MARGIN, x0 - pad, z0 - pad, blocks, ground, barred[MARGIN:, MARGIN:])
    build(sites, blocks, x0 - pad, z0 - pad)
    sow(seeds, plant_arrays(), land, MARGIN, x0 - pad, z0 - pad, blocks, ground)
    tints = land.tints[around:-around, around:-around]
    return Region(
        x0=x0,
        z0=z0,
        blocks=np.ascontiguousarray(blocks[pad:-pad, pad:-pad]),
        grass_tint=np.ascontiguousarray(tints[..., 0:3]),
        foliage_tint=np.ascontiguousarray(tints[..., 3:6]),
        water_tint=np.ascontiguousarray(tints[..., 6:9]),
    )


def find_spawn(world_seed: int) -> tuple[int, int, int]:
    """Find an open, dry, level place near the origin from which one can walk far; return the feet (x, y, z).

    Boxes of 64 x 64 blocks are searched in rings around the origin until one has such a place.
    """
    ring = 0
    while True:
        for a in range(-ring, ring + 1):
            for b in range(-ring, ring + 1):
                if max(abs(a), abs(b)) != ring:
                    continue
                x0, z0 = a * _SPAWN_BOX - _SPAWN_BOX // 2, b * _SPAWN_BOX - _SPAWN_BOX // 2
                region = generate_region(world_seed, x0=x0, z0=z0, size_x=_SPAWN_BOX, size_z=_SPAWN_BOX)
                x, y, z = open_ground(region.blocks)
                if y > 0:
                    return x0 + x, y, z0 + z
        ring += 1
