"""Structural similarity as in torchmetrics: Gaussian 11 x 11, sigma 1.5, the whole image.

torchmetrics mirrors the image by half a window at its edges, evaluates the index at every pixel and averages
over all of them. Other libraries average over complete windows only, which differs by up to 1e-2. Channels
are averaged too. The kernel centres the levels on zero, which keeps variances and reduces cancellation.
"""

import numpy as np
from jaxtyping import Float32, UInt8

from benchmark.metrics.base import Mapped, PairedMetric
from loopcraft.core.jit import inlined, kernel

RADIUS = 5
SIGMA = 1.5
WINDOW = 2 * RADIUS + 1
SMALLEST_SIDE = RADIUS + 1
"""Least height and width of frames, so that half a window can be mirrored at an edge."""

TAPS = np.exp(-0.5 * (np.arange(-RADIUS, 1) / SIGMA) ** 2)
TAPS = (TAPS / (2.0 * TAPS.sum() - TAPS[RADIUS])).astype(np.float32)  # symmetric: first half and centre only
CENTRE = np.float32(128.0)
TWO = np.float32(2.0)
C1 = np.float32((0.01 * 255.0) ** 2)
C2 = np.float32((0.03 * 255.0) ** 2)


def ssim(
    predicted: UInt8[np.ndarray, "N H W 3"], target: UInt8[np.ndarray, "N H W 3"]
) -> Float32[np.ndarray, " N"]:
    """Return the SSIM of each frame with data range 1; 1 means identical."""
    return _similarity(predicted, target, np.empty((0, 0, 0), np.float32))


def ssim_map(predicted: UInt8[np.ndarray, "N H W 3"], target: UInt8[np.ndarray, "N H W 3"]) -> Mapped:
    """Return the SSIM and its map, each pixel's index averaged over channels; it sees five pixels around."""
    maps = np.empty(predicted.shape[:3], np.float32)
    return Mapped(_similarity(predicted, target, maps), maps)


def _similarity(
    predicted: UInt8[np.ndarray, "N H W 3"],
    target: UInt8[np.ndarray, "N H W 3"],
    maps: Float32[np.ndarray, "M H W"],
) -> Float32[np.ndarray, " N"]:
    if min(predicted.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"SSIM needs frames of at least {SMALLEST_SIDE} pixels a side, got {predicted.shape[1:3]}"
        )
    return mean_similarity(np.ascontiguousarray(predicted), np.ascontiguousarray(target), TAPS, maps)


@kernel(nogil=True)
def mean_similarity(
    predicted: UInt8[np.ndarray, "N H W C"],
    target: UInt8[np.ndarray, "N H W C"],
    taps: Float32[np.ndarray, " R"],
    maps: Float32[np.ndarray, "M H W"],
) -> Float32[np.ndarray, " N"]:
    """Return the SSIM of each frame, and write each pixel's index to `maps` unless that has no frames."""
    num_frames, height, width, channels = predicted.shape
    row_size = width * channels
    padded = np.empty((4, row_size + 2 * RADIUS * channels), np.float32)
    ring = np.empty((WINDOW, 4, row_size), np.float32)  # the last eleven rows, filtered horizontally
    moments = np.empty((4, row_size), np.float32)
    totals = np.empty(row_size, np.float64)
    result = np.empty(num_frames, np.float32)
    for n in range(num_frames):
        totals[:] = 0.0
        for newest in range(height + RADIUS):
            if newest < height:
                pad_row(predicted[n, newest].ravel(), target[n, newest].ravel(), channels, padded)
                filter_row(padded, taps, channels, ring[newest % WINDOW])
            row = newest - RADIUS
            if row >= 0:
                filter_column(ring, taps, row, height, moments)
                add_similarity(moments, totals)
                if len(maps) > 0:
                    write_similarity(moments, channels, maps[n, row])
        result[n] = totals.sum() / (height * row_size)
    return result


