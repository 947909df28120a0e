"""Landmarks that are buildings: huts, towers, wells, ruins, pyramids, igloos and farms."""

import numpy as np

from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS
from loopcraft.worlds.voxel.features.canvas import Canvas, Dice, Template

WOOLS = ("wool_red", "wool_blue", "wool_yellow", "wool_white")
WALLS = {
    "desert": ("sandstone", "terracotta_white", "terracotta_yellow", "terracotta"),
    "mesa": ("terracotta_white", "terracotta_orange", "bricks", "terracotta_yellow"),
    "savanna": ("terracotta", "planks_oak", "terracotta_orange", "mud"),
    "snowy_hills": ("planks_dark", "spruce_wood", "cobblestone", "stone_bricks"),
    "taiga": ("spruce_wood", "planks_dark", "cobblestone"),
    "swamp": ("planks_dark", "mud", "mossy_cobblestone", "willow_wood"),
}
"""Wall materials of the biomes in which they differ from `_WALLS`."""

_WALLS = ("planks_oak", "cobblestone", "bricks", "stone_bricks", "planks_dark", "oak_wood", "diorite")
_ROOFS = (
    "planks_dark",
    "bricks",
    "cobblestone",
    "hay",
    "planks_oak",
    "wool_red",
    "wool_blue",
    "terracotta_orange",
)
_POSTS = ("oak_log", "spruce_log", "birch_log", "stone_bricks", "acacia_log")
_FURNITURE = ("bookshelf", "hay", "glowstone", "planks_dark", "pumpkin")


def _doorway(canvas: Canvas, middle: int) -> None:
    """Cut an opening two blocks high into the wall at z = 0."""
    canvas.box((middle, middle), (1, 2), (0, 0), "air")


