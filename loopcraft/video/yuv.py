"""Conversion between RGB and H.264's YUV 4:2:0 (BT.601, limited range) in integer arithmetic.

FFmpeg's own converter gives different bytes on different processors and is 1 to 1.5 of 255 too dark. These
kernels give the same bytes everywhere, which matters because the benchmark scores decoded bytes. Encoding
averages chroma over each 2x2 block and decoding repeats it (as FFmpeg does by default), so a flat block is
preserved. The kernels work row by row through planar buffers, so that the arithmetic vectorises and only
interleaving is scalar.
"""

import numpy as np
from jaxtyping import UInt8

from loopcraft.core.jit import kernel

Image = UInt8[np.ndarray, "H W 3"]
Plane = UInt8[np.ndarray, "h w"]

_ZERO = np.int32(0)
_16 = np.int32(16)
_128 = np.int32(128)
_BYTE = np.int32(255)
_HALF = np.int32(1 << 15)
_LUMA_OFFSET = np.int32((16 << 16) + (1 << 15))
# Chroma is computed from sums of four pixels, which need two more bits.
_CHROMA_SHIFT = np.int32(18)
_CHROMA_OFFSET = np.int32((128 << 18) + (1 << 17))


@kernel
def rgb_to_yuv420(rgb: Image, luma: Plane, blue: Plane, red: Plane) -> None:
    """Convert an image of even height and width into three planes, (H, W), (H/2, W/2) and (H/2, W/2)."""
    height, width, _ = rgb.shape
    row_pair = np.empty((2, 3, width), np.int32)
    for pair in range(height // 2):
        for lower in range(2):
            row = 2 * pair + lower
            for x in range(width):
                row_pair[lower, 0, x] = rgb[row, x, 0]
                row_pair[lower, 1, x] = rgb[row, x, 1]
                row_pair[lower, 2, x] = rgb[row, x, 2]
            r, g, b = row_pair[lower, 0], row_pair[lower, 1], row_pair[lower, 2]
            for x in range(width):
                weighted = np.int32(16829) * r[x] + np.int32(33039) * g[x] + np.int32(6416) * b[x]
                luma[row, x] = (weighted + _LUMA_OFFSET) >> _16
        totals = row_pair[0]
        totals += row_pair[1]
        for x in range(width // 2):
            r4 = totals[0, 2 * x] + totals[0, 2 * x + 1]
            g4 = totals[1, 2 * x] + totals[1, 2 * x + 1]
            b4 = totals[2, 2 * x] + totals[2, 2 * x + 1]
            to_blue = np.int32(28784) * b4 - np.int32(9714) * r4 - np.int32(19070) * g4
            to_red = np.int32(28784) * r4 - np.int32(24103) * g4 - np.int32(4681) * b4
            blue[pair, x] = (to_blue + _CHROMA_OFFSET) >> _CHROMA_SHIFT
            red[pair, x] = (to_red + _CHROMA_OFFSET) >> _CHROMA_SHIFT


@kernel
def yuv420_to_rgb(luma: Plane, blue: Plane, red: Plane, rgb: Image) -> None:
    """Convert three planes, (H, W), (H/2, W/2) and (H/2, W/2), into an image (written to `rgb`)."""
    height, width, _ = rgb.shape
    chroma = np.empty((3, width), np.int32)  # chroma's contribution to each channel, in units of 2^-16
    line = np.empty((3, width), np.uint8)
    for row in range(height):
        if row % 2 == 0:
            for half in range(width // 2):
                cb = np.int32(blue[row // 2, half]) - _128
                cr = np.int32(red[row // 2, half]) - _128
                to_red = np.int32(104597) * cr + _HALF
                to_green = np.int32(-25675) * cb - np.int32(53279) * cr + _HALF
                to_blue = np.int32(132201) * cb + _HALF
                chroma[0, 2 * half] = to_red
                chroma[0, 2 * half + 1] = to_red
                chroma[1, 2 * half] = to_green
                chroma[1, 2 * half + 1] = to_green
                chroma[2, 2 * half] = to_blue
                chroma[2, 2 * half + 1] = to_blue
        for channel in range(3):
            for x in range(width):
                grey = np.int32(76309) * (np.int32(luma[row, x]) - _16)
                value = (grey + chroma[channel, x]) >> _16
                value = _ZERO if value < _ZERO else value  # min and max would widen to 64 bits
                line[channel, x] = _BYTE if value > _BYTE else value
        for x in range(width):
            rgb[row, x, 0] = line[0, x]
            rgb[row, x, 1] = line[1, x]
            rgb[row, x, 2] = line[2, x]
