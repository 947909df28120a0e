"""What an agent has had in sight: from the surface of every pixel, frame by frame, to recall masks.

A surface returns once it has been out of sight for a second or more since the context; shorter gaps are those
of small surfaces far away, which fall between the pixels now and then.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int64, UInt16, UInt64

from loopcraft.dataset.mask_files import Masks

SHORTEST_ABSENCE_FRAMES = 20
SKY = 0
"""The id that stands for no surface."""
_NEVER = -1


class Sight:
    """When each surface was last visible. Surfaces are numbered in the order in which they appear."""

    def __init__(self, num_context: int) -> None:
        self._num_context = num_context
        self._numbers: dict[int, int] = {}
        self._last: Int64[np.ndarray, " surfaces"] = np.empty(0, np.int64)
        self._last_in_context: Int64[np.ndarray, " surfaces"] = np.empty(0, np.int64)
        self._has_left: Bool[np.ndarray, " surfaces"] = np.empty(0, np.bool_)
        self._frame = 0

    def watch(
        self, surface: UInt64[np.ndarray, "H W"]
    ) -> tuple[Bool[np.ndarray, "H W"], UInt16[np.ndarray, "H W"]]:
        """Take the next frame's surfaces; return its rows of `seen` and `age`."""
        codes, ids = pd.factorize(surface.ravel())
        numbers = np.array([self._numbers.setdefault(key, len(self._numbers)) for key in ids.tolist()])
        self._make_room()
        if self._frame < self._num_context:
            self._last_in_context[numbers] = self._frame
        else:
            absent = self._frame - self._last[numbers] - 1
            self._has_left[numbers] |= absent >= SHORTEST_ABSENCE_FRAMES
        self._last[numbers] = self._frame
        shown = self._last_in_context[numbers]
        seen = (shown != _NEVER) & (ids != SKY)
        age = np.where(seen & self._has_left[numbers], self._frame - shown, 0).astype(np.uint16)
        self._frame += 1
        return seen[codes].reshape(surface.shape), age[codes].reshape(surface.shape)

    def _make_room(self) -> None:
        """For surfaces that have just got their numbers."""
        count = len(self._numbers) - len(self._last)
        self._last = np.append(self._last, np.full(count, _NEVER))
        self._last_in_context = np.append(self._last_in_context, np.full(count, _NEVER))
        self._has_left = np.append(self._has_left, np.zeros(count, np.bool_))


def recall_masks(surfaces: Iterable[UInt64[np.ndarray, "H W"]], num_context: int) -> Masks:
    """The masks of an episode from the surface ids of its frames, of which the first are the context."""
    sight = Sight(num_context)
    seen, age, sky = [], [], []
    for surface in surfaces:
        is_known, frames_ago = sight.watch(surface)
        seen.append(is_known)
        age.append(frames_ago)
        sky.append(surface == SKY)
    return {"seen": np.stack(seen), "age": np.stack(age), "sky": np.stack(sky)}
