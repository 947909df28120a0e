"""Decoding of the ids in `Observation.surface` of the block worlds into block faces.

An id holds x and z of the block (24 bits each), y (8 bits) and 1 + the side (4 bits); 0 is the sky. Sides 0
to 5 are the lower and upper side along x, y and z; greater numbers are the diagonal planes of plants.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt64

NO_AXIS = 3
"""Axis of surfaces that are not sides of a block: the sky and the planes of plants."""


class Faces(NamedTuple):
    """Faces as planes: the points whose coordinate along `axis` (0 x, 1 y, 2 z) is `level`, in blocks.

    `axis` is `NO_AXIS` for the sky and for plants.
    """

    axis: Int64[np.ndarray, "*shape"]
    level: Int64[np.ndarray, "*shape"]


def faces_of(ids: UInt64[np.ndarray, "*shape"]) -> Faces:
    """Return the planes of the faces with these ids."""
    x, z = (_signed(ids >> np.uint64(shift)) for shift in (36, 12))
    y = (ids >> np.uint64(4) & np.uint64(0xFF)).astype(np.int64)
    side = (ids & np.uint64(0xF)).astype(np.int64) - 1
    axis = np.where((side >= 0) & (side < 6), side // 2, NO_AXIS)
    return Faces(axis=axis, level=np.choose(axis, [x, y, z, 0]) + np.where(axis < NO_AXIS, side % 2, 0))


def _signed(bits: UInt64[np.ndarray, "*shape"]) -> Int64[np.ndarray, "*shape"]:
    """The 24 lowest bits as a two's complement integer."""
    low = (bits & np.uint64(0xFFFFFF)).astype(np.int64)
    return (low + (1 << 23)) % (1 << 24) - (1 << 23)
