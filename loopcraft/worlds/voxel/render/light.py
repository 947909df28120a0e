"""Light as in the game: it floods into caves and under trees, and is smoothed at the corners of faces.

Each cell has a level of 0 to 15. Columns open to the sky have 15; from there, and from glowing blocks, light
spreads and loses one level per step (two inside leaves, three inside water). A face's corner averages the
four cells that touch it in the layer in front of the face (see `_average_corners`). Opaque cells count as
dark, so one number combines light and ambient occlusion.
"""

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from loopcraft.core.jit import kernel
from loopcraft.worlds.voxel.core.blocks import Shape

MAX_LEVEL = 15
BRIGHTNESS = np.array([18, 21, 26, 32, 40, 50, 61, 74, 89, 105, 123, 143, 165, 190, 220, 255], np.uint8)
"""Brightness of each level; 255 is full daylight."""

CUBE, CUTOUT, LIQUID = int(Shape.CUBE), int(Shape.CUTOUT), int(Shape.LIQUID)


def fill_corner_light(
    padded: UInt8[np.ndarray, "X Z Y"],
    shape: UInt8[np.ndarray, " B"],
    glow: UInt8[np.ndarray, " B"],
    light: UInt8[np.ndarray, "4 X Z Y"],
) -> None:
    """Compute the brightness of cell corners in the planes across x, y and z, then of the cells themselves.

    Entry [a, x, z, y] for a plane across axis a is the corner at the low end of cell (x, z, y) along both
    other axes, within that cell's layer along a. `shape` and `glow` are block rules indexed by block id.
    """
    levels = flood_levels(padded, shape, glow)
    cells = np.where(shape[padded] == CUBE, np.uint8(0), BRIGHTNESS[levels])
    light[:3], light[3] = 0, cells
    _average_corners(cells, light)


@kernel
def flood_levels(
    padded: UInt8[np.ndarray, "X Z Y"], shape: UInt8[np.ndarray, " B"], glow: UInt8[np.ndarray, " B"]
) -> UInt8[np.ndarray, "X Z Y"]:
    """Return the light level of every cell, uint8 (X, Z, Y). The border must be air under an open sky."""
    size_x, size_z, size_y = padded.shape
    loss = _loss_per_step(shape)
    levels = np.empty(padded.shape, np.uint8)
    roof = np.zeros((size_x, size_z), np.int64)
    for x in range(size_x):
        for z in range(size_z):
            level = MAX_LEVEL
            for y in range(size_y - 1, -1, -1):
                block = padded[x, z, y]
                if shape[block] in (CUBE, CUTOUT, LIQUID):
                    roof[x, z] = max(roof[x, z], y)
                    level = max(level - loss[block], 0)
                levels[x, z, y] = max(level, int(glow[block]))
            # No border cell can be brightened further, so the flood stays inside.
            levels[x, z, 0] = MAX_LEVEL
    steps = np.array([size_z * size_y, -size_z * size_y, size_y, -size_y, 1, -1])
    queue = np.empty(padded.size, np.int32)
    count = 0
    for x in range(1, size_x - 1):
        for z in range(1, size_z - 1):
            highest = max(roof[x, z], roof[x - 1, z], roof[x + 1, z], roof[x, z - 1], roof[x, z + 1])
            for y in range(1, min(highest + 1, size_y - 1)):
                if levels[x, z, y] > 1:
                    queue[count] = (x * size_z + z) * size_y + y
                    count += 1
    _spread(padded.reshape(-1), levels.reshape(-1), loss, steps, queue, count)
    return levels


@kernel
def _loss_per_step(shape: UInt8[np.ndarray, " B"]) -> Int64[np.ndarray, " B"]:
    """Return the light lost on entering a block, by block id."""
    loss = np.ones(len(shape), np.int64)
    loss[shape == CUBE] = MAX_LEVEL
    loss[shape == CUTOUT] = 2
    loss[shape == LIQUID] = 3
    return loss


@kernel
def _spread(
    padded: UInt8[np.ndarray, " V"],
    levels: UInt8[np.ndarray, " V"],
    loss: Int64[np.ndarray, " B"],
    steps: Int64[np.ndarray, " 6"],
    queue: Int32[np.ndarray, " V"],
    count: int,
) -> None:
    """Flood from the queued cells, ring by ring, until nothing brightens; queue a cell once per ring."""
    waiting = np.zeros(levels.size, np.uint8)
    upcoming = np.empty_like(queue)
    while count:
        next_count = 0
        for item in range(count):
            cell = queue[item]
            waiting[cell] = 0
            level = levels[cell]
            for step in steps:
                neighbour = cell + step
                reached = level - loss[padded[neighbour]]
                if reached > levels[neighbour]:
                    levels[neighbour] = reached
                    if not waiting[neighbour]:
                        waiting[neighbour] = 1
                        upcoming[next_count] = neighbour
                        next_count += 1
        queue, upcoming = upcoming, queue
        count = next_count


@kernel
def _average_corners(cells: UInt8[np.ndarray, "X Z Y"], light: UInt8[np.ndarray, "4 X Z Y"]) -> None:
    """Fill the three corner planes except their borders.

    A corner is 0.2 times the brightest of its four cells plus 0.2 times their sum: with equal light, 1.0,
    0.8, 0.6 and 0.4 for none, one, two and three opaque cells.
    """
    size_x, size_z, size_y = cells.shape
    for x in range(1, size_x):
        for z in range(1, size_z):
            centre, west, north, corner = cells[x, z], cells[x - 1, z], cells[x, z - 1], cells[x - 1, z - 1]
            across_x, across_y, across_z = light[0, x, z], light[1, x, z], light[2, x, z]
            for y in range(1, size_y):
                across_x[y] = _corner(centre[y], centre[y - 1], north[y], north[y - 1])
                across_y[y] = _corner(centre[y], west[y], north[y], corner[y])
                across_z[y] = _corner(centre[y], centre[y - 1], west[y], west[y - 1])


@kernel
def _corner(a: np.uint8, b: np.uint8, c: np.uint8, d: np.uint8) -> np.uint8:
    """Return 0.2 max + 0.2 sum in integers (x 51 / 256)."""
    total = np.int32(a) + np.int32(b) + np.int32(c) + np.int32(d)
    brightest = max(max(np.int32(a), np.int32(b)), max(np.int32(c), np.int32(d)))
    return np.uint8((total + brightest) * 51 >> 8)
