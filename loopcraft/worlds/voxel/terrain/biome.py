"""The biome class of `voxel-v1`: plain data, which `tables.py` turns into arrays for the kernels."""

from dataclasses import dataclass, field

Rgb = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Biome:
    """One biome. Heights in blocks; chances are per column of ground."""

    name: str
    climate: tuple[float, float]
    """Range of temperatures at which it can occur, within 0 (coldest) to 1."""
    base: float = 47.0
    """Mean height of the ground."""
    hills: float = 7.0
    """Height of the long swells (wavelength about 70)."""
    roll: float = 2.5
    """Height of the short swells (wavelength about 30)."""
    plateau: float = 0.0
    """Height of the plateaus, whose edges are cliffs in some places and ramps in others."""
    rough: float = 0.0
    """Displacement by 3-D noise in rough areas: overhangs and arches."""
    terrace: float = 0.0
    """From 0 (smooth slopes) to 1 (steps of four blocks)."""
    top: str = "grass"
    filler: str = "dirt"
    filler_depth: int = 3
    """Blocks of `filler` between `top` and the rock, at random one more or less."""
    rock: str = "stone"
    """A key of `tables.STRATA`."""
    bare_rise: float = 7.0
    """Where the ground rises by more within three blocks, rock shows instead of soil."""
    patch: str = "dirt"
    """Replaces `top` in patches."""
    patch_share: float = 0.0
    bed: str = "sand"
    """Ground under water and on its shore."""
    snow_line: float = 68.0
    grass: Rgb = (145, 189, 89)
    foliage: Rgb = (119, 171, 47)
    water: Rgb = (63, 118, 228)
    tree_chance: float = 0.0
    """Chance of a tree (or bush, boulder, log) per 4 x 4 cell where woods are of average density."""
    trees: dict[str, int] = field(default_factory=dict)
    """Weights of the kinds in `features/trees.py`."""
    plants: dict[str, float] = field(default_factory=dict)
    """Chance of each plant."""
    flowers: tuple[str, ...] = ()
    """Species that grow in patches, one or two per patch."""
    flower_share: float = 0.3
    """Share of a patch's ground that has flowers."""
    sites: dict[str, int] = field(default_factory=dict)
    """Number of ponds and landmarks per 100 cells of 32 x 32; the other cells stay empty."""
