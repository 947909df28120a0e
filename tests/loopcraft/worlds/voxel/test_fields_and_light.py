"""Octant fields and light against their definitions, on small random volumes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS, rule_array
from loopcraft.worlds.voxel.render.light import BRIGHTNESS, fill_corner_light, flood_levels
from loopcraft.worlds.voxel.render.octant_fields import (
    HIT,
    MAX_WIDTH,
    NUM_HEIGHTS,
    box_height,
    box_width,
    fill_octant_fields,
)

STONE, LEAVES, WATER, FLOWER = (BLOCK_IDS[name] for name in ("stone", "oak_leaves", "water", "poppy"))
SHAPE = rule_array("shape").astype(np.uint8)
GLOW = rule_array("light").astype(np.uint8)
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


def random_volume(seed: int, share: float, size: tuple[int, int, int]) -> np.ndarray:
    """A padded volume (X, Z, Y) with a share of random blocks."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice([STONE, LEAVES, WATER, FLOWER, BLOCK_IDS["glowstone"]], size)
    return np.pad(np.where(rng.random(size) < share, kinds, 0).astype(np.uint8), 1)


def widest_box(volume: np.ndarray, x: int, z: int, y: int, height: int) -> int:
    """Width of the widest empty box of a height from a voxel towards +x, +z, +y, clear of the border."""
    limits = [size - 1 for size in volume.shape]
    width = 0
    while width < MAX_WIDTH:
        ends = (x + width + 1, z + width + 1, y + height)
        if any(end > limit for end, limit in zip(ends, limits, strict=True)):
            break
        if volume[x : ends[0], z : ends[1], y : ends[2]].any():
            break
        width += 1
    return width


def chosen_box(volume: np.ndarray, x: int, z: int, y: int) -> tuple[int, int]:
    """Width and height of the box with the longest shortest side: the lowest, grown to its full height."""
    heights = [1 << power for power in range(NUM_HEIGHTS)]
    boxes = [(widest_box(volume, x, z, y, height), height) for height in heights]
    best = max(boxes, key=min)
    return max((box for box in boxes if box[0] == best[0] and box[1] >= best[1]), key=lambda box: box[1])


@settings(max_examples=30, derandomize=True, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    share=st.sampled_from([0.0, 0.005, 0.02, 0.2, 0.6]),
    size=st.sampled_from([(5, 7, 6), (11, 9, 19)]),
)
def test_every_octant_field_holds_a_large_empty_box(
    seed: int, share: float, size: tuple[int, int, int]
) -> None:
    padded = random_volume(seed, share, size)
    fields = np.empty((8, *padded.shape), np.uint8)
    fill_octant_fields(padded, fields)
    rng = np.random.default_rng(seed)
    for octant in range(8):
        flips = tuple(slice(None, None, -1 if octant & bit else 1) for bit in (1, 2, 4))
        mirrored = padded[flips]
        for x, z, y in rng.permutation(list(np.ndindex(*padded.shape)))[:300]:
            byte = fields[octant, x, z, y]
            inside = all(0 < v < limit - 1 for v, limit in zip((x, z, y), padded.shape, strict=True))
            if not inside:
                assert byte == HIT
            elif mirrored[x, z, y]:
                assert byte == HIT + mirrored[x, z, y]
            else:
                width, height = chosen_box(mirrored, x, z, y)
                assert box_height.py_func(int(byte)) == height
                # Only some widths have a code: the stored one is the largest of them that fits.
                stored = box_width.py_func(int(byte))
                assert stored == max(coded for coded in WIDTHS if coded <= width)


def test_boxes_in_open_sky_have_the_widest_code_that_fits() -> None:
    padded = np.zeros((90, 90, 40), np.uint8)
    fields = np.empty((8, *padded.shape), np.uint8)
    fill_octant_fields(padded, fields)
    assert (box_width.py_func(int(fields[0, 1, 1, 1])), box_height.py_func(int(fields[0, 1, 1, 1]))) == (
        64,
        32,
    )
    assert (box_width.py_func(int(fields[0, 60, 1, 37])), box_height.py_func(int(fields[0, 60, 1, 37]))) == (
        24,
        2,
    )


def relax_levels(padded: np.ndarray) -> np.ndarray:
    """Compute light levels by applying the rule everywhere until nothing changes."""
    cost = np.array([1, 15, 2, 1, 3])[SHAPE]
    levels = np.zeros(padded.shape, int)
    for x, z in np.ndindex(*padded.shape[:2]):
        level = 15
        for y in range(padded.shape[2] - 1, -1, -1):
            if SHAPE[padded[x, z, y]] in (1, 2, 4):
                level = max(level - cost[padded[x, z, y]], 0)
            levels[x, z, y] = max(level, GLOW[padded[x, z, y]])
    inner = (slice(1, -1),) * 3
    while True:
        best = levels.copy()
        for axis in range(3):
            for shift in (-1, 1):
                neighbour = np.roll(levels, shift, axis)[inner]
                lit = neighbour - cost[padded[inner]]
                # Light from the border counts only through the column pass: the border is open sky.
                ok = np.ones_like(lit, bool)
                edge = [slice(None)] * 3
                edge[axis] = slice(0, 1) if shift == 1 else slice(-1, None)
                ok[tuple(edge)] = False
                best[inner] = np.where(ok, np.maximum(best[inner], lit), best[inner])
        if np.array_equal(best, levels):
            return levels
        levels = best


@settings(max_examples=30, derandomize=True, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.sampled_from([0.1, 0.4, 0.7]))
def test_flooded_light_matches_the_rule(seed: int, share: float) -> None:
    padded = random_volume(seed, share, (6, 6, 7))
    padded[1:-1, 1:-1, 5] = np.where(padded[1:-1, 1:-1, 5] == 0, STONE, padded[1:-1, 1:-1, 5])
    inner = (slice(1, -1),) * 3
    assert np.array_equal(flood_levels(padded, SHAPE, GLOW)[inner], relax_levels(padded)[inner])


def test_a_corner_is_darker_the_more_it_is_hemmed_in() -> None:
    padded = np.zeros((6, 6, 6), np.uint8)
    padded[1:5, 1:5, 1] = STONE
    for blocks, expected in (
        ((), 1.0),
        (((2, 2),), 0.8),
        (((2, 2), (1, 1)), 0.6),
        (((2, 2), (1, 1), (1, 2)), 0.4),
    ):
        volume = padded.copy()
        for x, z in blocks:
            volume[x, z, 2] = STONE
        light = np.empty((4, *volume.shape), np.uint8)
        fill_corner_light(volume, SHAPE, GLOW, light)
        brightest = BRIGHTNESS[flood_levels(volume, SHAPE, GLOW)][1:3, 1:3, 2].max()
        assert abs(int(light[1, 2, 2, 2]) - expected * brightest) <= 3


def test_glowstone_lights_a_closed_room() -> None:
    padded = np.full((9, 9, 9), STONE, np.uint8)
    padded[2:7, 2:7, 2:7] = 0
    levels = flood_levels(padded, SHAPE, GLOW)
    assert levels[4, 4, 4] == 0
    padded[2, 4, 4] = BLOCK_IDS["glowstone"]
    levels = flood_levels(padded, SHAPE, GLOW)
    assert levels[3:7, 4, 4].tolist() == [14, 13, 12, 11]
