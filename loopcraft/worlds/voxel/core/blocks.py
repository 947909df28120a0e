"""The block table: shapes, textures and rules as data.

Ids are positions in `BLOCKS` and part of `voxel-v1` and `plaza-v1`: append, never reorder. At most 160
blocks, as the octant fields store `HIT` (96) + block in one byte.
"""

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np


class Shape(IntEnum):
    """How a ray interacts with a block."""

    AIR = 0
    CUBE = 1
    """Full, opaque cube."""
    CUTOUT = 2
    """Full cube whose texture has holes (leaves); also visible from inside."""
    CROSS = 3
    """Two vertical diagonal planes with a cut-out texture (flowers, tall grass)."""
    LIQUID = 4
    """Translucent; only the surface towards air is drawn."""


class Tint(IntEnum):
    """The region's colour map that is multiplied into the texture."""

    NONE = 0
    GRASS = 1
    FOLIAGE = 2
    WATER = 3


@dataclass(frozen=True, kw_only=True)
class Block:
    """One kind of block. `side` and `bottom` default to `top`; textures are names in `textures.PAINTERS`."""

    name: str
    top: str
    side: str = ""
    bottom: str = ""
    shape: Shape = Shape.CUBE
    tint: Tint = Tint.NONE
    tint_top_only: bool = False
    """Tint only the top face (grass block)."""
    solid: bool = True
    """Whether the player collides with it."""
    varied: bool = False
    """Whether a hash of the position rotates and flips the top and bottom textures (grass, sand)."""
    light: int = 0
    """Light emitted, 0 to 15."""


PLAIN_COLOURS: MappingProxyType[str, str] = MappingProxyType(
    {
        "red": "d62a2a",
        "orange": "f08019",
        "yellow": "f7d51d",
        "lime": "8fd91f",
        "green": "1f9d3a",
        "teal": "12a594",
        "cyan": "3fd0f0",
        "blue": "2546d8",
        "purple": "7d2bd0",
        "magenta": "d42bb8",
        "pink": "f79ac0",
        "white": "f4f4f4",
        "black": "1c1c20",
        "brown": "7a4a21",
        "wall_north": "a8574b",
        "wall_east": "c2a24a",
        "wall_south": "4f8a5b",
        "wall_west": "4c69a0",
        "ground_sand": "cbbf9c",
        "ground_moss": "96a888",
        "ground_slate": "8b929c",
        "ground_clay": "b59a8c",
    }
)
"""Colours (RRGGBB) of the untextured blocks `plain_NAME`, from which `plaza-v1` is built."""


def _cube(name: str, top: str = "", **rules: object) -> Block:
    return Block(name=name, top=top or name, **rules)  # type: ignore[arg-type]


def _leaves(name: str) -> Block:
    return Block(name=name, top=name, shape=Shape.CUTOUT, tint=Tint.FOLIAGE)


def _plant(name: str, tint: Tint = Tint.NONE) -> Block:
    return Block(name=name, top=name, shape=Shape.CROSS, tint=tint, solid=False)


def _log(kind: str) -> Block:
    return Block(name=f"{kind}_log", top=f"{kind}_log_top", side=f"{kind}_log_side")


BLOCKS: tuple[Block, ...] = (
    Block(name="air", top="", shape=Shape.AIR, solid=False),
    _cube("bedrock"),
    _cube("stone", varied=True),
    _cube("dirt", varied=True),
    Block(
        name="grass",
        top="grass_top",
        side="grass_side",
        bottom="dirt",
        tint=Tint.GRASS,
        tint_top_only=True,
        varied=True,
    ),
    Block(name="snowy_grass", top="snow", side="snowy_grass_side", bottom="dirt", varied=True),
    _cube("sand", varied=True),
    Block(name="sandstone", top="sandstone_top", side="sandstone_side", bottom="sandstone_top"),
    _cube("red_sand", varied=True),
    _cube("terracotta", varied=True),
    _cube("terracotta_orange"),
    _cube("terracotta_yellow"),
    _cube("terracotta_white"),
    _cube("terracotta_brown"),
    _cube("gravel", varied=True),
    _cube("clay", varied=True),
    _cube("mud", varied=True),
    Block(name="podzol", top="podzol_top", side="podzol_side", bottom="dirt", varied=True),
    _cube("snow", varied=True),
    _cube("ice"),
    _cube("granite", varied=True),
    _cube("andesite", varied=True),
    _cube("diorite", varied=True),
    _cube("coal_ore"),
    _cube("iron_ore"),
    _cube("gold_ore"),
    _cube("redstone_ore"),
    _cube("diamond_ore"),
    _cube("cobblestone"),
    _cube("mossy_cobblestone"),
    _cube("stone_bricks"),
    _cube("mossy_stone_bricks"),
    _cube("chiseled_stone"),
    _cube("bricks"),
    _cube("planks_oak"),
    _cube("planks_dark"),
    _cube("glass_frame"),
    _cube("glowstone", light=15),
    _cube("pumpkin", "pumpkin_top", side="pumpkin_side"),
    _cube("hay", "hay_top", side="hay_side"),
    _cube("bookshelf", "planks_oak", side="bookshelf_side"),
    _log("oak"),
    _log("birch"),
    _log("spruce"),
    _log("willow"),
    _log("acacia"),
    _leaves("oak_leaves"),
    _leaves("birch_leaves"),
    _leaves("spruce_leaves"),
    _leaves("willow_leaves"),
    _leaves("acacia_leaves"),
    _cube("cactus", "cactus_top", side="cactus_side"),
    _cube("mushroom_cap_red"),
    _cube("mushroom_cap_brown"),
    _cube("mushroom_stem", "mushroom_pore", side="mushroom_stem"),
    _cube("wool_red"),
    _cube("wool_blue"),
    _cube("wool_yellow"),
    _cube("wool_white"),
    Block(name="water", top="water", shape=Shape.LIQUID, tint=Tint.WATER, solid=False),
    _plant("tall_grass", Tint.GRASS),
    _plant("fern", Tint.GRASS),
    _plant("dandelion"),
    _plant("poppy"),
    _plant("cornflower"),
    _plant("daisy"),
    _plant("tulip_pink"),
    _plant("allium"),
    _plant("blue_orchid"),
    _plant("mushroom_red"),
    _plant("mushroom_brown"),
    _plant("dead_bush"),
    _plant("reeds", Tint.GRASS),
    _plant("sapling"),
    _plant("wheat"),
    _plant("torch"),
    _cube("oak_wood", "oak_log_side"),
    _cube("birch_wood", "birch_log_side"),
    _cube("spruce_wood", "spruce_log_side"),
    _cube("willow_wood", "willow_log_side"),
    _cube("acacia_wood", "acacia_log_side"),
    *(_cube(f"plain_{colour}") for colour in PLAIN_COLOURS),
)

BLOCK_IDS: MappingProxyType[str, int] = MappingProxyType(
    {block.name: index for index, block in enumerate(BLOCKS)}
)
TEXTURE_NAMES: tuple[str, ...] = tuple(
    dict.fromkeys(name for b in BLOCKS for name in (b.top, b.side or b.top, b.bottom or b.top) if name)
)


def rule_array(rule: str) -> np.ndarray:
    """Return one attribute of every block as an array indexed by block id."""
    return np.array([getattr(block, rule) for block in BLOCKS])
