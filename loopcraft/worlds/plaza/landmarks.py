"""The landmarks of `plaza-v1`: a few plain shapes in one or two colours, drawn at random from a seed."""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from loopcraft.worlds.voxel.features.canvas import Canvas, Dice

LANDMARK_COLOURS = (
    "red",
    "orange",
    "yellow",
    "lime",
    "green",
    "teal",
    "cyan",
    "blue",
    "purple",
    "magenta",
    "pink",
    "white",
    "black",
    "brown",
)
TALLEST_BLOCKS = 5


def draw_landmark(dice: Dice) -> UInt8[np.ndarray, "X Z Y"]:
    """Draw a landmark as a box of blocks, at most 3 x 3 wide and `TALLEST_BLOCKS` high.

    Cells that are not part of it hold `KEEP`.
    """
    first = dice.pick(LANDMARK_COLOURS)
    second = dice.pick([colour for colour in LANDMARK_COLOURS if colour != first])
    canvas = dice.pick(SHAPES)(dice, f"plain_{first}", f"plain_{second}")
    return canvas.turned(dice.between(0, 3))


def _column(dice: Dice, first: str, second: str) -> Canvas:
    """A tower one block wide."""
    return _tower(dice, 1, dice.between(3, TALLEST_BLOCKS), first, second)


def _pillar(dice: Dice, first: str, second: str) -> Canvas:
    """A tower two blocks wide."""
    return _tower(dice, 2, dice.between(2, TALLEST_BLOCKS), first, second)


def _cube(dice: Dice, first: str, second: str) -> Canvas:
    """A tower as high as it is wide."""
    side = dice.between(2, 3)
    return _tower(dice, side, side, first, second)


def _tower(dice: Dice, width: int, height: int, first: str, second: str) -> Canvas:
    """A square tower; with probability 0.5 its upper part has the second colour."""
    canvas = Canvas(width, height, width)
    whole = (0, width - 1)
    canvas.box(whole, (0, height - 1), whole, first)
    if dice.chance(50):
        canvas.box(whole, (dice.between(1, height - 1), height - 1), whole, second)
    return canvas


def _arch(dice: Dice, first: str, second: str) -> Canvas:
    """Two posts and a beam; the agent can walk under it."""
    height = dice.between(4, TALLEST_BLOCKS)
    canvas = Canvas(3, height, 1)
    for x in (0, 2):
        canvas.box((x, x), (0, height - 2), (0, 0), first)
    canvas.box((0, 2), (height - 1, height - 1), (0, 0), second)
    return canvas


def _steps(dice: Dice, first: str, second: str) -> Canvas:
    """Three steps, which the agent can climb; the last may have the second colour."""
    canvas = Canvas(3, 3, 2)
    for x in range(3):
        canvas.box((x, x), (0, x), (0, 1), second if x == 2 and dice.chance(50) else first)
    return canvas


def _wall(dice: Dice, first: str, second: str) -> Canvas:
    """A wall three blocks long, in one or two colours."""
    height = dice.between(2, 4)
    canvas = Canvas(3, height, 1)
    canvas.box((0, 2), (0, height - 1), (0, 0), first)
    if dice.chance(50):
        canvas.box((1, 1), (0, height - 1), (0, 0), second)
    return canvas


SHAPES: tuple[Callable[[Dice, str, str], Canvas], ...] = (_column, _pillar, _cube, _arch, _steps, _wall)
"""All kinds of landmarks, equally likely."""
