"""The biomes of `voxel-v1` as data: relief, soils, tints, trees, plants and sites of each.

Every value may be changed without touching a kernel; `tables.py` turns the tuple into arrays for them. Order
is part of `voxel-v1` (a hash picks biomes by position): append, never reorder.
"""

from dataclasses import dataclass, field

Rgb = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Biome:
    """One kind of country. Heights in blocks; chances are per column of ground."""

    name: str
    climate: tuple[float, float]
    """The temperatures at which it may occur, within 0 (coldest) to 1."""
    base: float = 47.0
    """Mean height of the ground."""
    hills: float = 7.0
    """Height of the long swells (wavelength about 70)."""
    roll: float = 2.5
    """Height of the short swells (wavelength about 30)."""
    plateau: float = 0.0
    """Height of the table lands, whose edges are cliffs in some places and ramps in others."""
    rough: float = 0.0
    """Displacement by 3-D noise where the country is rough: overhangs and arches."""
    terrace: float = 0.0
    """From 0 (smooth slopes) to 1 (steps of four blocks)."""
    top: str = "grass"
    filler: str = "dirt"
    filler_depth: int = 3
    """Blocks of `filler` between `top` and the rock; one less or more by chance."""
    rock: str = "stone"
    """A row of `tables.STRATA`."""
    bare_rise: float = 7.0
    """Where the ground rises by more within three blocks, rock shows instead of soil."""
    patch: str = "dirt"
    """Replaces `top` in patches."""
    patch_share: float = 0.0
    bed: str = "sand"
    """Ground under water and at its rim."""
    snow_line: float = 68.0
    grass: Rgb = (145, 189, 89)
    foliage: Rgb = (119, 171, 47)
    water: Rgb = (63, 118, 228)
    tree_chance: float = 0.0
    """Chance of a tree (or bush, boulder, log) in a 4 x 4 cell where woods are of average density."""
    trees: dict[str, int] = field(default_factory=dict)
    """Weights of the kinds in `features/trees.py`."""
    plants: dict[str, float] = field(default_factory=dict)
    """Chance of each plant."""
    flowers: tuple[str, ...] = ()
    """Species that grow in patches, one or two to a patch."""
    flower_share: float = 0.3
    """Share of the ground within a patch that flowers."""
    sites: dict[str, int] = field(default_factory=dict)
    """Weights of ponds and landmarks, of 100 cells of 32 x 32; the rest stay empty."""


