"""Tools for drawing landmarks: dice that depend only on a key, and a small canvas of blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, UInt8

from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS

Item = TypeVar("Item")

KEEP = 255
"""Leaves the existing block in place."""

_MASK = (1 << 64) - 1


class Dice:
    """Random draws by splitmix64: a key gives the same draws with every version of every library."""

    def __init__(self, key: int) -> None:
        self._state = key & _MASK

    def bits(self) -> int:
        """Return 32 fresh bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        h = self._state
        h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & _MASK
        return (h ^ (h >> 31)) >> 32

    def between(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included."""
        return low + self.bits() % (high - low + 1)

    def pick(self, items: Sequence[Item]) -> Item:
        """Return one of the items."""
        return items[self.bits() % len(items)]

    def chance(self, percent: int) -> bool:
        """Return True with a probability of `percent` in 100."""
        return self.bits() % 100 < percent


@dataclass(frozen=True, kw_only=True)
class Template:
    """Blocks to stamp into the world, laid out like a region: (X, Z, Y), y fastest."""

    blocks: UInt8[np.ndarray, "X Z Y"]
    foundation: int = BLOCK_IDS["cobblestone"]
    """Block that fills the gap between the lowest layer and the ground."""
    drape: bool = False
    """Whether each column stands on its own ground; otherwise all stand on one level."""


class Canvas:
    """A box of `KEEP` on which blocks are drawn by name."""

    def __init__(self, size_x: int, size_y: int, size_z: int) -> None:
        self.blocks = np.full((size_x, size_z, size_y), KEEP, np.uint8)

    def box(self, x: tuple[int, int], y: tuple[int, int], z: tuple[int, int], block: str) -> None:
        """Fill a box; both ends of each range are included."""
        self.blocks[x[0] : x[1] + 1, z[0] : z[1] + 1, y[0] : y[1] + 1] = BLOCK_IDS[block]

    def put(self, x: int, y: int, z: int, block: str) -> None:
        """Set one block."""
        self.blocks[x, z, y] = BLOCK_IDS[block]

    def walls(self, x: tuple[int, int], y: tuple[int, int], z: tuple[int, int], block: str) -> None:
        """Draw the four walls around a box, including their corners."""
        for side in x:
            self.box((side, side), y, z, block)
        for side in z:
            self.box(x, y, (side, side), block)

    def speckle(self, dice: Dice, old: str, new: str, percent: int) -> None:
        """Replace about `percent` of one block with another (moss, weathering)."""
        keys = dice.bits() + np.arange(self.blocks.size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        draws = ((keys ^ (keys >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(40)
        chosen = (draws % np.uint64(100) < percent).reshape(self.blocks.shape)
        self.blocks[(self.blocks == BLOCK_IDS[old]) & chosen] = BLOCK_IDS[new]

    def where(self, mask: Bool[np.ndarray, "X Z Y"], block: str) -> None:
        """Set all blocks in a mask."""
        self.blocks[mask] = BLOCK_IDS[block]

    def turned(self, quarters: int) -> UInt8[np.ndarray, "X Z Y"]:
        """Return the blocks rotated about the vertical axis by `quarters` of a turn."""
        return np.ascontiguousarray(np.rot90(self.blocks, quarters))
