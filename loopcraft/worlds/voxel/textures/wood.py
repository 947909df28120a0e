"""Trees: bark, end grain, leaves and what carpenters make of them."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from loopcraft.worlds.voxel.textures.paint import (
    CLEAR,
    COL,
    ROW,
    SIZE,
    Indices,
    Painter,
    Texture,
    draws,
    mottle,
    noise,
    paint,
    palette,
    quantise,
    scatter,
    stamp,
)


def _bark(colours: str, tall: int, rng: np.random.Generator) -> Texture:
    """Upright furrows of the given length."""
    return paint(mottle(rng, (3, 4, 4, 2), tall, 1), palette(colours))


def _birch_bark(rng: np.random.Generator) -> Texture:
    """White skin with dark lenticels lying across it."""
    index = mottle(rng, (1, 4, 4), 2, 4) + 2
    shapes = ("0000/.11", "000", "11", "00/.1", "0001", "11", "000")
    rows, cols = (
        np.arange(len(shapes)) * 16 // len(shapes) + draws(rng, len(shapes), 2),
        draws(rng, len(shapes), SIZE),
    )
    for shape, row, col in zip(shapes, rows, cols, strict=True):
        stamp(index, shape, int(row), int(col))
    return paint(index, palette("35322d 6b675e c6c4bc d6d5cf e3e2de"))


def _end_grain(bark: str, wood: str, rng: np.random.Generator) -> Texture:
    """Growth rings inside a rim of bark."""
    away = np.maximum(np.abs(2 * ROW - 15), np.abs(2 * COL - 15)) // 2
    corner = np.abs(2 * ROW - 15) + np.abs(2 * COL - 15) >= 22
    ring = np.where(away % 2 == 0, 2, 1) - (corner & (away < 7))
    grain = mottle(rng, (1, 7, 1), 1, 2) - 1
    rim = mottle(rng, (3, 4, 4, 2), 2, 2)
    rings = paint(np.clip(ring + np.where(away % 2 == 0, grain, 0), 0, 3), palette(wood))
    return np.where((away == 7)[..., None], paint(rim, palette(bark)), rings)


def board_joints(rng: np.random.Generator) -> Indices:
    """Labels of the boards of a wall of planks: four courses, each jointed once."""
    joints = (np.array([3, 11, 7, 15]) + draws(rng, 4, 2))[ROW // 4]
    return ROW // 4 * 2 + (joints < COL)


def planks(colours: str, rng: np.random.Generator) -> Texture:
    """Four boards with long grain, dark gaps and a nail at each joint."""
    label = board_joints(rng)
    grain = mottle(rng, (2, 5, 3), 1, 6) + 2
    tone = np.array([0, 1, 0, 0, 1, 0, 0, 1])[label]
    gap = ROW % 4 == 3
    joint = (np.roll(label, -1, 1) != label) & (COL < 15)
    return paint(np.where(gap, 0, np.where(joint, 1, grain + tone)), palette(colours))


LEAF_SHADES = "858585 9c9c9c b4b4b4 cbcbcb e2e2e2"


def _leaves(shapes: Sequence[str], rows: int, cols: int, rng: np.random.Generator) -> Texture:
    """Lit leaf motifs on a dark thicket, whose thinnest parts are holes: three tenths of the texture."""
    index = mottle(rng, (3, 2), 2, 2)
    leaves = np.full((SIZE, SIZE), CLEAR)
    for step, (row, col) in enumerate(scatter(rng, rows, cols)):
        stamp(leaves, shapes[step % len(shapes)], int(row), int(col))
    thickness = noise(rng, 2, 2) + np.where(leaves == CLEAR, 0, 1 << 20)
    holes = quantise(thickness, (3, 7)) == 0
    return paint(np.where(holes, CLEAR, np.maximum(index, leaves)), palette(LEAF_SHADES))


BARKS: Mapping[str, tuple[str, str, int]] = {
    "oak": ("4b3a22 5e4a2c 715a37 836942", "8a6b3f a17f4d b59159 c29f67", 5),
    "spruce": ("2c1d10 3a2716 48321d 573e26", "6b4c2b 7c5a35 8d683f 9a754a", 4),
    "willow": ("3f3b2e 514c3b 625d49 757058", "7a7252 8e8562 a0966f ada37c", 7),
    "acacia": ("57514a 676059 777068 877f76", "8e4f30 a35d39 b46a43 c07850", 5),
}
BIRCH_RIM = "8f8d86 b5b3ac cfcdc7 e0dfda"

PAINTERS: Mapping[str, Painter] = {
    **{f"{kind}_log_side": partial(_bark, bark, tall) for kind, (bark, _, tall) in BARKS.items()},
    **{f"{kind}_log_top": partial(_end_grain, bark, wood) for kind, (bark, wood, _) in BARKS.items()},
    "birch_log_side": _birch_bark,
    "birch_log_top": partial(_end_grain, BIRCH_RIM, "a8946a bca77a cbb88b d7c69b"),
    "oak_leaves": partial(_leaves, ("343/232/.21", "34/232/121", ".43/332/211"), 4, 3),
    "birch_leaves": partial(_leaves, ("43/32", "34/22", ".4/32"), 5, 4),
    "spruce_leaves": partial(_leaves, ("3.4/.3./232/.2", "4.3/232/.2.", "3.3/.4./2.2"), 4, 4),
    "willow_leaves": partial(_leaves, ("4/3/33/2/1", ".4/3/3/2/2", "34/3/2/2"), 3, 6),
    "acacia_leaves": partial(_leaves, ("3443/.221", ".4343/22.1", "4433/.22"), 5, 3),
    "planks_oak": partial(planks, "5f4826 7d6136 98794a a58552 b3935d bd9e68"),
    "planks_dark": partial(planks, "24170b 332211 412c17 4b341c 553c22 5e4428"),
}
