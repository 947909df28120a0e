"""Textures of masonry, glass, lamps, harvest, books and cloth."""

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
    bevel,
    cells,
    draws,
    mottle,
    over,
    paint,
    palette,
    scatter,
    stamp,
)
from loopcraft.worlds.voxel.textures.wood import PAINTERS as WOOD

MASONRY = "5a5a5a 6b6b6b 757575 7e7e7e 8a8a8a"
PUMPKIN = "9a5410 b4661a c97820 d88a2b e39c3e"
STRAW = "93761f ab8a2a bf9e36 cfb048"
BOOKS = "7c2f2a 2f5a3a 2c4a78 8a6a2c 5d3a68 9a8f7a"


def _cobble(rng: np.random.Generator) -> Texture:
    """Paint rounded stones, lit from the top left, in dark joints."""
    label = cells(scatter(rng, 4, 3), squash=2)
    tone = draws(rng, 12, 3)[label]
    relief = bevel(label)
    index = np.where(relief < 0, mottle(rng, (3, 2), 2, 2), 2 + tone + relief)
    return paint(index, palette("505050 626262 777777 838383 8f8f8f 9d9d9d"))


def _masonry(rng: np.random.Generator) -> Texture:
    """Paint two courses of long dressed stones, lit along the top and left, shaded opposite."""
    row, col = ROW % 8, (COL + ROW // 8 * 8) % SIZE
    index = mottle(rng, (2, 6, 2), 2, 4) + 1
    index = np.where((row == 0) | (col == 0), 4, index)
    index = np.where((row == 6) | (col == 14), 1, index)
    return paint(np.where((row == 7) | (col == 15), 0, index), palette(MASONRY))


def _mossy(base: Painter, rng: np.random.Generator) -> Texture:
    """Paint clumps of moss over a third of a wall."""
    growth = mottle(rng, (2, 1), 3, 3)
    shade = mottle(rng, (2, 3, 3, 1), 2, 2)
    return over(base(rng), paint(np.where(growth == 1, shade, CLEAR), palette("45592f 52693b 5f7845 6b8450")))


def _chiseled(_: np.random.Generator) -> Texture:
    """Paint nested square frames, each lit from the top left."""
    lit = np.array([4, 2, 1, 3, 4, 0, 3, 4])[EDGE]
    shaded = np.array([0, 2, 4, 3, 0, 4, 3, 1])[EDGE]
    return paint(np.where(ROW + COL < SIZE, lit, shaded), palette(MASONRY))


def _bricks(rng: np.random.Generator) -> Texture:
    """Paint red bricks in running bond, each in its own shade."""
    course = ROW // 4
    col = COL + course % 2 * 4
    tone = draws(rng, 8, 3)[2 * course + col // 8 % 2]
    grain = mottle(rng, (1, 4, 1), 1, 3) - 1
    face = paint(tone + 1 + grain, palette("7d4435 894d3e 945646 9d5f4e a66858"))
    mortar = paint(mottle(rng, (1, 2), 1, 2), palette("958d85 a29a92"))
    return np.where(((ROW % 4 == 3) | (col % 8 == 7))[..., None], mortar, face)


def _glass(_: np.random.Generator) -> Texture:
    """Paint a pale pane with slanting glints in a white frame."""
    glint = np.isin(ROW + COL, (9, 10, 13, 21)) & (EDGE > 2)
    pane = np.where(EDGE == 1, 0, np.where(glint, 2, 1))
    return paint(np.where(EDGE == 0, 3, pane), palette("9fbccb b8d5e2 cfe5ee e9f3f6"))


def _glowstone(rng: np.random.Generator) -> Texture:
    """Paint bright crystals in a brown setting."""
    label = cells(scatter(rng, 4, 3))
    tone = draws(rng, 12, 3)[label]
    relief = bevel(label)
    index = np.where(relief < 0, tone // 2, 2 + tone + relief)
    return paint(index, palette("a06f36 b68241 d6a24f e6b95f f1cd7b f9e2a2"))


def _pumpkin_side(rng: np.random.Generator) -> Texture:
    """Paint three broad ribs, darker at the very top and bottom."""
    rib = np.array([0, 2, 3, 3, 2, 1, 2, 3, 4, 3, 2, 1, 2, 3, 3, 2])[COL]
    ends = (EDGE == 0) & ((ROW == 0) | (ROW == 15))
    return paint(np.clip(rib + mottle(rng, (1, 8, 1), 4, 1) - 1, 0, 4) - ends, palette(PUMPKIN))


def _pumpkin_top(rng: np.random.Generator) -> Texture:
    """Paint ribs that run to a green stalk."""
    furrow = (ROW == COL) | (ROW + COL == 15) | np.isin(ACROSS, (7, 8))
    body = np.where(furrow, 1, 3) + mottle(rng, (1, 6, 1), 2, 2) - 1 - (EDGE == 0)
    stalk = np.full((SIZE, SIZE), CLEAR)
    stamp(stalk, ".11./2210/2210/.00.", 6, 6)
    return over(paint(body, palette(PUMPKIN)), paint(stalk, palette("56561f 74762e 919342")))


def _hay_side(rng: np.random.Generator) -> Texture:
    """Paint upright straw under two red cords."""
    straw = paint(mottle(rng, (2, 4, 4, 2), 4, 1), palette(STRAW))
    cord = np.where(ROW % 9 == 3, 1 + COL % 2, np.where(ROW % 9 == 4, COL % 2, CLEAR))
    return over(straw, paint(cord, palette("6b2413 86301b a03d24")))


def _hay_top(rng: np.random.Generator) -> Texture:
    """Paint cut straw in nested rings."""
    return paint(1 + EDGE % 2 + mottle(rng, (2, 5, 2), 1, 2) - 1, palette(STRAW))


def _bookshelf(rng: np.random.Generator) -> Texture:
    """Paint two shelves of books, two texels wide and of different heights, in a case of planks."""
    shelf, slot = ROW // 8, (COL - 1) // 2 % 8
    row = ROW % 8
    low = draws(rng, 16, 2).reshape(2, 8)[shelf, slot]
    binding = (draws(rng, 16, 2) + 2 * np.arange(16)).reshape(2, 8)[shelf, slot] % 6
    inside = (row > 0) & (row < 7) & (COL > 0) & (COL < 15)
    case = over(WOOD["planks_oak"](rng), paint(np.where(inside, 0, CLEAR), palette("2c2012")))
    books = paint(np.where(inside & (row > 1 + low), binding, CLEAR), palette(BOOKS))
    band = inside & (row == 4) & (slot % 3 == 0)
    return over(case, np.where(band[..., None], paint(np.zeros_like(ROW), palette("cdb878")), books))


def _wool(colours: str, rng: np.random.Generator) -> Texture:
    """Paint a loose basket weave."""
    weave = np.where((ROW // 2 + COL // 2) % 2 == 0, ROW % 2, COL % 2)
    return paint(weave + mottle(rng, (1, 4, 1), 2, 2), palette(colours))


PAINTERS: Mapping[str, Painter] = {
    "cobblestone": _cobble,
    "mossy_cobblestone": partial(_mossy, _cobble),
    "stone_bricks": _masonry,
    "mossy_stone_bricks": partial(_mossy, _masonry),
    "chiseled_stone": _chiseled,
    "bricks": _bricks,
    "glass_frame": _glass,
    "glowstone": _glowstone,
    "pumpkin_side": _pumpkin_side,
    "pumpkin_top": _pumpkin_top,
    "hay_side": _hay_side,
    "hay_top": _hay_top,
    "bookshelf_side": _bookshelf,
    "wool_red": partial(_wool, "86201c 93261f 9f2c25 aa342c"),
    "wool_blue": partial(_wool, "2e368a 353e97 3d46a3 464fad"),
    "wool_yellow": partial(_wool, "d7a320 e2ad26 ebb730 f3c140"),
    "wool_white": partial(_wool, "d2d6d7 dadedf e2e5e6 eaeced"),
}