BIOMES: tuple[Biome, ...] = (
    Biome(
        name="plains",
        climate=(0.2, 0.85),
        base=46,
        hills=3.5,
        roll=1.5,
        plateau=5,
        tree_chance=0.012,
        trees={"oak": 4, "oak_large": 3, "bush": 4, "boulder": 2, "hay_bale": 1},
        plants={"tall_grass": 0.11},
        flowers=("dandelion", "poppy", "cornflower", "daisy", "tulip_pink", "allium"),
        sites={
            "pond": 21,
            "hut": 12,
            "well": 8,
            "farm": 9,
            "tower": 4,
            "flag": 6,
            "pumpkins": 6,
            "stone_circle": 4,
            "ruin": 4,
        },
    ),
    Biome(
        name="forest",
        climate=(0.28, 0.75),
        base=48,
        hills=8,
        roll=3.0,
        plateau=7,
        patch="podzol",
        patch_share=0.15,
        grass=(121, 192, 90),
        foliage=(89, 174, 48),
        tree_chance=0.34,
        trees={
            "oak": 10,
            "oak_tall": 5,
            "oak_large": 4,
            "birch": 2,
            "bush": 4,
            "fallen_oak": 1,
            "boulder": 1,
        },
        plants={"tall_grass": 0.08, "fern": 0.02, "mushroom_red": 0.003, "mushroom_brown": 0.004},
        flowers=("poppy", "daisy", "tulip_pink", "blue_orchid"),
        sites={
            "pond": 18,
            "hut": 8,
            "ruin": 12,
            "well": 4,
            "arch": 5,
            "totem": 6,
            "giant_mushroom": 5,
            "tower": 4,
        },
    ),
    Biome(
        name="birch_forest",
        climate=(0.2, 0.6),
        base=49,
        hills=7,
        roll=2.5,
        plateau=6,
        grass=(136, 187, 103),
        foliage=(128, 176, 72),
        tree_chance=0.30,
        trees={"birch": 10, "birch_tall": 7, "bush_birch": 3, "fallen_birch": 2, "boulder_diorite": 1},
        plants={"tall_grass": 0.09, "fern": 0.01},
        flowers=("daisy", "allium", "cornflower", "dandelion"),
        sites={
            "pond": 20,
            "hut": 7,
            "ruin": 8,
            "obelisk": 8,
            "flag": 4,
            "stone_circle": 7,
            "well": 4,
            "pumpkins": 5,
        },
    ),
    Biome(
        name="taiga",
        climate=(0.0, 0.4),
        base=50,
        hills=9,
        roll=3.0,
        plateau=8,
        rough=5,
        patch="podzol",
        patch_share=0.45,
        bed="gravel",
        snow_line=62,
        grass=(134, 183, 131),
        foliage=(97, 153, 97),
        water=(61, 87, 214),
        tree_chance=0.30,
        trees={
            "spruce": 10,
            "spruce_tall": 6,
            "spruce_thin": 4,
            "fallen_spruce": 2,
            "boulder_mossy": 3,
            "bush_spruce": 2,
        },
        plants={"fern": 0.11, "tall_grass": 0.05, "mushroom_brown": 0.008, "mushroom_red": 0.003},
        flowers=("blue_orchid", "daisy"),
        flower_share=0.1,
        sites={
            "pond": 15,
            "hut": 9,
            "ruin": 8,
            "totem": 9,
            "tower": 6,
            "arch": 6,
            "stone_circle": 6,
            "obelisk": 4,
        },
    ),
    Biome(
        name="snowy_hills",
        climate=(0.0, 0.25),
        base=51,
        hills=12,
        roll=2.6,
        plateau=10,
        rough=6,
        top="snowy_grass",
        patch="snow",
        patch_share=0.35,
        bed="gravel",
        snow_line=58,
        grass=(128, 180, 151),
        foliage=(96, 161, 123),
        water=(57, 56, 201),
        tree_chance=0.06,
        trees={
            "spruce": 5,
            "spruce_thin": 4,
            "spruce_snow": 6,
            "boulder_andesite": 3,
            "dead_tree": 2,
            "ice_spike": 1,
        },
        plants={"fern": 0.012, "dead_bush": 0.004},
        sites={
            "pond": 18,
            "igloo": 16,
            "obelisk": 8,
            "tower": 7,
            "flag": 7,
            "ruin": 6,
            "totem": 4,
            "arch": 4,
        },
    ),
    Biome(
        name="swamp",
        climate=(0.45, 0.8),
        base=40.8,
        hills=1.6,
        roll=2.4,
        patch="mud",
        patch_share=0.25,
        bed="mud",
        grass=(106, 132, 62),
        foliage=(106, 128, 57),
        water=(97, 123, 100),
        tree_chance=0.13,
        trees={
            "willow": 9,
            "willow_tall": 4,
            "oak": 1,
            "bush_willow": 3,
            "fallen_willow": 1,
            "boulder_mossy": 1,
            "dead_tree": 1,
        },
        plants={
            "tall_grass": 0.09,
            "fern": 0.05,
            "mushroom_brown": 0.012,
            "mushroom_red": 0.006,
            "reeds": 0.02,
        },
        flowers=("blue_orchid",),
        flower_share=0.2,
        sites={"hut": 14, "ruin": 9, "giant_mushroom": 9, "totem": 8, "flag": 5, "well": 4, "pumpkins": 5},
    ),
    Biome(
        name="desert",
        climate=(0.68, 1.0),
        base=47,
        hills=6,
        roll=2.4,
        plateau=7,
        rough=4,
        top="sand",
        filler="sand",
        rock="sandstone",
        patch="sandstone",
        patch_share=0.06,
        grass=(191, 183, 85),
        foliage=(174, 164, 42),
        water=(50, 165, 190),
        snow_line=99,
        tree_chance=0.028,
        trees={"cactus": 10, "cactus_arms": 5, "boulder_sandstone": 3, "dead_tree": 1},
        plants={"dead_bush": 0.018},
        sites={
            "pond": 12,
            "pyramid": 14,
            "obelisk": 9,
            "well": 9,
            "hut": 5,
            "arch": 8,
            "ruin": 6,
            "totem": 4,
        },
    ),
    Biome(
        name="savanna",
        climate=(0.62, 0.95),
        base=48,
        hills=4,
        roll=1.6,
        plateau=10,
        rough=5,
        patch="terracotta_brown",
        patch_share=0.05,
        grass=(191, 183, 85),
        foliage=(174, 164, 42),
        water=(70, 140, 150),
        snow_line=99,
        tree_chance=0.06,
        trees={"acacia": 9, "acacia_tall": 4, "bush_acacia": 3, "boulder_granite": 2},
        plants={"tall_grass": 0.19, "dead_bush": 0.006},
        flowers=("poppy", "dandelion"),
        flower_share=0.1,
        sites={
            "pond": 14,
            "hut": 11,
            "farm": 6,
            "totem": 10,
            "tower": 5,
            "flag": 6,
            "stone_circle": 6,
            "well": 4,
        },
    ),
    Biome(
        name="mesa",
        bare_rise=2.6,
        climate=(0.78, 1.0),
        base=47,
        hills=6,
        roll=1.6,
        plateau=16,
        rough=4,
        terrace=0.75,
        top="red_sand",
        filler="red_sand",
        filler_depth=1,
        rock="terracotta",
        patch="terracotta_orange",
        patch_share=0.1,
        bed="red_sand",
        snow_line=99,
        grass=(144, 129, 77),
        foliage=(158, 129, 77),
        water=(90, 150, 140),
        tree_chance=0.022,
        trees={"cactus": 4, "dead_tree": 4, "bush_acacia": 2, "boulder_terracotta": 3},
        plants={"dead_bush": 0.025},
        sites={
            "pond": 9,
            "obelisk": 9,
            "totem": 11,
            "arch": 11,
            "ruin": 7,
            "pyramid": 6,
            "hut": 4,
            "flag": 5,
        },
    ),
    Biome(
        name="mushroom_glade",
        climate=(0.4, 0.65),
        base=47,
        hills=6,
        roll=2.6,
        plateau=5,
        top="podzol",
        patch="grass",
        patch_share=0.35,
        bed="clay",
        grass=(112, 190, 84),
        foliage=(80, 190, 90),
        water=(110, 90, 200),
        tree_chance=0.10,
        trees={
            "mushroom_red": 6,
            "mushroom_brown": 6,
            "mushroom_small": 4,
            "oak_tall": 1,
            "boulder_mossy": 1,
        },
        plants={"mushroom_red": 0.03, "mushroom_brown": 0.03, "fern": 0.03},
        flowers=("allium", "blue_orchid"),
        sites={"pond": 21, "giant_mushroom": 16, "hut": 6, "ruin": 7, "stone_circle": 8, "totem": 6},
    ),
    Biome(
        name="blossom_grove",
        climate=(0.35, 0.6),
        base=50,
        hills=8,
        roll=2.6,
        plateau=6,
        bed="gravel",
        grass=(150, 205, 110),
        foliage=(255, 162, 206),
        water=(93, 183, 239),
        tree_chance=0.15,
        trees={"blossom": 8, "blossom_wide": 5, "bush_birch": 2, "boulder_diorite": 1},
        plants={"tall_grass": 0.10},
        flowers=("tulip_pink", "allium", "daisy"),
        flower_share=0.4,
        sites={"pond": 27, "hut": 6, "arch": 7, "obelisk": 6, "well": 6, "flag": 6, "stone_circle": 5},
    ),
    Biome(
        name="autumn_forest",
        climate=(0.2, 0.5),
        base=49,
        hills=8,
        roll=2.8,
        plateau=7,
        rough=3,
        patch="podzol",
        patch_share=0.3,
        bed="gravel",
        grass=(168, 170, 80),
        foliage=(255, 148, 48),
        water=(60, 110, 190),
        tree_chance=0.24,
        trees={
            "oak": 6,
            "oak_tall": 5,
            "birch": 3,
            "oak_large": 4,
            "bush": 3,
            "fallen_oak": 2,
            "boulder_mossy": 1,
        },
        plants={"tall_grass": 0.08, "fern": 0.04, "mushroom_brown": 0.012, "dead_bush": 0.006},
        flowers=("dandelion", "poppy"),
        flower_share=0.12,
        sites={"pond": 18, "pumpkins": 13, "hut": 9, "ruin": 8, "farm": 4, "well": 5, "tower": 4, "totem": 4},
    ),
    Biome(
        name="stony_highland",
        bare_rise=4.0,
        climate=(0.0, 0.45),
        base=54,
        hills=13,
        roll=3.4,
        plateau=12,
        rough=9,
        terrace=0.25,
        patch="stone",
        patch_share=0.32,
        filler_depth=1,
        bed="gravel",
        snow_line=63,
        grass=(138, 182, 115),
        foliage=(109, 163, 107),
        water=(50, 100, 210),
        tree_chance=0.05,
        trees={
            "spruce": 3,
            "oak": 2,
            "bush": 3,
            "boulder_andesite": 5,
            "boulder_granite": 3,
            "boulder": 4,
            "dead_tree": 1,
        },
        plants={"tall_grass": 0.08, "fern": 0.02},
        flowers=("cornflower", "daisy"),
        flower_share=0.15,
        sites={"pond": 14, "tower": 9, "ruin": 9, "obelisk": 7, "arch": 7, "stone_circle": 6, "hut": 4},
    ),
)
