"""Textures of trees: bark, end grain, leaves and planks."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from loopcraft.worlds.voxel.textures.paint import (
    CLEAR,
    COL,
    EDGE,
    ROW,
    SIZE,
    Painter,
    Texture,
    draws,
    mottle,
    mottled,
    noise,
    paint,
    palette,
    quantise,
    scatter,
    stamp,
)


def _birch_bark(rng: np.random.Generator) -> Texture:
    """Paint white bark with horizontal dark slits."""
    index = mottle(rng, (1, 4, 4), 2, 4) + 2
    motifs = ("0000/.11", "000", "11", "00/.1", "0001", "11", "000")
    for step, (motif, right) in enumerate(zip(motifs, draws(rng, len(motifs), 4), strict=True)):
        stamp(index, motif, step * SIZE // len(motifs), 6 * step + right)
    return paint(index, palette("35322d 6b675e c6c4bc d6d5cf e3e2de"))


def _end_grain(bark: str, wood: str, rng: np.random.Generator) -> Texture:
    """Paint eight-sided growth rings inside a rim of bark."""
    down, across = np.abs(2 * ROW - 15), np.abs(2 * COL - 15)
    ring = np.maximum(10 * np.maximum(down, across), 6 * (down + across)) // 20
    grain = mottle(rng, (1, 6, 1), 1, 2) - 1
    index = np.where(ring % 2 == 0, 3 + np.minimum(grain, 0), 1 + np.maximum(grain, 0))
    rim = paint(mottle(rng, (3, 4, 4, 2), 2, 2), palette(bark))
    rings = paint(np.where(ring > 6, 0, index), palette(wood))
    return np.where((EDGE == 0)[..., None], rim, rings)


def _planks(colours: str, rng: np.random.Generator) -> Texture:
    """Paint four courses of boards with long grain, dark gaps and one joint per course."""
    course = ROW // 4
    joint = (np.array([3, 11, 6, 14]) + draws(rng, 4, 2))[course]
    tone = np.array([0, 1, 1, 0, 0, 1, 1, 0])[2 * course + (joint < COL)]
    grain = mottle(rng, (2, 5, 3), 1, 6) + 2
    return paint(np.where(ROW % 4 == 3, 0, np.where(joint == COL, 1, grain + tone)), palette(colours))


LEAF_SHADES = "898989 9e9e9e b4b4b4 cacaca dedede"


def _leaves(motifs: Sequence[str], rows: int, cols: int, rng: np.random.Generator) -> Texture:
    """Paint lit leaves on a dark thicket whose thinnest parts, over a quarter of the texture, are holes."""
    leaves = np.full((SIZE, SIZE), CLEAR)
    for step, (row, col) in enumerate(scatter(rng, rows, cols)):
        stamp(leaves, motifs[step % len(motifs)], row, col)
    thicket = mottle(rng, (3, 2), 2, 2)
    thickness = noise(rng, 3, 3) + np.where(leaves == CLEAR, 0, 1 << 20)
    hole = quantise(thickness, (27, 73)) == 0
    return paint(np.where(hole, CLEAR, np.maximum(thicket, leaves)), palette(LEAF_SHADES))


BARKS: Mapping[str, tuple[str, str, int]] = {
    "oak": ("4b3a22 5e4a2c 6e5835 7e6640", "8a6b3f a17f4d b18e58 bd9a62", 5),
    "spruce": ("2f1f12 3b2817 48321d 543c25", "664728 785633 876439 936f44", 4),
    "willow": ("403c2f 514c3b 605b48 716c55", "736b4c 8a8160 9a9069 a69c76", 7),
    "acacia": ("57514a 676059 756e66 847c73", "8e4f30 a35d39 b16742 bc734d", 5),
}
"""Shades of bark and of wood, and the length of the bark's furrows."""

PAINTERS: Mapping[str, Painter] = {
    **{f"{kind}_log_side": mottled(bark, (3, 4, 4, 2), tall, 1) for kind, (bark, _, tall) in BARKS.items()},
    **{f"{kind}_log_top": partial(_end_grain, bark, wood) for kind, (bark, wood, _) in BARKS.items()},
    "birch_log_side": _birch_bark,
    "birch_log_top": partial(_end_grain, "8f8d86 b5b3ac cfcdc7 e0dfda", "a8946a bfab7c cdbb8b d7c699"),
    "oak_leaves": partial(_leaves, ("343/232/.21", "34/232/121", ".43/332/211"), 4, 3),
    "birch_leaves": partial(_leaves, ("43/32", "34/22", ".4/32"), 5, 4),
    "spruce_leaves": partial(_leaves, ("3.4/.3./232/.2", "4.3/232/.2.", "3.3/.4./2.2"), 4, 4),
    "willow_leaves": partial(_leaves, ("4/3/33/2/1", ".4/3/3/2/2", "34/3/2/2"), 3, 6),
    "acacia_leaves": partial(_leaves, ("3443/.221", ".4343/22.1", "4433/.22"), 5, 3),
    "planks_oak": partial(_planks, "66502c 7d6136 98794a a58552 b0915c bb9b66"),
    "planks_dark": partial(_planks, "24170b 332211 412c17 4b341c 543c22 5c4328"),
}
