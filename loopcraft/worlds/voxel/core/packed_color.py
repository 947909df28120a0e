"""Colours packed into an int32, one byte per channel, and blended two channels at a time.

Integer arithmetic gives the same bytes on every machine and vectorises best.
"""

import numpy as np
from jaxtyping import Int32, UInt8

from loopcraft.core.jit import inlined

_RED_BLUE = np.int32(0xFF00FF)
_BYTE = np.int32(0xFF)
_ROUND_RED_BLUE = np.int32(0x800080)
_ROUND = np.int32(0x80)
_8, _16, _256 = np.int32(8), np.int32(16), np.int32(256)


def pack(rgb: UInt8[np.ndarray, "... 3"]) -> Int32[np.ndarray, "..."]:
    """Pack RGB bytes into integers: red in the lowest byte, then green, then blue."""
    wide = rgb.astype(np.int32)
    return np.asarray(wide[..., 0] | wide[..., 1] << 8 | wide[..., 2] << 16, np.int32)


@inlined
def blend(first: np.int32, second: np.int32, share: np.int32) -> np.int32:
    """Interpolate from `first` (share 0) to `second` (share 256), rounded."""
    rest = np.int32(_256 - share)
    red_blue = np.int32(np.int32((first & _RED_BLUE) * rest) + np.int32((second & _RED_BLUE) * share))
    green = np.int32((first >> _8 & _BYTE) * rest + (second >> _8 & _BYTE) * share)
    red_blue = np.int32(np.int32(red_blue + _ROUND_RED_BLUE) >> _8) & _RED_BLUE
    return np.int32(red_blue | np.int32(green + _ROUND) >> _8 << _8)


@inlined
def light_up(color: np.int32, tint: np.int32, factor: np.int32) -> np.int32:
    """Return color * tint / 255 * factor / 256 for each channel; 0 <= factor <= 256."""
    red = (color & _BYTE) * ((tint & _BYTE) + 1) * factor >> _16
    green = (color >> _8 & _BYTE) * ((tint >> _8 & _BYTE) + 1) * factor >> _16
    blue = (color >> _16 & _BYTE) * ((tint >> _16 & _BYTE) + 1) * factor >> _16
    return np.int32(red | green << _8 | blue << _16)
