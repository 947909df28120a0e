"""Single colours, for blocks that are told apart by nothing else."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from loopcraft.worlds.voxel.core.blocks import PLAIN_COLOURS
from loopcraft.worlds.voxel.textures.paint import SIZE, Painter, Texture, paint, palette


def _plain(colour: str, _: np.random.Generator) -> Texture:
    """One colour all over."""
    return paint(np.zeros((SIZE, SIZE), np.int64), palette(colour))


PAINTERS: Mapping[str, Painter] = {
    f"plain_{name}": partial(_plain, colour) for name, colour in PLAIN_COLOURS.items()
}
