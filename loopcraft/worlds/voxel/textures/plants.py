"""Textures of flowers, grasses, fungi and cacti: cut-outs rooted in the bottom row, and full blocks."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from loopcraft.worlds.voxel.textures.paint import (
    ACROSS,
    CLEAR,
    COL,
    EDGE,
    ROW,
    SIZE,
    Painter,
    Texture,
    draws,
    mottle,
    mottled,
    over,
    paint,
    palette,
    sprite,
    stamp,
)
from loopcraft.worlds.voxel.textures.sprites import GREEN, GREYS, SPRITES


def _sprite(name: str, _: np.random.Generator) -> Texture:
    colours, rows = SPRITES[name]
    return sprite(rows, {**GREEN, **GREYS, **colours})


def _blade(texture: Texture, colours: str, root: int, height: int, lean: int) -> None:
    """Draw a blade of grass in place, lighter and more bent towards its tip, by `lean` texels in all."""
    shades = palette(colours)
    for up in range(height):
        col = root + lean * up * up // (height * height)
        texture[SIZE - 1 - up, col] = (*shades[up * len(shades) // height], 255)


def _tall_grass(_: np.random.Generator) -> Texture:
    """Paint a tuft of bending blades of many heights, dark at the root."""
    texture = np.zeros((SIZE, SIZE, 4), np.uint8)
    tuft = ((3, 9, -3), (13, 8, 2), (5, 13, -2), (9, 12, 4), (8, 15, 0), (6, 10, -4), (11, 9, 3), (1, 6, -1))
    for root, height, lean in tuft:
        _blade(texture, "7e7e7e 999999 b2b2b2 cacaca", root, height, lean)
    for root, height, lean in ((4, 11, 1), (10, 14, 1), (7, 8, -2), (12, 11, -1), (14, 7, 1), (2, 7, 1)):
        _blade(texture, "919191 acacac c6c6c6 e0e0e0", root, height, lean)
    return texture


def _fern(_: np.random.Generator) -> Texture:
    """Paint five arching fronds with leaflets on every other texel."""
    texture = np.zeros((SIZE, SIZE, 4), np.uint8)
    for root, height, lean in ((6, 7, -6), (9, 7, 6), (6, 11, -5), (9, 12, 5), (8, 15, -1)):
        for side in (-1, 1):
            for up in range(3, height - 1, 2):
                col = root + side + lean * up * up // (height * height)
                texture[SIZE - 1 - up, col] = (*palette("b0b0b0 c4c4c4 dadada")[up * 3 // height], 255)
        _blade(texture, "808080 949494 a6a6a6 d2d2d2", root, height, lean)
    return texture


def _wheat(rng: np.random.Generator) -> Texture:
    """Paint ripe ears on five straws."""
    texture = np.zeros((SIZE, SIZE, 4), np.uint8)
    dark, gold, pale = palette("b08a30 d6b548 eed27a")
    for root, height in zip(range(1, SIZE, 3), 12 + draws(rng, 5, 4), strict=False):
        _blade(texture, "7f7a2e 9a8836 b89c42", root, int(height), 0)
        texture[SIZE - 6, root + 1] = texture[SIZE - 3, root - 1] = (*dark, 255)
        for up in range(int(height) - 6, int(height)):
            grain, side = (pale, -1) if up % 2 else (dark, 1)
            texture[SIZE - 1 - up, root] = (*gold, 255)
            texture[SIZE - 1 - up, root + side] = (*grain, 255)
    return texture


def _reeds(rng: np.random.Generator) -> Texture:
    """Paint three jointed canes with narrow leaves, in grey to be tinted."""
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
    """Paint upright ribs with pale spines."""
    rib = np.array([0, 2, 3, 2, 1] * 3 + [0])[COL]
    index = rib + mottle(rng, (1, 8, 1), 3, 1) - 1
    spines = np.where((COL % 5 == 2) & ((ROW + COL // 5 * 2) % 5 == 1), 0, CLEAR)
    skin = paint(np.clip(index, 0, 4), palette("375c22 477229 568734 659a40 76aa4e"))
    return over(skin, paint(spines, palette("dfe3b4")))


def _cactus_top(rng: np.random.Generator) -> Texture:
    """Paint the ribs from above, around a woolly crown."""
    rib = np.where(ACROSS % 5 == 0, 1, 2) + mottle(rng, (1, 8, 1), 2, 2) - 1
    index = np.where(EDGE == 0, 0, np.where(EDGE > 5, 4 - (EDGE == 6), rib))
    return paint(index, palette("375c22 477229 568734 659a40 a3bf78"))


def _spotted(rng: np.random.Generator) -> Texture:
    """Paint the skin of a red giant mushroom with round pale spots."""
    skin = paint(mottle(rng, (2, 6, 2), 3, 3), palette("ab221e bb2a25 c8342d"))
    spots = np.full((SIZE, SIZE), CLEAR)
    for row, col in ((1, 2), (3, 11), (9, 6), (11, 14)):
        stamp(spots, ".22/2221/2221/.10", row, col)
    return over(skin, paint(spots, palette("cdb9ac e2d6ca f3ece3")))


def _pores(rng: np.random.Generator) -> Texture:
    """Paint the pale spongy underside of a giant mushroom."""
    pore = ((ROW + COL) % 4 == 0) & (ROW % 2 == 0)
    return paint(np.where(pore, 0, 1 + mottle(rng, (3, 4), 2, 2)), palette("b39766 c9ae7d d6bd8e"))


PAINTERS: Mapping[str, Painter] = {
    **{name: partial(_sprite, name) for name in SPRITES},
    "tall_grass": _tall_grass,
    "fern": _fern,
    "wheat": _wheat,
    "reeds": _reeds,
    "cactus_side": _cactus_side,
    "cactus_top": _cactus_top,
    "mushroom_cap_red": _spotted,
    "mushroom_cap_brown": mottled("8a6549 987256 a57e61", (2, 5, 2), 2, 3),
    "mushroom_pore": _pores,
    "mushroom_stem": mottled("bdb5a8 ccc5b9 d9d3c8", (2, 5, 3), 6, 1),
}
