"""Coordinate hashes and gradient noise with the same bytes on every machine.

They use only floor, integer arithmetic modulo 2^64 and float64 + - * on values of moderate size, so nothing
depends on a math library. Seeds are uint64 scalars, one per purpose.
"""

import numpy as np

from loopcraft.core.jit import kernel

_X = np.uint64(0x9E3779B97F4A7C15)
_Y = np.uint64(0xD1B54A32D192ED03)
_Z = np.uint64(0x8CB92BA72F3D8DD7)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_S30, _S31, _S27, _S33 = np.uint64(30), np.uint64(31), np.uint64(27), np.uint64(33)
_GRADIENT_SCALE = 1.0 / 32768.0


@kernel
def hash3(seed: np.uint64, x: int, y: int, z: int) -> int:
    """Return 31 well-mixed bits of an integer point (splitmix64's finaliser) as a signed integer >= 0."""
    h = seed ^ (np.uint64(x) * _X) ^ (np.uint64(y) * _Y) ^ (np.uint64(z) * _Z)
    h = (h ^ (h >> _S30)) * _MIX_A
    h = (h ^ (h >> _S27)) * _MIX_B
    return np.int64((h ^ (h >> _S31)) >> _S33)  # type: ignore[return-value]


@kernel
def hash2(seed: np.uint64, x: int, z: int) -> int:
    """Return 31 well-mixed bits of an integer point of the plane."""
    return hash3(seed, x, 0, z)


@kernel
def _corner2(seed: np.uint64, ix: int, iz: int, fx: float, fz: float) -> float:
    h = hash3(seed, ix, 0, iz)
    gx = float(h & 0xFFFF) * _GRADIENT_SCALE - 1.0
    gz = float((h >> 15) & 0xFFFF) * _GRADIENT_SCALE - 1.0
    return gx * fx + gz * fz


@kernel
def noise2(seed: np.uint64, x: float, z: float) -> float:
    """Return 2-D gradient noise: mean 0, standard deviation about 0.35, nearly always within -1 to 1."""
    ix, iz = int(np.floor(x)), int(np.floor(z))
    fx, fz = x - ix, z - iz
    u = fx * fx * fx * (fx * (fx * 6.0 - 15.0) + 10.0)
    v = fz * fz * fz * (fz * (fz * 6.0 - 15.0) + 10.0)
    a = _corner2(seed, ix, iz, fx, fz)
    b = _corner2(seed, ix + 1, iz, fx - 1.0, fz)
    c = _corner2(seed, ix, iz + 1, fx, fz - 1.0)
    d = _corner2(seed, ix + 1, iz + 1, fx - 1.0, fz - 1.0)
    low = a + u * (b - a)
    high = c + u * (d - c)
    return 2.0 * (low + v * (high - low))


@kernel
def _corner3(seed: np.uint64, ix: int, iy: int, iz: int, fx: float, fy: float, fz: float) -> float:
    h = hash3(seed, ix, iy, iz)
    gx = float(h & 0x3FF) - 511.5
    gy = float((h >> 10) & 0x3FF) - 511.5
    gz = float((h >> 20) & 0x3FF) - 511.5
    return (gx * fx + gy * fy + gz * fz) * (1.0 / 512.0)


@kernel
def noise3(seed: np.uint64, x: float, y: float, z: float) -> float:
    """Return 3-D gradient noise: mean 0, standard deviation about 0.35, nearly always within -1 to 1."""
    ix, iy, iz = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    fx, fy, fz = x - ix, y - iy, z - iz
    u = fx * fx * fx * (fx * (fx * 6.0 - 15.0) + 10.0)
    v = fy * fy * fy * (fy * (fy * 6.0 - 15.0) + 10.0)
    w = fz * fz * fz * (fz * (fz * 6.0 - 15.0) + 10.0)
    a = _corner3(seed, ix, iy, iz, fx, fy, fz)
    b = _corner3(seed, ix + 1, iy, iz, fx - 1.0, fy, fz)
    c = _corner3(seed, ix, iy + 1, iz, fx, fy - 1.0, fz)
    d = _corner3(seed, ix + 1, iy + 1, iz, fx - 1.0, fy - 1.0, fz)
    low = (a + u * (b - a)) + v * ((c + u * (d - c)) - (a + u * (b - a)))
    a = _corner3(seed, ix, iy, iz + 1, fx, fy, fz - 1.0)
    b = _corner3(seed, ix + 1, iy, iz + 1, fx - 1.0, fy, fz - 1.0)
    c = _corner3(seed, ix, iy + 1, iz + 1, fx, fy - 1.0, fz - 1.0)
    d = _corner3(seed, ix + 1, iy + 1, iz + 1, fx - 1.0, fy - 1.0, fz - 1.0)
    high = (a + u * (b - a)) + v * ((c + u * (d - c)) - (a + u * (b - a)))
    return 1.85 * (low + w * (high - low))
