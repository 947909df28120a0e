"""Landmarks that mark a place (obelisks, totems, flags, arches ...), and the table of all landmarks."""

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS
from loopcraft.worlds.voxel.features.buildings import (
    WALLS,
    WOOLS,
    farm,
    hut,
    igloo,
    pyramid,
    ruin,
    tower,
    well,
)
from loopcraft.worlds.voxel.features.canvas import Canvas, Dice, Template

_STONES = (
    "stone_bricks",
    "cobblestone",
    "andesite",
    "diorite",
    "granite",
    "mossy_stone_bricks",
    "chiseled_stone",
)
_BRIGHT = (
    *WOOLS,
    "glowstone",
    "pumpkin",
    "hay",
    "bookshelf",
    "planks_oak",
    "birch_log",
    "terracotta_orange",
    "chiseled_stone",
    "mushroom_cap_red",
)


def obelisk(dice: Dice, biome: str) -> Template:
    """Build a tall narrow pillar on a plinth, with bands of colour and a tip."""
    stone = dice.pick((*WALLS.get(biome, ()), *_STONES))
    side, height, plinth = dice.between(1, 3), dice.between(7, 14), dice.between(1, 2)
    size = side + 2 * plinth
    canvas = Canvas(size, height + 2, size)
    for step in range(plinth):
        canvas.box((step, size - 1 - step), (step, step), (step, size - 1 - step), stone)
    near, far = plinth, plinth + side - 1
    canvas.box((near, far), (plinth, height), (near, far), stone)
    band, first, gap = dice.pick(_BRIGHT), dice.between(3, 5), dice.between(2, 5)
    for y in range(first, height, gap):
        canvas.box((near, far), (y, y), (near, far), band)
    middle = (near + far) // 2
    canvas.put(middle, height + 1, middle, dice.pick(("glowstone", *WOOLS, stone)))
    return Template(blocks=canvas.blocks, foundation=BLOCK_IDS[stone])


def totem(dice: Dice, biome: str) -> Template:
    """Build a stack of randomly chosen bright blocks, sometimes with arms."""
    height, side = dice.between(4, 9), dice.between(1, 2)
    canvas = Canvas(side + 4, height + 1, side + 2)
    for y in range(height + 1):
        canvas.box((2, side + 1), (y, y), (1, side), dice.pick(_BRIGHT))
    if dice.chance(60):
        y, block = dice.between(2, height - 1), dice.pick(_BRIGHT)
        canvas.box((0, side + 3), (y, y), (1, 1), block)
    return Template(blocks=canvas.turned(dice.between(0, 3)))


def flag(dice: Dice, biome: str) -> Template:
    """Build a pole with a flag of one or two colours in one of four patterns."""
    height, width, rows = dice.between(7, 13), dice.between(3, 6), dice.between(2, 4)
    pole = dice.pick(("oak_log", "spruce_log", "birch_log", "cobblestone", "acacia_log"))
    first = dice.pick(WOOLS)
    second = dice.pick([wool for wool in WOOLS if wool != first])
    pattern = dice.pick((0, 1, 1, 2, 2, 3, 3))
    canvas = Canvas(width + 1, height + 1, 1)
    canvas.box((0, 0), (0, height), (0, 0), pole)
    for x in range(width):
        for y in range(rows):
            is_second = (False, x % 2 == 1, y % 2 == 1, (x + y) % 2 == 1)[pattern]
            canvas.put(1 + x, height - y, 0, second if is_second else first)
    return Template(blocks=canvas.turned(dice.between(0, 3)))


def arch(dice: Dice, biome: str) -> Template:
    """Build a natural-looking rock bridge that one can walk under."""
    span, thick, high = dice.between(8, 14), dice.between(2, 3), dice.between(4, 7)
    stone = dice.pick((*WALLS.get(biome, ())[:1], "stone", "granite", "andesite", "mossy_cobblestone"))
    canvas = Canvas(span + 1, high + 3, thick)
    for x in range(span + 1):
        # Two parabolas: the underside and the top of the arch.
        u = (2 * x - span) * (2 * x - span)
        inner = (high * ((span - 4) * (span - 4) - u)) // ((span - 4) * (span - 4))
        outer = 2 + (high * (span * span - u)) // (span * span)
        canvas.box((x, x), (max(inner, 0), outer), (0, thick - 1), stone)
    canvas.speckle(dice, stone, dice.pick(("cobblestone", "stone", "gravel", "mossy_cobblestone")), 18)
    return Template(blocks=canvas.turned(dice.between(0, 3)), foundation=BLOCK_IDS[stone])


