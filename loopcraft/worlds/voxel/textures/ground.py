"""Textures of soils, rocks, ores, ice and water."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from loopcraft.worlds.voxel.textures.paint import (
    CLEAR,
    COL,
    ROW,
    SIZE,
    Painter,
    Texture,
    mottle,
    mottled,
    over,
    paint,
    palette,
    scatter,
    stamp,
)

DIRT = "6a4a30 79563b 876144 946d4e"
GRASS_FRINGE = "4f7431 5d8639 6b9642 7aa64d"
SNOW = "dfe8ee eaf1f5 f3f8fa fbfdfe"
NEEDLES = "4a3217 5d401d 705026 80602f"


def _dirt(rng: np.random.Generator) -> Texture:
    """Paint crumbs in four browns with a few pebbles."""
    soil = paint(mottle(rng, (3, 5, 5, 2), 2, 2), palette(DIRT))
    pebbles = np.full((SIZE, SIZE), CLEAR)
    for row, col in scatter(rng, 2, 2):
        stamp(pebbles, "01", row, col)
    return over(soil, paint(pebbles, palette("7a6453 8f7c6b")))


def _covered_side(colours: str, deep: int, rng: np.random.Generator) -> Texture:
    """Paint dirt under a ragged cover that hangs down by a few texels."""
    depth = deep + np.array([0, 1, 2, 1])[mottle(rng, (3, 3, 2, 2), 1, 2)[0]]
    shade = mottle(rng, (2, 4, 4, 2), 1, 2)
    cover = np.where(depth - 1 == ROW, np.minimum(shade, 1), np.maximum(shade, 1))
    return over(_dirt(rng), paint(np.where(depth > ROW, cover, CLEAR), palette(colours)))


def _sandstone_side(rng: np.random.Generator) -> Texture:
    """Paint a smooth cap, thin beds and a rough foot."""
    beds = np.array([3, 3, 2, 1, 2, 2, 3, 2, 1, 2, 2, 2, 1, 2, 1, 0])[:, None]
    grain = mottle(rng, (1, 6, 1), 1, 4) - 1
    return paint(np.clip(beds + np.where(ROW > 2, grain, 0), 0, 3), palette("bba878 cbba88 d7c897 e2d5a8"))


def _gravel(rng: np.random.Generator) -> Texture:
    """Paint grit in five greys with small lit stones on it."""
    index = mottle(rng, (3, 4, 4, 2), 2, 2)
    for motif, (row, col) in zip(
        ("343/231/.00", "34/131/.0", "33/221/100") * 4, scatter(rng, 4, 3), strict=True
    ):
        stamp(index, motif, row, col)
    return paint(index, palette("6b6663 7b7672 87827f 938e8a a19c98"))


def _crystalline(colours: str, rng: np.random.Generator) -> Texture:
    """Paint igneous rock: a mottled base with dark and pale grains."""
    index = mottle(rng, (2, 5, 3), 2, 2) + 1
    for row, col in scatter(rng, 3, 3):
        stamp(index, "4", row, col)
    for row, col in scatter(rng, 4, 3):
        stamp(index, "00", row, col)
    return paint(index, palette(colours))


_stone = mottled("6e6e6e 797979 828282 8b8b8b", (2, 6, 6, 2), 1, 3)

GEMS = ("12/01", ".2/120/01", "21/100", "12./.10", "2/10", "12/110/.0")
"""Motifs of an ore: 0 is shadow, 1 body, 2 glint."""


def _ore(colours: str, rng: np.random.Generator) -> Texture:
    """Paint gems in stone, spread over the whole block without any cut by the border."""
    gems = np.full((SIZE, SIZE), CLEAR)
    for motif, (row, col) in zip(GEMS, np.minimum(scatter(rng, 3, 2), 13), strict=True):
        stamp(gems, motif, row, col)
    return over(_stone(rng), paint(gems, palette(colours)))


def _ice(rng: np.random.Generator) -> Texture:
    """Paint pale blue ice with a few short cracks."""
    index = mottle(rng, (2, 6, 2), 3, 3)
    for motif, (row, col) in zip(("..3/.3/3", "33/..3", "3", ".3/3"), scatter(rng, 2, 2), strict=True):
        stamp(index, motif, row, col)
    return paint(index, palette("86b0e9 8fb8ef 99c0f3 b3d4fa"))


def _clay(rng: np.random.Generator) -> Texture:
    """Paint smooth clay with faint curved bands."""
    wave = np.array([0, 0, 1, 1, 2, 2, 1, 1] * 2)[COL]
    band = (ROW + wave) % 8 < 2
    return paint(mottle(rng, (2, 6, 2), 1, 4) + band, palette("949aa6 9ca2ae a4aab6 adb3be"))


def _water(rng: np.random.Generator) -> Texture:
    """Paint near-white grey with broken crests, to be multiplied by a region's water colour."""
    swell = mottle(rng, (2, 3), 2, 6)
    phase = (ROW + np.array([0, 0, 1, 2, 2, 2, 1, 0] * 2)[COL]) % 8
    crest, trough = (phase == 3) & (swell == 1), (phase == 5) & (swell == 0)
    return paint(1 + swell + crest - trough, palette("a6abb0 aeb2b6 b5b9bc c6c9cc"))


