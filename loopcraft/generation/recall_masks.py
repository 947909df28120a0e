"""Recall masks from surfaces: tracks which surfaces an agent has seen, frame by frame.

A surface counts as returned once it has been out of sight for a second or more since the context. Shorter
gaps occur when small, distant surfaces fall between the pixels.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int32, UInt16, UInt64

from loopcraft.core.jit import inlined, kernel
from loopcraft.dataset.mask_codes import (
    CODE_IN_SIGHT,
    CODE_NEW,
    CODE_RETURNED,
    CODE_SKY,
    Masks,
    masks_of,
)

SHORTEST_ABSENCE_FRAMES = 20
SKY = 0
"""Surface id of the sky."""
_NEVER = -1
_SCATTER, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)


class _Memory(NamedTuple):
    """A hash table of surfaces by id; 0 marks an empty slot. Its length is a power of two."""

    ids: UInt64[np.ndarray, " slots"]
    last: Int32[np.ndarray, " slots"]
    """The last frame that showed the surface."""
    last_in_context: Int32[np.ndarray, " slots"]
    has_left: Bool[np.ndarray, " slots"]
    """Whether it has been out of sight since the context."""


def _new_memory(slots: int) -> _Memory:
    return _Memory(
        ids=np.zeros(slots, np.uint64),
        last=np.full(slots, _NEVER, np.int32),
        last_in_context=np.full(slots, _NEVER, np.int32),
        has_left=np.zeros(slots, np.bool_),
    )


class Sight:
    """Tracker of when each surface was last visible."""

    def __init__(self, num_context: int) -> None:
        self._num_context = num_context
        self._memory = _new_memory(1 << 15)
        self._known = self._frame = 0

    def watch(self, surface: UInt64[np.ndarray, "H W"]) -> UInt16[np.ndarray, "H W"]:
        """Process the surface ids of the next frame; return their codes, as mask_codes.py defines them."""
        while 2 * (self._known + surface.size) > len(self._memory.ids):
            larger = _new_memory(2 * len(self._memory.ids))
            _move(self._memory, larger)
            self._memory = larger
        codes = np.empty(surface.size, np.uint16)
        self._known += _watch(surface.ravel(), self._memory, self._frame, self._num_context, codes)
        self._frame += 1
        return codes.reshape(surface.shape)


@inlined
def _find_slot(ids: UInt64[np.ndarray, " slots"], surface: np.uint64) -> int:
    """The slot of a surface, or the empty slot where it belongs."""
    last = len(ids) - 1
    slot = int((surface * _SCATTER) >> _HALF) & last
    while ids[slot] != surface and ids[slot] != SKY:
        slot = (slot + 1) & last
    return slot


@kernel
def _watch(
    surfaces: UInt64[np.ndarray, " N"],
    memory: _Memory,
    frame: int,
    num_context: int,
    codes: UInt16[np.ndarray, " N"],
) -> int:
    """Record a frame's surfaces and set their codes; return how many are new."""
    ids, last, last_in_context, has_left = memory
    added, previous, code = 0, np.uint64(SKY), np.uint16(CODE_SKY)
    for pixel in range(len(surfaces)):
        surface = surfaces[pixel]
        if surface != previous:  # neighbouring pixels mostly show the same surface
            previous = surface
            code = np.uint16(CODE_SKY)
            if surface != SKY:
                slot = _find_slot(ids, surface)
                added += ids[slot] == SKY
                ids[slot] = surface
                if frame < num_context:
                    last_in_context[slot] = frame
                elif frame - last[slot] > SHORTEST_ABSENCE_FRAMES:
                    has_left[slot] = True
                last[slot] = frame
                shown = last_in_context[slot]
                returned = CODE_RETURNED + shown if has_left[slot] else CODE_IN_SIGHT
                code = np.uint16(CODE_NEW if shown == _NEVER else returned)
        codes[pixel] = code
    return added


@kernel
def _move(memory: _Memory, larger: _Memory) -> None:
    """Copy all surfaces into a larger table."""
    for old in range(len(memory.ids)):
        if memory.ids[old] != SKY:
            slot = _find_slot(larger.ids, memory.ids[old])
            larger.ids[slot], larger.last[slot] = memory.ids[old], memory.last[old]
            larger.last_in_context[slot] = memory.last_in_context[old]
            larger.has_left[slot] = memory.has_left[old]


def recall_codes(
    surfaces: Iterable[UInt64[np.ndarray, "H W"]], num_context: int
) -> UInt16[np.ndarray, "T H W"]:
    """Return the codes of an episode from the surface ids of its frames; the first are the context."""
    sight = Sight(num_context)
    return np.stack([sight.watch(surface) for surface in surfaces])


def recall_masks(surfaces: Iterable[UInt64[np.ndarray, "H W"]], num_context: int) -> Masks:
    """Return the recall masks of an episode from the surface ids of its frames."""
    return masks_of(recall_codes(surfaces, num_context))
