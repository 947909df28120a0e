"""What landmarks are drawn with: dice that depend on a key alone, and a small canvas of blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, UInt8

from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS

Item = TypeVar("Item")

KEEP = 255
"""Leave what is there."""

_MASK = (1 << 64) - 1


class Dice:
    """Draws from splitmix64: the same bytes for the same key with every version of every library."""

    def __init__(self, key: int) -> None:
        self._state = key & _MASK

    def bits(self) -> int:
        """32 fresh bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        h = self._state
        h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & _MASK
        return (h ^ (h >> 31)) >> 32

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.bits() % (high - low + 1)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.bits() % len(items)]

    def chance(self, percent: int) -> bool:
        """True in so many of 100 draws."""
        return self.bits() % 100 < percent


@dataclass(frozen=True, kw_only=True)
class Template:
    """Blocks to stamp into the world, laid out as a region is: (X, Z, Y), y fastest."""

    blocks: UInt8[np.ndarray, "X Z Y"]
    foundation: int = BLOCK_IDS["cobblestone"]
    """Fills the gap between the lowest layer and the ground."""
    drape: bool = False
    """Each column follows the ground, its lowest block just above it; else all stand on one level."""


class Canvas:
    """A box of `KEEP` that is drawn upon by block names."""

    def __init__(self, size_x: int, size_y: int, size_z: int) -> None:
        self.blocks = np.full((size_x, size_z, size_y), KEEP, np.uint8)

    def box(self, x: tuple[int, int], y: tuple[int, int], z: tuple[int, int], block: str) -> None:
        """Fill a box; both ends of each range are included."""
        self.blocks[x[0] : x[1] + 1, z[0] : z[1] + 1, y[0] : y[1] + 1] = BLOCK_IDS[block]

    def put(self, x: int, y: int, z: int, block: str) -> None:
        """Set one block."""
        self.blocks[x, z, y] = BLOCK_IDS[block]

    def walls(self, x: tuple[int, int], y: tuple[int, int], z: tuple[int, int], block: str) -> None:
        """The four walls around a box, their corners included."""
        for side in x:
            self.box((side, side), y, z, block)
        for side in z:
            self.box(x, y, (side, side), block)

    def speckle(self, dice: Dice, old: str, new: str, percent: int) -> None:
        """Turn some of one block into another (moss, weather)."""
        keys = dice.bits() + np.arange(self.blocks.size, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        draws = ((keys ^ (keys >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(40)
        chosen = (draws % np.uint64(100) < percent).reshape(self.blocks.shape)
        self.blocks[(self.blocks == BLOCK_IDS[old]) & chosen] = BLOCK_IDS[new]

    def where(self, mask: Bool[np.ndarray, "X Z Y"], block: str) -> None:
        """Set all blocks of a mask."""
        self.blocks[mask] = BLOCK_IDS[block]

    def turned(self, quarters: int) -> UInt8[np.ndarray, "X Z Y"]:
        """The drawing turned about its vertical axis."""
        return np.ascontiguousarray(np.rot90(self.blocks, quarters))
