"""The voxel world from above, for maps: north up, blocks by their top texture, hills shaded."""

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from loopcraft.worlds.base import GroundPicture
from loopcraft.worlds.voxel.core.blocks import BLOCKS, TEXTURE_NAMES, Shape
from loopcraft.worlds.voxel.terrain.region import Region
from loopcraft.worlds.voxel.textures.atlas import draw_textures

PIXELS_PER_BLOCK = 8
_SHADE_PER_BLOCK = 0.09
_STEEPEST_SHADE = 0.3


def topdown(region: Region) -> UInt8[np.ndarray, "Zp Xp 3"]:
    """Draw the region from above, `PIXELS_PER_BLOCK` pixels per block; small plants are left out."""
    seen = np.array([block.shape not in (Shape.AIR, Shape.CROSS) for block in BLOCKS])[region.blocks]
    heights = region.blocks.shape[2] - 1 - seen[:, :, ::-1].argmax(axis=2)
    top = np.take_along_axis(region.blocks, heights[:, :, None], axis=2)[:, :, 0]
    tiles = _tiles()[top] * (_tints(region, top) * _shades(heights)[:, :, None])[:, :, None, None]
    size_x, size_z = top.shape
    picture = tiles.transpose(1, 2, 0, 3, 4).reshape(size_z * PIXELS_PER_BLOCK, size_x * PIXELS_PER_BLOCK, 3)
    image: UInt8[np.ndarray, "Zp Xp 3"] = np.rint(picture).clip(0, 255).astype(np.uint8)
    return image


def picture_of(region: Region) -> GroundPicture:
    """Return the region from above, with its position."""
    return GroundPicture(
        image=topdown(region), west=region.x0, north=region.z0, blocks_per_pixel=1 / PIXELS_PER_BLOCK
    )


def _tiles() -> Float64[np.ndarray, "blocks p p 3"]:
    """Return every block's top texture at reduced size; holes get the mean of the opaque texels."""
    textures = draw_textures()[[TEXTURE_NAMES.index(block.top) if block.top else 0 for block in BLOCKS]]
    opaque = textures[..., 3:] > 0
    shown = textures[..., :3] * opaque
    mean = shown.sum(axis=(1, 2), keepdims=True) / np.maximum(opaque.sum(axis=(1, 2), keepdims=True), 1)
    step = textures.shape[1] // PIXELS_PER_BLOCK
    cells = np.where(opaque, shown, mean).reshape(-1, PIXELS_PER_BLOCK, step, PIXELS_PER_BLOCK, step, 3)
    tiles: Float64[np.ndarray, "blocks p p 3"] = cells.mean(axis=(2, 4))
    return tiles


def _tints(region: Region, top: UInt8[np.ndarray, "X Z"]) -> Float64[np.ndarray, "X Z 3"]:
    """Return the colour that each column's top texture is multiplied by."""
    white = np.full_like(region.grass_tint, 255)
    by_tint = np.stack([white, region.grass_tint, region.foliage_tint, region.water_tint])
    kind = np.array([block.tint for block in BLOCKS])[top][None, :, :, None]
    tints: Float64[np.ndarray, "X Z 3"] = np.take_along_axis(by_tint, kind, axis=0)[0] / 255
    return tints


def _shades(heights: Int64[np.ndarray, "X Z"]) -> Float64[np.ndarray, "X Z"]:
    """Return each column's brightness: above 1 where the ground rises towards the south-east, else below."""
    north_west = np.pad(heights, ((1, 0), (1, 0)), mode="edge")[:-1, :-1]
    shade: Float64[np.ndarray, "X Z"] = (heights - north_west) * _SHADE_PER_BLOCK
    return 1 + shade.clip(-_STEEPEST_SHADE, _STEEPEST_SHADE)
