"""The court of `plaza-v1`: flat ground, four walls in four colours, and landmarks with space between them.

A court is a pure function of the world's seed. It is small, so it is built all at once.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, UInt8

from loopcraft.core.seeding import generator, integer_seed
from loopcraft.worlds.plaza.landmarks import draw_landmark
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS
from loopcraft.worlds.voxel.features.canvas import KEEP, Dice
from loopcraft.worlds.voxel.terrain.region import HEIGHT_BLOCKS, Region

SIDE_BLOCKS = 34
"""The court inside its walls: cells 0 to 33 along x and z."""
WALL_HEIGHT_BLOCKS = 8
"""Too high to look over from the top of any landmark."""
OUTSIDE_BLOCKS = 5
"""Width of the ground beyond the walls: invisible, but the player's simulation needs a margin."""
GROUND_BLOCKS = 4
"""Height of the feet of a player on the ground."""
MIN_LANDMARKS, MAX_LANDMARKS = 15, 25
GAP_BLOCKS = 2
"""Free cells between landmarks, and between landmarks and walls."""
START_RADIUS_BLOCKS = 2
GROUNDS = ("ground_sand", "ground_moss", "ground_slate", "ground_clay")

_CORNER = -(OUTSIDE_BLOCKS + 1)
_EXTENT = SIDE_BLOCKS + 2 * (OUTSIDE_BLOCKS + 1)


@lru_cache(maxsize=8)
def court(seed: int) -> Region:
    """Build the whole court of a seed, with its walls and some ground around them."""
    dice = Dice(integer_seed(seed, "plaza-v1/court"))
    blocks = np.zeros((_EXTENT, _EXTENT, HEIGHT_BLOCKS), np.uint8)
    _lay_ground(blocks, dice)
    _build_walls(blocks)
    _place_landmarks(blocks[-_CORNER:, -_CORNER:, GROUND_BLOCKS:], dice)
    blocks.setflags(write=False)
    white = np.full((_EXTENT, _EXTENT, 3), 255, np.uint8)
    return Region(
        x0=_CORNER, z0=_CORNER, blocks=blocks, grass_tint=white, foliage_tint=white, water_tint=white
    )


def find_start(seed: int) -> tuple[float, float, float, float]:
    """Return an episode's start, with room on all sides: x, y, z of the feet and yaw in degrees."""
    inside = slice(-_CORNER, -_CORNER + SIDE_BLOCKS)
    is_free = court(seed).blocks[inside, inside, GROUND_BLOCKS] == BLOCK_IDS["air"]
    cells = np.argwhere(_with_room(is_free))
    rng = generator(seed, "plaza-v1/start")
    distance = np.abs(cells - SIDE_BLOCKS // 2).max(axis=1)
    near = cells[distance <= max(SIDE_BLOCKS // 4, distance.min())]
    x, z = near[rng.integers(len(near))]
    return x + 0.5, float(GROUND_BLOCKS), z + 0.5, 10.0 * float(rng.integers(-18, 18))


def _with_room(is_free: Bool[np.ndarray, "S S"]) -> Bool[np.ndarray, "S S"]:
    """Whether all cells within `START_RADIUS_BLOCKS` of each cell are free."""
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(is_free, START_RADIUS_BLOCKS), (2 * START_RADIUS_BLOCKS + 1,) * 2
    )
    return np.asarray(windows.all(axis=(2, 3)))


def _lay_ground(blocks: UInt8[np.ndarray, "X Z Y"], dice: Dice) -> None:
    """Lay bedrock, and ground in one colour or, with probability 0.5, two that meet in a straight line."""
    first = dice.pick(GROUNDS)
    second = dice.pick([name for name in GROUNDS if name != first]) if dice.chance(50) else first
    border = -_CORNER + dice.between(SIDE_BLOCKS // 3, 2 * SIDE_BLOCKS // 3)
    blocks[..., 0] = BLOCK_IDS["bedrock"]
    blocks[..., 1:GROUND_BLOCKS] = BLOCK_IDS[f"plain_{first}"]
    zone = blocks[border:] if dice.chance(50) else blocks[:, border:]
    zone[..., 1:GROUND_BLOCKS] = BLOCK_IDS[f"plain_{second}"]


def _build_walls(blocks: UInt8[np.ndarray, "X Z Y"]) -> None:
    """Build four walls, each in its own colour, the same in every court, so that they serve as a compass."""
    low, high = -_CORNER - 1, -_CORNER + SIDE_BLOCKS
    heights = slice(GROUND_BLOCKS, GROUND_BLOCKS + WALL_HEIGHT_BLOCKS)
    along = slice(low, high + 1)
    blocks[along, low, heights] = BLOCK_IDS["plain_wall_north"]
    blocks[along, high, heights] = BLOCK_IDS["plain_wall_south"]
    blocks[low, along, heights] = BLOCK_IDS["plain_wall_west"]
    blocks[high, along, heights] = BLOCK_IDS["plain_wall_east"]


def _place_landmarks(court_blocks: UInt8[np.ndarray, "X Z Y"], dice: Dice) -> None:
    """Add landmarks at a distance from each other, in place; the middle stays free for the start."""
    is_taken = np.zeros((SIDE_BLOCKS, SIDE_BLOCKS), bool)
    middle = slice(SIDE_BLOCKS // 2 - START_RADIUS_BLOCKS, SIDE_BLOCKS // 2 + START_RADIUS_BLOCKS + 1)
    is_taken[middle, middle] = True
    wanted, placed, tries = dice.between(MIN_LANDMARKS, MAX_LANDMARKS), 0, 0
    while placed < wanted and (tries < 40 * wanted or placed < MIN_LANDMARKS):
        tries += 1
        drawing = draw_landmark(dice)
        size_x, size_z, height = drawing.shape
        x = dice.between(GAP_BLOCKS, SIDE_BLOCKS - GAP_BLOCKS - size_x)
        z = dice.between(GAP_BLOCKS, SIDE_BLOCKS - GAP_BLOCKS - size_z)
        low_x, low_z = x - GAP_BLOCKS, z - GAP_BLOCKS
        if is_taken[low_x : x + size_x + GAP_BLOCKS, low_z : z + size_z + GAP_BLOCKS].any():
            continue
        target = court_blocks[x : x + size_x, z : z + size_z, :height]
        target[drawing != KEEP] = drawing[drawing != KEEP]
        is_taken[x : x + size_x, z : z + size_z] = True
        placed += 1
