"""Flowers, grasses, fungi and cacti: cut-outs rooted in the bottom row, and plants that fill a block."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from loopcraft.worlds.voxel.textures.paint import (
    CLEAR,
    COL,
    ROW,
    SIZE,
    Painter,
    Texture,
    draws,
    mottle,
    over,
    paint,
    palette,
    sprite,
    stamp,
)
from loopcraft.worlds.voxel.textures.sprites import GREEN, GREYS, SPRITES


def _sprite(name: str, _: np.random.Generator) -> Texture:
    """The sprite of that name."""
    colours, rows = SPRITES[name]
    return sprite(rows, {**GREEN, **GREYS, **colours})


def _blade(texture: Texture, colours: str, root: int, height: int, lean: int) -> None:
    """One blade of grass in place: lighter and more bent towards its tip, `lean` texels in all."""
    shades = palette(colours)
    for up in range(height):
        col = root + lean * up * up // (height * height)
        if 0 <= col < SIZE:
            texture[SIZE - 1 - up, col] = (*shades[up * len(shades) // height], 255)


def _tall_grass(rng: np.random.Generator) -> Texture:
    """A tuft of bending blades of many heights, dark at the root."""
    texture = np.zeros((SIZE, SIZE, 4), np.uint8)
    leans = (-3, 2, -1, 4, 0, -4, 3, 1, -2, 2, -3, 1, 4)
    roots = (2, 13, 5, 9, 8, 6, 11, 4, 10, 1, 14, 7, 12)
    heights = (9, 8, 13, 12, 15, 10, 9, 7, 14, 6, 7, 11, 6)
    for root, height, lean, dark in zip(roots, heights, leans, draws(rng, 13, 2), strict=True):
        ramp = "7e7e7e 989898 b0b0b0 c8c8c8" if dark else "8c8c8c aaaaaa c6c6c6 e0e0e0"
        _blade(texture, ramp, root, height, lean)
    return texture


def _wheat(rng: np.random.Generator) -> Texture:
    """A stand of ripe ears on eight straws."""
    texture = np.zeros((SIZE, SIZE, 4), np.uint8)
    for root, height in zip(range(1, SIZE, 2), 10 + draws(rng, 8, 4), strict=True):
        _blade(texture, "8a7a2c a8923a c0a544", root, int(height), 0)
        for up in range(int(height) - 5, int(height) + 1):
            row = SIZE - 1 - up
            texture[row, root] = (*bytes.fromhex("d8b84a"), 255)
            if up % 2:
                texture[row, root - 1] = (*bytes.fromhex("eed476"), 255)
            elif root < SIZE - 1:
                texture[row, root + 1] = (*bytes.fromhex("b08c30"), 255)
    return texture


def _reeds(rng: np.random.Generator) -> Texture:
    """Three jointed canes with narrow leaves, drawn in grey to be tinted."""
    index = np.full((SIZE, SIZE), CLEAR)
    for left, joint in zip((2, 7, 12), draws(rng, 3, 5), strict=True):
        ring = (ROW + joint) % 5 == 0
        cane = np.where(ring, 0, 3 - (COL - left))
        index = np.where((left <= COL) & (left + 1 >= COL), cane, index)
        first = int(-joint) % 5
        stamp(index, "...4/..3/.2", first, left + 1)
        stamp(index, "4/.3/..", first + 5, left - 2)
    return paint(index, palette(" ".join(GREYS.values())))


def _cactus_side(rng: np.random.Generator) -> Texture:
    """Upright ribs with pale spines."""
    rib = np.array([0, 2, 3, 2, 1] * 3 + [0])[COL]
    index = rib + mottle(rng, (1, 8, 1), 3, 1) - 1
    spines = np.where((COL % 5 == 2) & ((ROW + COL // 5 * 2) % 5 == 1), 0, CLEAR)
    skin = paint(np.clip(index, 0, 4), palette("375c22 477229 568734 659a40 76aa4e"))
    return over(skin, paint(spines, palette("dfe3b4")))


def _cactus_top(rng: np.random.Generator) -> Texture:
    """The ribs from above, round a woolly crown."""
    edge = np.minimum(np.minimum(ROW, COL), np.minimum(15 - ROW, 15 - COL))
    along = np.where(np.abs(2 * ROW - 15) > np.abs(2 * COL - 15), COL, ROW)
    rib = np.where(along % 5 == 0, 1, 3) + mottle(rng, (1, 8, 1), 2, 2) - 1
    index = np.where(edge == 0, 0, np.where(edge == 7, 4, rib))
    return paint(index, palette("375c22 477229 568734 659a40 a3bf78"))


def _spotted(rng: np.random.Generator) -> Texture:
    """The skin of a red giant mushroom with round pale spots."""
    skin = paint(mottle(rng, (2, 6, 2), 3, 3), palette("ab221e bb2a25 c8342d"))
    spots = np.full((SIZE, SIZE), CLEAR)
    for row, col in ((1, 2), (3, 11), (9, 6), (11, 14)):
        stamp(spots, ".22/2221/2221/.10", row, col)
    return over(skin, paint(spots, palette("cdb9ac e2d6ca f3ece3")))


def _pores(rng: np.random.Generator) -> Texture:
    """The pale spongy underside of a giant mushroom."""
    pore = ((ROW + COL) % 4 == 0) & (ROW % 2 == 0)
    return paint(np.where(pore, 0, 1 + mottle(rng, (3, 4), 2, 2)), palette("b39766 c9ae7d d6bd8e"))


def _stem(rng: np.random.Generator) -> Texture:
    """Pale upright fibres."""
    return paint(mottle(rng, (2, 5, 3), 6, 1), palette("bdb5a8 ccc5b9 d9d3c8"))


def _brown_cap(rng: np.random.Generator) -> Texture:
    """Suede in three browns."""
    return paint(mottle(rng, (2, 5, 2), 2, 3), palette("8a6549 987256 a57e61"))


PAINTERS: Mapping[str, Painter] = {
    **{name: partial(_sprite, name) for name in SPRITES},
    "tall_grass": _tall_grass,
    "wheat": _wheat,
    "reeds": _reeds,
    "cactus_side": _cactus_side,
    "cactus_top": _cactus_top,
    "mushroom_cap_red": _spotted,
    "mushroom_cap_brown": _brown_cap,
    "mushroom_pore": _pores,
    "mushroom_stem": _stem,
}