def _roof(canvas: Canvas, dice: Dice, size: tuple[int, int], eaves: int, block: str) -> None:
    """Put a flat, gabled or hipped roof on walls of size x by z whose top layer is `eaves` - 1."""
    x, z = size
    style = dice.pick(("flat", "gable", "gable", "hip", "hip"))
    if style == "flat":
        canvas.box((0, x - 1), (eaves, eaves), (0, z - 1), block)
        canvas.walls((0, x - 1), (eaves + 1, eaves + 1), (0, z - 1), block)
        return
    for step in range((x + 1) // 2):
        inset = step if style == "hip" else 0
        if z - 1 - inset < inset:
            return
        canvas.box((step, x - 1 - step), (eaves + step, eaves + step), (inset, z - 1 - inset), block)


def hut(dice: Dice, biome: str) -> Template:
    """Build a small house with a door, windows, one of three roofs and furniture."""
    x, z, wall_height = dice.between(5, 8), dice.between(5, 9), dice.between(3, 4)
    wall, roof = dice.pick(WALLS.get(biome, _WALLS)), dice.pick(_ROOFS)
    canvas = Canvas(x, wall_height + 6, z)
    canvas.box((0, x - 1), (0, 0), (0, z - 1), "planks_oak")
    canvas.walls((0, x - 1), (0, wall_height), (0, z - 1), wall)
    canvas.box((1, x - 2), (1, wall_height), (1, z - 2), "air")
    if dice.chance(60):
        post = dice.pick(_POSTS)
        for i, k in ((0, 0), (0, z - 1), (x - 1, 0), (x - 1, z - 1)):
            canvas.box((i, i), (0, wall_height), (k, k), post)
    pane = dice.pick(("glass_frame", "glass_frame", "air"))
    for window in range(2, z - 2, dice.between(2, 3)):
        canvas.put(0, 2, window, pane)
        canvas.put(x - 1, 2, window, pane)
    canvas.put(x // 2, 2, z - 1, pane)
    _doorway(canvas, x // 2)
    _roof(canvas, dice, (x, z), wall_height + 1, roof)
    canvas.put(1, 1, z - 2, dice.pick(_FURNITURE))
    canvas.put(x - 2, 1, z - 2, dice.pick(_FURNITURE))
    if dice.chance(40):
        canvas.box((x - 1, x - 1), (1, wall_height + 4), (z - 2, z - 2), "bricks")
    return Template(blocks=canvas.turned(dice.between(0, 3)))


def tower(dice: Dice, biome: str) -> Template:
    """Build a hollow tower with slits, battlements and a coloured top."""
    side, height = dice.between(4, 6), dice.between(8, 14)
    wall = dice.pick((*WALLS.get(biome, ()), "stone_bricks", "cobblestone", "bricks"))
    canvas = Canvas(side, height + 4, side)
    far = side - 1
    canvas.box((0, far), (0, 0), (0, far), wall)
    canvas.walls((0, far), (0, height), (0, far), wall)
    canvas.box((1, far - 1), (1, height - 1), (1, far - 1), "air")
    canvas.box((0, far), (height, height), (0, far), wall)
    for y in range(4, height - 1, dice.between(3, 4)):
        canvas.box((far // 2, far // 2), (y, y + 1), (far, far), "air")
        canvas.box((0, 0), (y, y + 1), (far // 2, far // 2), "air")
    canvas.walls((0, far), (height + 1, height + 1), (0, far), wall)
    for x in range(side):
        for z in range(side):
            if (x + z) % 2 and (x in (0, far) or z in (0, far)):
                canvas.put(x, height + 1, z, "air")
    if dice.chance(50):
        canvas.box((0, far), (height - 3, height - 3), (0, far), dice.pick(WOOLS))
        canvas.box((1, far - 1), (height - 3, height - 3), (1, far - 1), "air")
    canvas.box((1, 1), (height + 1, height + 3), (1, 1), dice.pick((*WOOLS, "glowstone", "oak_log")))
    _doorway(canvas, far // 2)
    if wall == "stone_bricks":
        canvas.speckle(dice, wall, "mossy_stone_bricks", dice.between(5, 45))
    if wall == "cobblestone":
        canvas.speckle(dice, wall, "mossy_cobblestone", dice.between(5, 45))
    return Template(blocks=canvas.turned(dice.between(0, 3)))


def well(dice: Dice, biome: str) -> Template:
    """Build a rim around water, usually under a small roof on posts."""
    rim = dice.pick((*WALLS.get(biome, ()), "cobblestone", "stone_bricks", "mossy_cobblestone"))
    side = dice.between(4, 5)
    canvas = Canvas(side, 8, side)
    canvas.box((0, side - 1), (0, 1), (0, side - 1), rim)
    canvas.speckle(dice, rim, dice.pick(("mossy_cobblestone", "gravel", "stone")), dice.between(0, 40))
    canvas.box((1, side - 2), (1, 1), (1, side - 2), "water")
    if dice.chance(80):
        post, roof, eaves = dice.pick(_POSTS), dice.pick(_ROOFS), dice.between(4, 5)
        for x in (0, side - 1):
            for z in (0, side - 1):
                canvas.box((x, x), (2, eaves - 1), (z, z), post)
        canvas.box((0, side - 1), (eaves, eaves), (0, side - 1), roof)
        canvas.box((1, side - 2), (eaves + 1, eaves + 1), (1, side - 2), dice.pick((roof, roof, *WOOLS)))
    return Template(blocks=canvas.turned(dice.between(0, 3)), foundation=BLOCK_IDS[rim])


def ruin(dice: Dice, biome: str) -> Template:
    """Build broken walls of varying height, with gaps, rubble and an occasional tall stretch."""
    x, z = dice.between(6, 12), dice.between(6, 11)
    stone, moss = dice.pick((("stone_bricks", "mossy_stone_bricks"), ("cobblestone", "mossy_cobblestone")))
    if biome in ("desert", "mesa"):
        stone, moss = "sandstone", "sand"
    canvas = Canvas(x, 7, z)
    rim = [(i, 0) for i in range(x)] + [(x - 1, k) for k in range(1, z)]
    rim += [(i, z - 1) for i in range(x - 2, -1, -1)] + [(0, k) for k in range(z - 2, 0, -1)]
    height = dice.between(1, 4)
    for i, k in rim:
        height = min(6, max(0, height + dice.between(-1, 1) + (3 if dice.chance(6) else 0)))
        height = 0 if dice.chance(6) else height
        if height > 0:
            canvas.box((i, i), (0, height), (k, k), stone)
    for _ in range(dice.between(3, 8)):
        i, height, k = dice.between(1, x - 2), dice.between(0, 1), dice.between(1, z - 2)
        canvas.box((i, i), (0, height), (k, k), stone)
    if dice.chance(40):
        i, k = x // 2, z // 2
        canvas.box((i, i), (0, 2), (k, k), "chiseled_stone")
        canvas.put(i, 3, k, dice.pick(("glowstone", *WOOLS)))
    canvas.speckle(dice, stone, moss, dice.between(15, 60))
    canvas.speckle(dice, stone, "air", 4)
    return Template(blocks=canvas.turned(dice.between(0, 3)), foundation=BLOCK_IDS[stone])


def pyramid(dice: Dice, biome: str) -> Template:
    """Build stone steps with coloured courses, a dark entrance and a bright tip."""
    half = dice.between(5, 8)
    stone = "sandstone" if biome == "desert" else dice.pick(("terracotta_white", "bricks", "sandstone"))
    course = dice.pick(("terracotta_orange", "terracotta_brown", "wool_blue", "terracotta_yellow"))
    canvas = Canvas(2 * half + 1, half + 3, 2 * half + 1)
    period = dice.between(2, 4)
    for y in range(half + 1):
        block = course if y % period == period - 1 else stone
        canvas.box((y, 2 * half - y), (y, y), (y, 2 * half - y), block)
    canvas.put(half, half + 1, half, dice.pick(("glowstone", "wool_red", "wool_blue", stone)))
    canvas.box((half, half), (1, 2), (0, half), "air")
    canvas.box((half - 1, half + 1), (1, 3), (half - 1, half + 1), "air")
    canvas.put(half, 1, half + 1, "glowstone")
    return Template(blocks=canvas.turned(dice.between(0, 3)), foundation=BLOCK_IDS[stone])


def igloo(dice: Dice, biome: str) -> Template:
    """Build a snow dome with an entrance, often speckled with ice."""
    radius = dice.between(3, 5)
    canvas = Canvas(2 * radius + 1, radius + 2, 2 * radius + 1)
    x, z, y = np.ogrid[-radius : radius + 1, -radius : radius + 1, 0 : radius + 2]
    distance = x * x + z * z + y * y
    canvas.where(distance <= radius * radius + 1, "snow")
    canvas.where((distance < (radius - 1) * (radius - 1) + 1) & (y > 0), "air")
    canvas.speckle(dice, "snow", "ice", dice.pick((0, 4, 12, 35)))
    if dice.chance(40):
        canvas.speckle(dice, "snow", dice.pick(("wool_white", "cobblestone", "diorite")), dice.between(5, 25))
    canvas.box((radius, radius), (1, 2), (0, 1), "air")
    canvas.put(radius, 1, 2 * radius - 1, "glowstone")
    if dice.chance(40):
        canvas.put(radius, radius + 1, radius, dice.pick(WOOLS))
    return Template(blocks=canvas.turned(dice.between(0, 3)), foundation=BLOCK_IDS["snow"])


def farm(dice: Dice, biome: str) -> Template:
    """Plant rows of wheat between borders that follow the ground, with bales and a lantern."""
    x, z = dice.between(7, 12), dice.between(6, 10)
    border = dice.pick(("oak_wood", "cobblestone", "hay", "spruce_wood"))
    canvas = Canvas(x, 3, z)
    canvas.walls((0, x - 1), (0, 0), (0, z - 1), border)
    for row in range(1, z - 1):
        if row % 3:
            canvas.box((1, x - 2), (0, 0), (row, row), "wheat")
    canvas.box((x // 2, x // 2), (0, 0), (0, 0), "air")
    for _ in range(dice.between(0, 3)):
        canvas.put(dice.between(1, x - 2), 0, dice.pick((0, z - 1)), "hay")
    canvas.box((0, 0), (1, 1), (0, 0), border)
    canvas.put(0, 2, 0, dice.pick(("glowstone", "pumpkin", "torch")))
    return Template(blocks=canvas.turned(dice.between(0, 3)), drape=True)
