"""Masonry, harvest, cloth and lamps."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from loopcraft.worlds.voxel.textures.paint import (
    CLEAR,
    COL,
    ROW,
    SIZE,
    Indices,
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

COBBLE = "565656 686868 7a7a7a 8a8a8a 9a9a9a"
MASONRY = "565656 696969 757575 7f7f7f 8b8b8b"
MOSS = "41582c 50693a 5f7a44 6f8a50"
EDGE = np.minimum(np.minimum(ROW, COL), np.minimum(15 - ROW, 15 - COL))
"""Distance of a texel from the border of the texture."""


def _cobble(rng: np.random.Generator) -> Texture:
    """Rounded stones lit from the top left in dark joints."""
    label = cells(scatter(rng, 4, 3), squash=2)
    tone = draws(rng, 12, 2)[label]
    relief = bevel(label)
    return paint(np.where(relief < 0, mottle(rng, (2, 3), 2, 2), 2 + tone + relief), palette(COBBLE))


def _courses(height: int, width: int) -> Indices:
    """Labels of bricks in running bond; the joint is the last row and column of each."""
    course = ROW // height
    shift = (course % 2) * (width // 2)
    return course * 8 + (COL + shift) % SIZE // width


def _masonry(rng: np.random.Generator) -> Texture:
    """Two courses of dressed stone with a lit top edge."""
    label = _courses(8, 16)
    end = (COL + (ROW // 8) * 8) % 16
    face = mottle(rng, (2, 6, 3), 2, 3) + 1
    index = np.where(ROW % 8 == 0, 4, face)
    index = np.where(end == 0, np.maximum(index, 3), index)
    index = np.where((ROW % 8 == 6) | (end == 14), np.minimum(index, 1), index)
    return paint(np.where((ROW % 8 == 7) | (end == 15), 0, index + 0 * label), palette(MASONRY))


def _mossy(base: Painter, rng: np.random.Generator) -> Texture:
    """Moss in clumps over two fifths of a wall."""
    growth = mottle(rng, (3, 2), 3, 3)
    shade = mottle(rng, (2, 3, 3, 1), 1, 2)
    return over(base(rng), paint(np.where(growth == 1, shade, CLEAR), palette(MOSS)))


def _chiseled(rng: np.random.Generator) -> Texture:
    """A square spiral carved in a framed stone."""
    carved = np.array([4, 1, 3, 2, 0, 4, 3, 1])[EDGE]
    flip = (ROW + COL > 15) & np.isin(EDGE, (0, 1, 4, 5))
    return paint(np.where(flip, 4 - carved, carved), palette(MASONRY))


def _bricks(rng: np.random.Generator) -> Texture:
    """Red bricks in running bond, each of its own shade."""
    label = _courses(4, 8)
    tone = draws(rng, 32, 3)[label]
    joint = (ROW % 4 == 3) | ((COL + (ROW // 4 % 2) * 4) % 8 == 7)
    grain = mottle(rng, (1, 4, 1), 1, 3) - 1
    face = paint(tone + 1 + grain, palette("7a4133 874a3b 945444 9f5e4d a96a58"))
    mortar = paint(mottle(rng, (1, 2), 1, 2), palette("9a928a a8a098"))
    return np.where(joint[..., None], mortar, face)


def _glass(rng: np.random.Generator) -> Texture:
    """A pale pane with slanting glints in a white frame."""
    glint = np.isin((ROW + COL), (9, 10, 13)) & (EDGE > 1)
    pane = np.where(glint, 2, 1)
    return paint(np.where(EDGE == 0, 3, np.where(EDGE == 1, 0, pane)), palette("9fbccb b8d5e2 d3e8f0 e9f3f6"))


def _glowstone(rng: np.random.Generator) -> Texture:
    """Bright crystals in a brown setting."""
    label = cells(scatter(rng, 4, 4))
    relief = bevel(label)
    tone = draws(rng, 16, 3)[label]
    return paint(
        np.where(relief < 0, tone // 2, 2 + tone + relief),
        palette("9a6a34 b3803f d6a24f e9bd62 f6d684 fdebae"),
    )


RIB = np.array([0, 2, 3, 2, 1, 2, 3, 2, 0, 2, 3, 2, 1, 2, 3, 2])
"""Shades across the ribs of a pumpkin."""


def _pumpkin_side(rng: np.random.Generator) -> Texture:
    """Orange ribs, darker above and below."""
    ends = (ROW < 1).astype(np.int64) + (ROW > 13)
    return paint(
        RIB[COL] + mottle(rng, (1, 6, 1), 3, 1) - ends, palette("93500f b4661a c97820 d88a2b e39c3e")
    )


def _pumpkin_top(rng: np.random.Generator) -> Texture:
    """Ribs that run to a green stalk."""
    along = np.where(np.abs(2 * ROW - 15) > np.abs(2 * COL - 15), COL, ROW)
    body = paint(RIB[along] + mottle(rng, (1, 6, 1), 2, 2), palette("93500f b4661a c97820 d88a2b e39c3e"))
    stalk = np.where(EDGE >= 6, 1, CLEAR)
    stamp(stalk, "2200/2110/0110/0000", 6, 6)
    return over(body, paint(stalk, palette("5d5a23 7a7a30 959544")))


def _hay_side(rng: np.random.Generator) -> Texture:
    """Upright straw under two red cords."""
    straw = paint(mottle(rng, (2, 4, 4, 2), 4, 1), palette("93761f ab8a2a c09f35 d3b548"))
    cord = np.where(np.isin(ROW, (3, 12)), 1 + COL % 2, np.where(np.isin(ROW, (4, 13)), COL % 2, CLEAR))
    return over(straw, paint(cord, palette("6b2413 86301b a03d24")))


def _hay_top(rng: np.random.Generator) -> Texture:
    """Cut straw in nested rings."""
    ring = np.where(EDGE % 2 == 0, 1, 2)
    return paint(ring + mottle(rng, (2, 5, 2), 1, 2) - 1, palette("93761f ab8a2a c09f35 d3b548"))


BOOKS = "7c2f2a 2f5a3a 2c4a78 8a6a2c 5d3a68 9a8f7a"
"""Bindings, one colour a book."""


def _bookshelf(rng: np.random.Generator) -> Texture:
    """Two shelves of books between planks."""
    frame = WOOD["planks_oak"](rng)
    shelf = ROW // 8
    width = np.repeat(np.arange(8), 2)[COL]
    tall = draws(rng, 16, 2).reshape(2, 8)[shelf, width]
    row = ROW % 8
    book = (row >= 2 + tall) & (row < 7) & (EDGE[0:1] * 0 + np.minimum(COL, 15 - COL) > 0)
    colour = draws(rng, 16, 6).reshape(2, 8)[shelf, width]
    bindings = paint(np.where(book, colour, CLEAR), palette(BOOKS))
    back = paint(np.where((row > 0) & (row < 7), 0, CLEAR), palette("2c2012"))
    return over(over(frame, back), bindings)


def _wool(colours: str, rng: np.random.Generator) -> Texture:
    """A loose basket weave."""
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
    "wool_red": partial(_wool, "84201c 94261f a32d25 b0372e"),
    "wool_blue": partial(_wool, "2c3488 343d98 3d47a6 4954b2"),
    "wool_yellow": partial(_wool, "d49f1d e2ad26 eeba32 f6c744"),
    "wool_white": partial(_wool, "cfd3d4 dadedf e4e7e8 eff1f1"),
}