def stone_circle(dice: Dice, biome: str) -> Template:
    """Build standing stones around an altar, each on its own ground."""
    radius, count = dice.between(4, 7), dice.between(6, 11)
    stone = dice.pick(_STONES)
    canvas = Canvas(2 * radius + 1, 6, 2 * radius + 1)
    rim = [
        (x, z)
        for x in range(2 * radius + 1)
        for z in range(2 * radius + 1)
        if abs((x - radius) ** 2 + (z - radius) ** 2 - radius * radius) <= radius
    ]
    for _ in range(count):
        x, z = dice.pick(rim)
        canvas.box((x, x), (0, dice.between(1, 3)), (z, z), stone)
    canvas.box((radius, radius), (0, dice.between(0, 1)), (radius, radius), "chiseled_stone")
    canvas.put(radius, 2, radius, dice.pick(("glowstone", "air", *WOOLS)))
    return Template(blocks=canvas.blocks, drape=True)


def pumpkins(dice: Dice, biome: str) -> Template:
    """Plant a patch of pumpkins, often with a scarecrow."""
    x, z, percent = dice.between(6, 11), dice.between(6, 11), dice.between(16, 32)
    canvas = Canvas(x, 5, z)
    for i in range(x):
        for k in range(z):
            if dice.chance(percent):
                canvas.put(i, 0, k, "pumpkin")
    if dice.chance(60):
        i, k = dice.between(2, x - 3), dice.between(2, z - 3)
        canvas.box((i, i), (0, 1), (k, k), "oak_log")
        canvas.box((i - 1, i + 1), (2, 2), (k, k), "air")
        canvas.put(i, 2, k, dice.pick(WOOLS))
        canvas.put(i, 3, k, "pumpkin")
    return Template(blocks=canvas.turned(dice.between(0, 3)), drape=True)


def giant_mushroom(dice: Dice, biome: str) -> Template:
    """Build a mushroom as large as a house: a red dome or a wide brown plate."""
    radius, height, stem = dice.between(4, 7), dice.between(7, 14), dice.between(1, 2)
    red = dice.chance(50)
    cap = "mushroom_cap_red" if red else "mushroom_cap_brown"
    size = 2 * radius + 2
    canvas = Canvas(size, height + 5, size)
    canvas.box((radius, radius + stem - 1), (0, height), (radius, radius + stem - 1), "mushroom_stem")
    x, z, y = np.ogrid[-radius : radius + 2, -radius : radius + 2, -height:5]
    distance = x * x + z * z
    if red:  # a dome, hollow below
        rise = y + 2
        outer = radius * radius - rise * rise * radius * radius // 14
        shell = (rise == 3) | (distance >= (radius - 2) ** 2)
        canvas.where((distance <= outer) & (rise >= 0) & (rise < 4) & shell, cap)
    else:  # a plate with a raised centre
        canvas.where((distance <= radius * radius) & (y == 0), cap)
        canvas.where((distance <= (radius - 2) ** 2) & (y == 1), cap)
    canvas.speckle(dice, cap, dice.pick(("mushroom_stem", "glowstone", cap)), dice.between(2, 7))
    return Template(blocks=canvas.blocks, foundation=BLOCK_IDS["mushroom_stem"])


LANDMARKS: MappingProxyType[str, Callable[[Dice, str], Template]] = MappingProxyType(
    {
        "hut": hut,
        "tower": tower,
        "well": well,
        "ruin": ruin,
        "pyramid": pyramid,
        "igloo": igloo,
        "farm": farm,
        "obelisk": obelisk,
        "totem": totem,
        "flag": flag,
        "arch": arch,
        "stone_circle": stone_circle,
        "pumpkins": pumpkins,
        "giant_mushroom": giant_mushroom,
    }
)
"""Every kind of landmark by name: a function of (dice, biome name)."""
