"""Everything the renderer reads while it draws an episode, as flat arrays in one tuple for the kernels."""

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from loopcraft.core.errors import UserError
from loopcraft.worlds.voxel.core.blocks import BLOCKS, TEXTURE_NAMES, Shape, Tint, rule_array
from loopcraft.worlds.voxel.core.packed_color import pack
from loopcraft.worlds.voxel.render.light import fill_corner_light
from loopcraft.worlds.voxel.render.octant_fields import HIT, fill_octant_fields
from loopcraft.worlds.voxel.terrain.region import Region
from loopcraft.worlds.voxel.textures import draw_textures, mip_chain

LIGHT, BLOCKS_PLANE = 8, 12
"""Planes of `Scene.voxels`: octant fields 0 to 7, light 8 to 11 (see light.py), block ids 12."""
NUM_PLANES = 13
MAX_SIDE_BLOCKS = 2046
"""Limit of a packed place (see ray_packet.py)."""
SHAPE, VARIED, TEXTURE, TINT = 0, 1, 2, 10
"""Columns of `Scene.rules`; TEXTURE and TINT have one per face (see ray_packet.py)."""
TEXELS = 341
"""Texels of one texture in all its mip levels."""
FIRST_CUTOUT, FIRST_CROSS, FIRST_LIQUID = (
    np.int32(HIT + sum(block.shape < shape for block in BLOCKS))
    for shape in (Shape.CUTOUT, Shape.CROSS, Shape.LIQUID)
)
"""First byte in the octant fields (see `block_ranks`) of a block with each of these shapes."""
OPAQUE = 1 << 24
"""Bit above a texel's colour, set unless the texel is a hole."""

TEXEL_MASK, TINT_SHIFT, VARIED_SHIFT = np.int32(0xFFFFF), np.int32(20), np.int32(22)
"""Fields of `Scene.faces`: start of the face's texture, its tint, whether the position turns the texture."""


class Scene(NamedTuple):
    """One region ready to be drawn; all volumes are padded by one cell.

    The arrays are few, and kernels unpack them once: numba counts references whenever an array is taken out
    of a tuple.
    """

    voxels: UInt8[np.ndarray, "13 X Z Y"]
    tints: Int32[np.ndarray, "4 X Z"]
    """Packed colours to multiply by, indexed by `Tint`."""
    rules: UInt8[np.ndarray, "B 18"]
    faces: Int32[np.ndarray, " B*8"]
    """Data of each block's faces for the shader: see `block_faces`."""
    textures: Int32[np.ndarray, " B*8"]
    """Start of each face's texture for the tracer, by rank (see `block_ranks`), then face."""
    texels: Int32[np.ndarray, " N*341"]
    """Packed colours and opaque bits of mip levels 16, 8, 4, 2 and 1, texture after texture."""
    x0: int
    """World coordinates of the padded volume's corner."""
    z0: int


@cache
def block_rules() -> UInt8[np.ndarray, "B 18"]:
    """Return the block table as the kernels read it."""
    rules = np.zeros((len(BLOCKS), 18), np.uint8)
    rules[:, SHAPE] = rule_array("shape")
    rules[:, VARIED] = rule_array("varied")
    position = {name: index for index, name in enumerate(TEXTURE_NAMES)}
    for block_id, block in enumerate(BLOCKS):
        if block.top:
            names = (block.top, block.side, block.bottom)
            top, side, bottom = (position[name or block.top] for name in names)
            rules[block_id, TEXTURE : TEXTURE + 8] = (side, side, bottom, top, side, side, top, top)
            rules[block_id, TINT : TINT + 8] = block.tint
            if block.tint_top_only:
                rules[block_id, [TINT + face for face in (0, 1, 2, 4, 5)]] = Tint.NONE
    return rules


@cache
def block_faces() -> Int32[np.ndarray, " B*8"]:
    """Return the shader's data for each block and face, packed into one integer."""
    rules = block_rules().astype(np.int32)
    varied = np.zeros((len(BLOCKS), 8), np.int32)
    varied[:, 2:4] = rules[:, [VARIED]]
    texels = rules[:, TEXTURE : TEXTURE + 8] * TEXELS
    return (texels | rules[:, TINT : TINT + 8] << TINT_SHIFT | varied << VARIED_SHIFT).reshape(-1)


@cache
def block_texels() -> Int32[np.ndarray, " N*341"]:
    """Return the mip levels of all textures as one flat array."""
    flat = np.concatenate([mip.reshape(len(mip), -1, 4) for mip in mip_chain(draw_textures())], axis=1)
    opaque = (flat[..., 3] >= 128).astype(np.int32) * OPAQUE
    return (pack(flat[..., :3]) | opaque).reshape(-1)


@cache
def block_ranks() -> tuple[UInt8[np.ndarray, " B"], UInt8[np.ndarray, " B"]]:
    """Return the block ids ordered by shape, and each block's rank in that order, as in the octant fields.

    The tracer thus knows a block's shape from its byte.
    """
    order = np.argsort(rule_array("shape"), kind="stable").astype(np.uint8)
    return order, np.argsort(order).astype(np.uint8)


def build_scene(region: Region) -> Scene:
    """Prepare a region for drawing: padding, octant fields, light, tints.

    Raises `UserError` if the region is too large for the kernels' 32-bit places and indices.
    """
    size_x, size_z, size_y = (side + 2 for side in region.blocks.shape)
    if max(size_x, size_z) > MAX_SIDE_BLOCKS or NUM_PLANES * size_x * size_z * size_y >= 2**31:
        raise UserError(
            f"the walk and its view span {size_x} x {size_z} blocks, more than voxel-v1 can draw in one "
            f"piece (about 1290 x 1290): play fewer frames at a time"
        )
    padded = np.pad(region.blocks, 1)
    rules = block_rules()
    voxels = np.empty((NUM_PLANES, *padded.shape), np.uint8)
    order, ranks = block_ranks()
    fill_octant_fields(ranks[padded], voxels[:LIGHT])
    glow = rule_array("light").astype(np.uint8)
    fill_corner_light(padded, rules[:, SHAPE], glow, voxels[LIGHT:BLOCKS_PLANE])
    voxels[BLOCKS_PLANE] = padded
    white = np.full_like(region.grass_tint, 255)
    tints = np.stack([white, region.grass_tint, region.foliage_tint, region.water_tint])
    return Scene(
        voxels=voxels,
        tints=pack(np.pad(tints, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")),
        rules=rules,
        faces=block_faces(),
        textures=np.ravel(block_faces().reshape(-1, 8)[order] & TEXEL_MASK),
        texels=block_texels(),
        x0=region.x0 - 1,
        z0=region.z0 - 1,
    )
