"""Search for a starting position: open ground from which a walker who climbs single blocks gets far."""

import numpy as np
from jaxtyping import Int16, UInt8

from loopcraft.core.jit import kernel
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS, BLOCKS

_IS_SOLID = tuple(block.solid for block in BLOCKS)
_WATER, _LEAVES = BLOCK_IDS["water"], tuple(block.name.endswith("_leaves") for block in BLOCKS)
_OPEN_RADIUS = 5
_MIN_REACHED = 1600
_MAX_DROP = 3


@kernel
def _floors(blocks: UInt8[np.ndarray, "X Z 96"]) -> Int16[np.ndarray, "X Z"]:
    """Return the height of the feet on top of each column; 0 where the top is water or leaves."""
    size_x, size_z, height = blocks.shape
    floors = np.zeros((size_x, size_z), np.int16)
    for i in range(size_x):
        for k in range(size_z):
            y = height - 1
            while not _IS_SOLID[blocks[i, k, y]] and blocks[i, k, y] != _WATER:
                y -= 1
            top = blocks[i, k, y]
            floors[i, k] = 0 if top == _WATER or _LEAVES[top] else y + 1
    return floors


@kernel
def _is_open(floors: Int16[np.ndarray, "X Z"], x: int, z: int) -> bool:
    """Return whether the ground around is bare and level to one block nearby, to two farther out."""
    for i in range(x - _OPEN_RADIUS, x + _OPEN_RADIUS + 1):
        for k in range(z - _OPEN_RADIUS, z + _OPEN_RADIUS + 1):
            near = abs(i - x) <= 2 and abs(k - z) <= 2
            if abs(floors[i, k] - floors[x, z]) > (1 if near else 2):
                return False
    return True


@kernel
def _num_reached(floors: Int16[np.ndarray, "X Z"], x: int, z: int) -> int:
    """Count the columns that can be reached with steps of one block up and `_MAX_DROP` down."""
    size_x, size_z = floors.shape
    seen = np.zeros((size_x, size_z), np.bool_)
    stack = np.empty((size_x * size_z, 2), np.int64)
    stack[0, 0], stack[0, 1] = x, z
    seen[x, z] = True
    count, reached = 1, 0
    while count > 0:
        count -= 1
        reached += 1
        x, z = stack[count]
        for dx, dz in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            i, k = x + dx, z + dz
            if i < 0 or k < 0 or i >= size_x or k >= size_z or seen[i, k] or floors[i, k] == 0:
                continue
            if -_MAX_DROP <= floors[i, k] - floors[x, z] <= 1:
                seen[i, k] = True
                stack[count, 0], stack[count, 1] = i, k
                count += 1
    return reached


@kernel
def open_ground(blocks: UInt8[np.ndarray, "X Z 96"]) -> tuple[int, int, int]:
    """Find the open position (x, feet y, z) nearest the box's centre that leads far; y = 0 if none does."""
    floors = _floors(blocks)
    size_x, size_z = floors.shape
    best, position = 1 << 30, (0, 0, 0)
    for x in range(_OPEN_RADIUS, size_x - _OPEN_RADIUS):
        for z in range(_OPEN_RADIUS, size_z - _OPEN_RADIUS):
            distance = (x - size_x // 2) ** 2 + (z - size_z // 2) ** 2
            if distance >= best or floors[x, z] == 0 or not _is_open(floors, x, z):
                continue
            if _num_reached(floors, x, z) >= _MIN_REACHED:
                best, position = distance, (x, int(floors[x, z]), z)
    return position
