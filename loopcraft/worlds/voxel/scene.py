"""Everything that the renderer reads while it draws one episode, as flat arrays in one tuple for the kernels."""

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from loopcraft.worlds.voxel.blocks import BLOCKS, TEXTURE_NAMES, Tint, rule_array
from loopcraft.worlds.voxel.fields import fill_octant_fields
from loopcraft.worlds.voxel.lanes import pack
from loopcraft.worlds.voxel.light import fill_corner_light
from loopcraft.worlds.voxel.region import Region
from loopcraft.worlds.voxel.textures import draw_textures, mip_chain

LIGHT, BLOCKS_PLANE = 8, 12
"""Planes of `Scene.voxels`: octant fields 0 to 7, light 8 to 11 (see light.py), block ids 12."""
SHAPE, VARIED, TEXTURE, TINT = 0, 1, 2, 10
"""Columns of `Scene.rules`; TEXTURE and TINT have one for each face: -x, +x, -y, +y, -z, +z, two plant planes."""


TEXELS = 341
"""Texels of one texture in all its mip levels."""
OPAQUE = 1 << 24
"""A texel's bit above its colour that says it is not a hole."""


class Scene(NamedTuple):
    """One region ready to be drawn; all volumes are padded by one cell.

    Few arrays, each for one purpose: kernels take them apart once, as numba counts references whenever an array is
    taken out of a tuple.
    """

    voxels: UInt8[np.ndarray, "13 X Z Y"]
    tints: Int32[np.ndarray, "4 X Z"]
    """Packed colours to multiply with, by `Tint`."""
    rules: UInt8[np.ndarray, "B 18"]
    texels: Int32[np.ndarray, " N*341"]
    """Texture after texture, the texels of its mip levels 16, 8, 4, 2, 1: packed colours and the opaque bit."""
    x0: int
    """World coordinates of the padded volume's corner."""
    z0: int


@cache
def block_rules() -> UInt8[np.ndarray, "B 18"]:
    """The block table as the kernels read it."""
    rules = np.zeros((len(BLOCKS), 18), np.uint8)
    rules[:, SHAPE] = rule_array("shape")
    rules[:, VARIED] = rule_array("varied")
    position = {name: index for index, name in enumerate(TEXTURE_NAMES)}
    for block_id, block in enumerate(BLOCKS):
        if block.top:
            top, side, bottom = (position[name or block.top] for name in (block.top, block.side, block.bottom))
            rules[block_id, TEXTURE : TEXTURE + 8] = (side, side, bottom, top, side, side, top, top)
            rules[block_id, TINT : TINT + 8] = block.tint
            if block.tint_top_only:
                rules[block_id, [TINT + face for face in (0, 1, 2, 4, 5)]] = Tint.NONE
    return rules


@cache
def block_texels() -> Int32[np.ndarray, " N*341"]:
    """Every texture's mip levels in a row."""
    flat = np.concatenate([mip.reshape(len(mip), -1, 4) for mip in mip_chain(draw_textures())], axis=1)
    opaque = (flat[..., 3] >= 128).astype(np.int32) * OPAQUE
    return (pack(flat[..., :3]) | opaque).reshape(-1)


def build_scene(region: Region) -> Scene:
    """Prepare a region for drawing: pad, octant fields, light, tints."""
    padded = np.pad(region.blocks, 1)
    rules = block_rules()
    voxels = np.empty((13, *padded.shape), np.uint8)
    fill_octant_fields(padded, voxels[:LIGHT])
    fill_corner_light(padded, rules[:, SHAPE], rule_array("light").astype(np.uint8), voxels[LIGHT:BLOCKS_PLANE])
    voxels[BLOCKS_PLANE] = padded
    white = np.full_like(region.grass_tint, 255)
    tints = np.stack([white, region.grass_tint, region.foliage_tint, region.water_tint])
    return Scene(
        voxels=voxels,
        tints=pack(np.pad(tints, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")),
        rules=rules,
        texels=block_texels(),
        x0=region.x0 - 1,
        z0=region.z0 - 1,
    )