@kernel(nogil=True)
def pad_row(a: np.ndarray, b: np.ndarray, channels: int, padded: np.ndarray) -> None:
    """Write a row's a, b, a^2 + b^2 and a b, reflected at both ends without repeating the end pixel."""
    pad = RADIUS * channels
    size = a.size
    pa, pb, ps, pp = padded[0, pad:], padded[1, pad:], padded[2, pad:], padded[3, pad:]
    for i in range(size):
        pa[i] = np.float32(a[i]) - CENTRE
    for i in range(size):
        pb[i] = np.float32(b[i]) - CENTRE
    for i in range(size):
        ps[i] = pa[i] * pa[i] + pb[i] * pb[i]
    for i in range(size):
        pp[i] = pa[i] * pb[i]
    for moment in range(4):
        line = padded[moment]
        for pixel in range(1, RADIUS + 1):
            for channel in range(channels):
                left = pad + channel
                right = pad + size - channels + channel
                line[left - pixel * channels] = line[left + pixel * channels]
                line[right + pixel * channels] = line[right - pixel * channels]


@kernel(nogil=True)
def filter_row(padded: np.ndarray, taps: np.ndarray, channels: int, out: np.ndarray) -> None:
    """Convolve each of the four lines with the taps."""
    for moment in range(4):
        line = padded[moment]
        _start(taps[RADIUS], line[RADIUS * channels :], out[moment])
        for tap in range(RADIUS):
            _add_pair(taps[tap], line[tap * channels :], line[(2 * RADIUS - tap) * channels :], out[moment])


@kernel(nogil=True)
def filter_column(ring: np.ndarray, taps: np.ndarray, row: int, height: int, out: np.ndarray) -> None:
    """Convolve the eleven rows around `row`, mirrored at the image's edges, with the taps."""
    for moment in range(4):
        _start(taps[RADIUS], ring[_slot(row, height), moment], out[moment])
        for tap in range(RADIUS):
            above = ring[_slot(row - RADIUS + tap, height), moment]
            below = ring[_slot(row + RADIUS - tap, height), moment]
            _add_pair(taps[tap], above, below, out[moment])


@kernel(nogil=True)
def _slot(row: int, height: int) -> int:
    """Return the ring's slot of a row; rows outside the image are mirrored."""
    mirrored = -row if row < 0 else 2 * height - 2 - row if row >= height else row
    return mirrored % WINDOW


@kernel(nogil=True)
def _start(weight: np.float32, centre: np.ndarray, out: np.ndarray) -> None:
    """Write the centre tap."""
    for i in range(out.size):
        out[i] = weight * centre[i]


@kernel(nogil=True)
def _add_pair(weight: np.float32, before: np.ndarray, after: np.ndarray, out: np.ndarray) -> None:
    """Add two taps at the same distance; a loop over more arrays would not be vectorised."""
    for i in range(out.size):
        out[i] += weight * (before[i] + after[i])


@kernel(nogil=True)
def add_similarity(moments: np.ndarray, totals: np.ndarray) -> None:
    """Add the index of every pixel of a row to `totals`, float64 per column."""
    line_a, line_b, line_squares, line_product = moments[0], moments[1], moments[2], moments[3]
    for i in range(totals.size):
        totals[i] += index_of(line_a[i], line_b[i], line_squares[i], line_product[i])


@kernel(nogil=True)
def write_similarity(moments: np.ndarray, channels: int, row: np.ndarray) -> None:
    """Write each pixel's index in a row, the mean over its channels."""
    line_a, line_b, line_squares, line_product = moments[0], moments[1], moments[2], moments[3]
    for pixel in range(row.size):
        total = np.float32(0.0)
        for i in range(pixel * channels, (pixel + 1) * channels):
            total += index_of(line_a[i], line_b[i], line_squares[i], line_product[i])
        row[pixel] = total / np.float32(channels)


@inlined
def index_of(mean_a: np.float32, mean_b: np.float32, squares: np.float32, product: np.float32) -> np.float32:
    """Return the index from a window's moments, with levels centred on zero."""
    variances = squares - (mean_a * mean_a + mean_b * mean_b)
    covariance = product - mean_a * mean_b
    mean_a += CENTRE
    mean_b += CENTRE
    numerator = (TWO * mean_a * mean_b + C1) * (TWO * covariance + C2)
    return numerator / ((mean_a * mean_a + mean_b * mean_b + C1) * (variances + C2))


SSIM = PairedMetric(
    name="ssim",
    version=1,
    title="SSIM",
    higher_is_better=True,
    decimals=4,
    load=lambda resources: ssim,
    load_map=lambda resources: ssim_map,
    smallest_side=SMALLEST_SIDE,
)
