"""Soils, rocks and ores."""

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
    bevel,
    cells,
    draws,
    mottle,
    mottled,
    noise,
    over,
    paint,
    palette,
    scatter,
    stamp,
)

DIRT = "69482f 79553a 8b6444 9c7350"
STONE = "6c6c6c 787878 828282 8c8c8c"
GRASS_FRINGE = "4f7431 5d8639 6b9642 7aa64d"
SNOW = "dfe8ee eaf1f5 f3f8fa fbfdfe"
NEEDLES = "4a3217 5d401d 705026 85632f"


def _dirt(rng: np.random.Generator) -> Texture:
    """Crumbs in four browns with a few pebbles."""
    index = mottle(rng, (3, 5, 5, 2), 2, 2)
    soil = paint(index, palette(DIRT))
    pebbles = np.full((SIZE, SIZE), CLEAR)
    for row, col in draws(rng, 8, SIZE).reshape(4, 2):
        stamp(pebbles, "01", row, col)
    return over(soil, paint(pebbles, palette("7d7367 94897b")))


def _covered_side(colours: str, deep: int, rng: np.random.Generator) -> Texture:
    """Dirt under a ragged cover that hangs down by a few texels."""
    drip = np.array([0, 1, 2, 1])[mottle(rng, (3, 3, 2, 2), 1, 2)[0]]
    depth = deep + drip
    shade = mottle(rng, (2, 4, 4, 2), 1, 2)
    cover = np.where(depth - 1 == ROW, np.minimum(shade, 1), np.maximum(shade, 1))
    return over(_dirt(rng), paint(np.where(depth > ROW, cover, CLEAR), palette(colours)))


def _strata(colours: str, rng: np.random.Generator) -> Texture:
    """Sandstone from the side: a smooth cap, thin beds and a rough foot."""
    beds = np.array([3, 3, 2, 1, 2, 2, 3, 2, 1, 2, 2, 2, 1, 2, 1, 0])[:, None]
    grain = mottle(rng, (1, 6, 1), 1, 4) - 1
    return paint(np.clip(beds + np.where(ROW > 2, grain, 0), 0, 3), palette(colours))


def _slab(colours: str, rng: np.random.Generator) -> Texture:
    """A dressed stone face: faint wide mottling."""
    return paint(mottle(rng, (1, 5, 2), 2, 5), palette(colours))


def _pebbles(rng: np.random.Generator) -> Texture:
    """Gravel: small lit stones of three greys."""
    label = cells(scatter(rng, 5, 5))
    tone = draws(rng, 25, 3)[label]
    return paint(tone + 1 + bevel(label), palette("6c6764 79746f 86817e 948f8b 9f9a96"))


def _bedrock(rng: np.random.Generator) -> Texture:
    """Shattered dark rock in large, hard contrasts."""
    return paint(mottle(rng, (4, 4, 3, 3), 2, 3), palette("2b2b2b 454545 636363 858585"))


def _crystalline(colours: str, rng: np.random.Generator) -> Texture:
    """Igneous rock: mottled ground with dark and pale grains in it."""
    index = mottle(rng, (2, 5, 3), 2, 2) + 1
    for row, col in draws(rng, 18, SIZE).reshape(9, 2):
        stamp(index, "4", row, col)
    for row, col in draws(rng, 20, SIZE).reshape(10, 2):
        stamp(index, "00", row, col)
    return paint(index, palette(colours))


def stone(rng: np.random.Generator) -> Texture:
    """Grey with long, low clumps."""
    return paint(mottle(rng, (2, 6, 6, 2), 1, 3), palette(STONE))


GEMS = ("12/01", ".2/120/01", "21/100", "12./.10", "2/10", "12/110/.0")
"""Motifs of an ore: 0 shadow, 1 body, 2 glint."""


def _ore(colours: str, rng: np.random.Generator) -> Texture:
    """Gems in stone, one to each field of a staggered grid so that no side of the block is bare."""
    gems = np.full((SIZE, SIZE), CLEAR)
    jitter = draws(rng, 12, 3).reshape(6, 2)
    places = ((1, 2), (1, 10), (6, 6), (6, 13), (11, 2), (11, 10))
    for shape, (row, col), (down, right) in zip(GEMS, places, jitter, strict=True):
        stamp(gems, shape, row + int(down), col + int(right))
    return over(stone(rng), paint(gems, palette(colours)))