SPECKLED: Mapping[str, tuple[str, Sequence[int], int, int]] = {
    "bedrock": ("2e2e2e 474747 636363 808080", (4, 4, 3, 3), 2, 3),
    "grass_top": ("9e9e98 aaaaa4 b7b7b1 c3c3bd", (3, 5, 5, 3), 2, 2),
    "snow": (SNOW, (1, 3, 6, 6), 3, 3),
    "sand": ("cdbf90 d6c99b ded2a5 e6dbb2", (2, 5, 6, 2), 2, 2),
    "red_sand": ("a9581f b46224 be6b2a c97733", (2, 5, 6, 2), 2, 2),
    "sandstone_top": ("cdbd8c d8c999 e0d3a6", (1, 5, 2), 2, 5),
    "mud": ("35322f 3e3a37 46423e 524d48", (3, 6, 4, 1), 2, 3),
    "podzol_top": (NEEDLES, (3, 5, 4, 2), 2, 2),
    "terracotta": ("8f5840 985f45 a0674c", (2, 6, 2), 2, 3),
    "terracotta_orange": ("9c5124 a65829 ae602f", (2, 6, 2), 2, 3),
    "terracotta_yellow": ("b48026 be892b c79233", (2, 6, 2), 2, 3),
    "terracotta_white": ("c5a794 ceb09d d6b9a6", (2, 6, 2), 2, 3),
    "terracotta_brown": ("4a3122 533827 5b3f2d", (2, 6, 2), 2, 3),
}
"""Textures of clumped shades only: colours, their shares, height and width of a clump."""

ORES: Mapping[str, str] = {
    "coal_ore": "1f1f22 333337 4d4d52",
    "iron_ore": "9a7355 c49a7a e3c4ac",
    "gold_ore": "c08a1e f2c53a fdf09a",
    "redstone_ore": "7d0c0c c41a1a ff6a5a",
    "diamond_ore": "2a9aa0 4fd6d6 c4fbf6",
}

PAINTERS: Mapping[str, Painter] = {
    **{name: mottled(*recipe) for name, recipe in SPECKLED.items()},
    **{name: partial(_ore, colours) for name, colours in ORES.items()},
    "stone": _stone,
    "dirt": _dirt,
    "grass_side": partial(_covered_side, GRASS_FRINGE, 3),
    "snowy_grass_side": partial(_covered_side, SNOW, 3),
    "podzol_side": partial(_covered_side, NEEDLES, 3),
    "sandstone_side": _sandstone_side,
    "gravel": _gravel,
    "clay": _clay,
    "ice": _ice,
    "granite": partial(_crystalline, "7c5142 8a5d4c 986957 a57664 b88f80"),
    "andesite": partial(_crystalline, "737475 7e7f80 868788 8f9091 9d9e9f"),
    "diorite": partial(_crystalline, "9a9a9b adadae b8b8b9 c4c4c5 d6d6d7"),
    "water": _water,
}
