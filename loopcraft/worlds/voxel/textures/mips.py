"""Mip levels of the textures for distant blocks."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from loopcraft.worlds.voxel.textures.paint import SIZE


def mip_chain(textures: UInt8[np.ndarray, "N 16 16 4"]) -> tuple[UInt8[np.ndarray, "N S S 4"], ...]:
    """Return the textures at 16, 8, 4, 2 and 1 texels per side, with alpha 0 or 255 at every size.

    A texel's colour is the average sRGB value of the opaque texels that it covers; each size keeps the share
    of opaque texels as closely as its number of texels allows. Transparent texels take the colour around
    them, so that filtering draws no dark fringes. Every texture must have an opaque texel.
    """
    return tuple(_mip(textures, SIZE >> level) for level in range(5))


def _mip(textures: UInt8[np.ndarray, "N 16 16 4"], size: int) -> UInt8[np.ndarray, "N S S 4"]:
    """Make one level of the chain, always from the full size so that rounding does not accumulate."""
    step = SIZE // size
    opaque = (textures[..., 3:] > 0).astype(np.int64)
    blocks = np.concatenate([textures[..., :3] * opaque, opaque], axis=3)
    sums = blocks.reshape(len(textures), size, step, size, step, 4).sum(axis=(2, 4))  # (N, S, S, 4)
    count = sums[..., 3]
    is_opaque = _most_opaque(count, step * step)
    return np.concatenate([_colours(sums), np.where(is_opaque, 255, 0)[..., None]], axis=3).astype(np.uint8)


def _most_opaque(count: Int64[np.ndarray, "N S S"], full: int) -> Bool[np.ndarray, "N S S"]:
    """Choose the texels that stay opaque: the fullest, as many as cover the same share of the texture.

    Ties go to the texel with the fuller surroundings, then to the lowest, which keeps stems whole.
    """
    num, size, _ = count.shape
    share = (2 * count.sum(axis=(1, 2)) + full) // (2 * full)
    upside_down = [key[:, ::-1].reshape(num, -1) for key in (-_around(count, "edge"), -count)]
    order = np.lexsort(upside_down, axis=-1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(size * size)[None], axis=1)
    return np.asarray((rank < share[:, None]).reshape(num, size, size)[:, ::-1])


def _colours(sums: Int64[np.ndarray, "N S S 4"]) -> Int64[np.ndarray, "N S S 3"]:
    """Average colours from sums of R, G, B and opaque texels; empty texels take their neighbours' colour."""
    while (empty := sums[..., 3] == 0).any():
        around = np.stack([_around(sums[..., channel], "wrap") for channel in range(4)], axis=3)
        sums = np.where(empty[..., None], around, sums)
    weight = sums[..., 3:]
    return np.asarray((2 * sums[..., :3] + weight) // (2 * weight))


def _around(field: Int64[np.ndarray, "N S S"], border: Literal["edge", "wrap"]) -> Int64[np.ndarray, "N S S"]:
    """Sum over each texel's 3 x 3 neighbourhood; beyond the border the edge or the texture repeats."""
    _, height, width = field.shape
    padded = np.pad(field, ((0, 0), (1, 1), (1, 1)), mode=border)
    shifts = [padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.asarray(np.sum(shifts, axis=0))
