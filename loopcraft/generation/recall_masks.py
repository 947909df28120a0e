"""What an agent has had in sight: from the surface of every pixel, frame by frame, to recall masks.

A surface returns once it has been out of sight for a second or more since the context; shorter gaps are those
of small surfaces far away, which fall between the pixels now and then.
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
"""The id that stands for no surface."""
_NEVER = -1
_SCATTER, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(32)


class _Memory(NamedTuple):
    """A hash table of surfaces by their ids; 0 is an empty place. Its length is a power of two."""

    ids: UInt64[np.ndarray, " places"]
    last: Int32[np.ndarray, " places"]
    """The frame that showed the surface last."""
    last_in_context: Int32[np.ndarray, " places"]
    has_left: Bool[np.ndarray, " places"]
    """Whether it has been out of sight since the context."""


def _new_memory(places: int) -> _Memory:
    return _Memory(
        ids=np.zeros(places, np.uint64),
        last=np.full(places, _NEVER, np.int32),
        last_in_context=np.full(places, _NEVER, np.int32),
        has_left=np.zeros(places, np.bool_),
    )


class Sight:
    """When each surface was last visible."""

    def __init__(self, num_context: int) -> None:
        self._num_context = num_context
        self._memory = _new_memory(1 << 15)
        self._known = self._frame = 0

    def watch(self, surface: UInt64[np.ndarray, "H W"]) -> UInt16[np.ndarray, "H W"]:
        """Take the next frame's surfaces; return their codes, as mask_codes.py defines them."""
        while 2 * (self._known + surface.size) > len(self._memory.ids):
            larger = _new_memory(2 * len(self._memory.ids))
            _move(self._memory, larger)
            self._memory = larger
        codes = np.empty(surface.size, np.uint16)
        self._known += _watch(surface.ravel(), self._memory, self._frame, self._num_context, codes)
        self._frame += 1
        return codes.reshape(surface.shape)


@inlined
def _place_of(ids: UInt64[np.ndarray, " places"], surface: np.uint64) -> int:
    """Where a surface is, or the empty place where it belongs."""
    last = len(ids) - 1
    place = int((surface * _SCATTER) >> _HALF) & last
    while ids[place] != surface and ids[place] != SKY:
        place = (place + 1) & last
    return place


@kernel
def _watch(
    surfaces: UInt64[np.ndarray, " N"],
    memory: _Memory,
    frame: int,
    num_context: int,
    codes: UInt16[np.ndarray, " N"],
) -> int:
    """Remember a frame's surfaces and set their codes; returns how many are new."""
    ids, last, last_in_context, has_left = memory
    added, before, code = 0, np.uint64(SKY), np.uint16(CODE_SKY)
    for pixel in range(len(surfaces)):
        surface = surfaces[pixel]
        if surface != before:  # neighbours mostly show the same surface
            before = surface
            code = np.uint16(CODE_SKY)
            if surface != SKY:
                place = _place_of(ids, surface)
                added += ids[place] == SKY
                ids[place] = surface
                if frame < num_context:
                    last_in_context[place] = frame
                elif frame - last[place] > SHORTEST_ABSENCE_FRAMES:
                    has_left[place] = True
                last[place] = frame
                shown = last_in_context[place]
                returned = CODE_RETURNED + shown if has_left[place] else CODE_IN_SIGHT
                code = np.uint16(CODE_NEW if shown == _NEVER else returned)
        codes[pixel] = code
    return added


@kernel
def _move(memory: _Memory, larger: _Memory) -> None:
    """Put all surfaces into a larger table."""
    for old in range(len(memory.ids)):
        if memory.ids[old] != SKY:
            place = _place_of(larger.ids, memory.ids[old])
            larger.ids[place], larger.last[place] = memory.ids[old], memory.last[old]
            larger.last_in_context[place] = memory.last_in_context[old]
            larger.has_left[place] = memory.has_left[old]


def recall_codes(
    surfaces: Iterable[UInt64[np.ndarray, "H W"]], num_context: int
) -> UInt16[np.ndarray, "T H W"]:
    """The codes of an episode from the surface ids of its frames, of which the first are the context."""
    sight = Sight(num_context)
    return np.stack([sight.watch(surface) for surface in surfaces])


def recall_masks(surfaces: Iterable[UInt64[np.ndarray, "H W"]], num_context: int) -> Masks:
    """The same as masks."""
    return masks_of(recall_codes(surfaces, num_context))
