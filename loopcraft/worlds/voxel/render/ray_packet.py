"""Types and helpers shared by tracing and shading: packets of samples, the camera, hits, mip levels.

Kernels use typed constants: a bare Python number would widen the arithmetic to 64 bits and halve the number
of values in a vector register.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from loopcraft.core.jit import inlined
from loopcraft.worlds.voxel.core.blocks import Shape

PACKET = 64
"""Samples traced and shaded together."""
Floats = Float32[np.ndarray, " _"]
"""A packet's float32 scratch: rows of `PACKET` values, one after another."""
Ints = Int32[np.ndarray, " _"]
"""The same for int32."""
Size = tuple[int, int, int]
"""A padded volume's extent in x, z, y."""

CUBE, CUTOUT, CROSS, LIQUID = int(Shape.CUBE), int(Shape.CUTOUT), int(Shape.CROSS), int(Shape.LIQUID)
Y_SHIFT, Z_SHIFT, X_SHIFT = np.int32(3), np.int32(10), np.int32(21)
"""A place packs x (11 bits), z (11), y (7) and face (3) into one int32; the sky is -1.

A padded volume can therefore be 2046 blocks long and wide, and 126 high.
"""
SKY = np.int32(-1)
PLANE_A, PLANE_B = np.int32(6), np.int32(7)
"""Faces 0 to 5 are -x, +x, -y, +y, -z, +z; 6 and 7 are the diagonal planes of a plant."""
WATER_SIGHT_BLOCKS = np.float32(5)
"""Visibility under water; a ray that goes farther counts as sky, hidden by the water."""

BELOW_ONE = np.float32(0.99999994)
F0, F1, F16 = np.float32(0), np.float32(1), np.float32(16)
I0, I1, I2, I3, I4, I7 = (np.int32(value) for value in (0, 1, 2, 3, 4, 7))
_MIP_1, _MIP_2, _MIP_3, _MIP_4 = np.float32(1.4), np.float32(2.8), np.float32(5.6), np.float32(11.2)
"""A pixel that covers more texels than this (along one side) uses this mip level."""
_START_1, _START_2, _START_3, _START_4 = np.int32(256), np.int32(320), np.int32(336), np.int32(340)
_F2, _F4, _F8 = np.float32(2), np.float32(4), np.float32(8)


class View(NamedTuple):
    """A camera in a scene."""

    eye: Float32[np.ndarray, " 3"]
    """x, y, z in the padded volume."""
    axes: Float32[np.ndarray, "3 3"]
    """Right, up and forward in rows (x, y, z)."""
    distance: np.float32
    """View distance in blocks."""
    pixel_size: np.float32
    """A sample's width on the plane at distance 1, from which mip levels are chosen."""


class Hits(NamedTuple):
    """What each of N samples sees. Distances are in units of the direction vector whose forward part is 1."""

    places: Int32[np.ndarray, " N"]
    distances: Float32[np.ndarray, " N"]
    water_places: Int32[np.ndarray, " N"]
    """The first water surface in front; valid where `water_distances` is not 0."""
    water_distances: Float32[np.ndarray, " N"]


def new_hits(num_samples: int) -> Hits:
    """Allocate buffers for `num_samples` samples."""
    return Hits(*(np.zeros(num_samples, kind) for kind in (np.int32, np.float32, np.int32, np.float32)))


@inlined
def place_parts(place: np.int32) -> tuple[np.int32, np.int32, np.int32, np.int32]:
    """Unpack a place into its cell's x, y, z and its face."""
    x, z = place >> X_SHIFT & np.int32(0x7FF), place >> Z_SHIFT & np.int32(0x7FF)
    return np.int32(x), np.int32(place >> Y_SHIFT & np.int32(0x7F)), np.int32(z), np.int32(place & I7)


@inlined
def mip_size(texels: np.float32) -> np.float32:
    """Return the side in texels of the mip level for a pixel that covers `texels` of the full texture."""
    far = _F4 if texels <= _MIP_3 else (_F2 if texels <= _MIP_4 else F1)
    return F16 if texels <= _MIP_1 else (_F8 if texels <= _MIP_2 else far)


@inlined
def mip_start(texels: np.float32) -> np.int32:
    """Return the offset of that mip level among a texture's texels."""
    far = _START_2 if texels <= _MIP_3 else (_START_3 if texels <= _MIP_4 else _START_4)
    return I0 if texels <= _MIP_1 else (_START_1 if texels <= _MIP_2 else far)