def _ice(rng: np.random.Generator) -> Texture:
    """Pale blue with a few slanting cracks."""
    index = mottle(rng, (2, 6, 2), 3, 3)
    for row, col in draws(rng, 8, SIZE).reshape(4, 2):
        stamp(index, "...3/..3/.3/3", row, col)
    return paint(index, palette("84aee8 8fb8ef 9bc2f4 b9d8fb"))


def _rippled(colours: str, rng: np.random.Generator) -> Texture:
    """Clay: smooth, with faint curved bands."""
    wave = np.array([0, 0, 1, 1, 2, 2, 1, 1] * 2)[COL]
    band = ((ROW + wave) % 8 < 2).astype(np.int64)
    return paint(mottle(rng, (2, 6, 2), 1, 4) + band, palette(colours))


def _water(rng: np.random.Generator) -> Texture:
    """Near-white grey with gentle crests; a region's water colour is multiplied into it."""
    field = noise(rng, 2, 6)
    crest = np.array([0, 0, 1, 2, 2, 2, 1, 0] * 2)[COL]
    streak = ((ROW + crest) % 8 == 3) & (field > np.sort(field, axis=None)[100])
    low = ((ROW + crest) % 8 == 6) & (field > np.sort(field, axis=None)[140])
    return paint(
        1 + streak.astype(np.int64) * 2 - low + (field > np.median(field)),
        palette("a3a8ad aeb2b6 b6babd c0c3c6 ced1d3"),
    )


TERRACOTTA: Mapping[str, str] = {
    "terracotta": "8f5840 985f45 a0674c",
    "terracotta_orange": "9c5124 a65829 ae602f",
    "terracotta_yellow": "b48026 be892b c79233",
    "terracotta_white": "c5a794 ceb09d d6b9a6",
    "terracotta_brown": "4a3122 533827 5b3f2d",
}

ORES: Mapping[str, str] = {
    "coal_ore": "1f1f22 333337 4d4d52",
    "iron_ore": "9a7355 c49a7a e3c4ac",
    "gold_ore": "c08a1e f2c53a fdf09a",
    "redstone_ore": "7d0c0c c41a1a ff6a5a",
    "diamond_ore": "2a9aa0 4fd6d6 c4fbf6",
}

PAINTERS: Mapping[str, Painter] = {
    "bedrock": _bedrock,
    "stone": stone,
    "dirt": _dirt,
    "grass_top": mottled("9a9a94 a9a9a3 b8b8b2 c6c6c0", (3, 5, 5, 3), 2, 2),
    "grass_side": partial(_covered_side, GRASS_FRINGE, 3),
    "snow": mottled(SNOW, (1, 3, 6, 6), 3, 3),
    "snowy_grass_side": partial(_covered_side, SNOW, 3),
    "sand": mottled("cdbf90 d6c99b ded2a5 e6dbb2", (2, 5, 6, 2), 2, 2),
    "sandstone_top": partial(_slab, "cdbd8c d8c999 e0d3a6"),
    "sandstone_side": partial(_strata, "bba878 cbba88 d7c897 e2d5a8"),
    "red_sand": mottled("a9581f b46224 be6b2a c97733", (2, 5, 6, 2), 2, 2),
    **{name: mottled(colours, (2, 6, 2), 2, 3) for name, colours in TERRACOTTA.items()},
    "gravel": _pebbles,
    "clay": partial(_rippled, "949aa6 9ca2ae a4aab6 adb3be"),
    "mud": mottled("35322f 3e3a37 46423e 524d48", (3, 6, 4, 1), 2, 3),
    "podzol_top": mottled(NEEDLES, (3, 5, 4, 2), 1, 3),
    "podzol_side": partial(_covered_side, NEEDLES, 3),
    "ice": _ice,
    "granite": partial(_crystalline, "7c5142 8a5d4c 986957 a57664 b88f80"),
    "andesite": partial(_crystalline, "6f7071 7c7d7e 868788 909192 a2a3a4"),
    "diorite": partial(_crystalline, "8f8f90 a9a9aa b7b7b8 c5c5c6 dbdbdc"),
    **{name: partial(_ore, colours) for name, colours in ORES.items()},
    "water": _water,
}
