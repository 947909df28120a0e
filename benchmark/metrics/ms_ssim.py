"""Multi-scale structural similarity as in torchmetrics: five scales of 2 x 2 means, Wang's weights.

Each scale but the last contributes its contrast term, averaged over complete windows only; the last
contributes its full similarity, averaged over all pixels as in ssim.py. Negative terms count as zero.
"""

import numpy as np
from jaxtyping import Float32, UInt8

from benchmark.metrics.base import PairedMetric
from benchmark.metrics.ssim import (
    C2,
    RADIUS,
    TAPS,
    TWO,
    WINDOW,
    add_similarity,
    filter_column,
    filter_row,
    pad_row,
)
from loopcraft.core.jit import kernel

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
SMALLEST_SIDE = WINDOW * 2 ** (len(WEIGHTS) - 1)
"""The smallest scale must hold a complete window."""


def ms_ssim(
    predicted: UInt8[np.ndarray, "N H W 3"], target: UInt8[np.ndarray, "N H W 3"]
) -> Float32[np.ndarray, " N"]:
    """Return MS-SSIM with data range 1, 0 to 1 (identical); raises `ValueError` below `SMALLEST_SIDE`."""
    if min(predicted.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"MS-SSIM needs frames of at least {SMALLEST_SIDE} pixels a side, got {predicted.shape[1:3]}"
        )
    return multiscale_similarity(np.ascontiguousarray(predicted), np.ascontiguousarray(target), TAPS, WEIGHTS)


@kernel(nogil=True)
def multiscale_similarity(
    predicted: UInt8[np.ndarray, "N H W C"],
    target: UInt8[np.ndarray, "N H W C"],
    taps: Float32[np.ndarray, " R"],
    weights: np.ndarray,
) -> Float32[np.ndarray, " N"]:
    """Return the product of each frame's terms, raised to the weights of their scales."""
    result = np.empty(predicted.shape[0], np.float32)
    for n in range(predicted.shape[0]):
        a, b = predicted[n].astype(np.float32), target[n].astype(np.float32)
        value = 1.0
        for scale in range(weights.size):
            last = scale == weights.size - 1
            value *= max(_mean_term(a, b, taps, last), 0.0) ** weights[scale]
            if not last:
                a, b = _halve(a), _halve(b)
        result[n] = value
    return result


@kernel(nogil=True)
def _halve(image: np.ndarray) -> np.ndarray:
    """Return means of 2 x 2 pixels, without an odd last row or column."""
    height, width, channels = image.shape[0] // 2, image.shape[1] // 2, image.shape[2]
    half = np.empty((height, width, channels), np.float32)
    for y in range(height):
        for x in range(width):
            for c in range(channels):
                above = image[2 * y, 2 * x, c] + image[2 * y, 2 * x + 1, c]
                below = image[2 * y + 1, 2 * x, c] + image[2 * y + 1, 2 * x + 1, c]
                half[y, x, c] = np.float32(0.25) * (above + below)
    return half


@kernel(nogil=True)
def _mean_term(a: np.ndarray, b: np.ndarray, taps: np.ndarray, full: bool) -> float:
    """Return the mean similarity (`full`) or mean contrast term of one scale of one frame."""
    height, width, channels = a.shape
    row_size = width * channels
    padded = np.empty((4, row_size + 2 * RADIUS * channels), np.float32)
    ring = np.empty((WINDOW, 4, row_size), np.float32)
    moments = np.empty((4, row_size), np.float32)
    totals = np.zeros(row_size, np.float64)
    for newest in range(height + RADIUS):
        if newest < height:
            pad_row(a[newest].ravel(), b[newest].ravel(), channels, padded)
            filter_row(padded, taps, channels, ring[newest % WINDOW])
        row = newest - RADIUS
        if full and row >= 0:
            filter_column(ring, taps, row, height, moments)
            add_similarity(moments, totals)
        if not full and RADIUS <= row < height - RADIUS:
            filter_column(ring, taps, row, height, moments)
            _add_contrast(moments, totals)
    if full:
        return float(totals.sum() / (height * row_size))
    inside = totals[RADIUS * channels : row_size - RADIUS * channels]
    return float(inside.sum() / ((height - 2 * RADIUS) * inside.size))


@kernel(nogil=True)
def _add_contrast(moments: np.ndarray, totals: np.ndarray) -> None:
    """Add the contrast term of every pixel of a row to `totals`."""
    line_a, line_b, line_squares, line_product = moments[0], moments[1], moments[2], moments[3]
    for i in range(totals.size):
        variances = line_squares[i] - (line_a[i] * line_a[i] + line_b[i] * line_b[i])
        covariance = line_product[i] - line_a[i] * line_b[i]
        totals[i] += (TWO * covariance + C2) / (variances + C2)


MS_SSIM = PairedMetric(
    name="ms_ssim",
    version=1,
    title="MS-SSIM",
    higher_is_better=True,
    decimals=4,
    load=lambda resources: ms_ssim,
    smallest_side=SMALLEST_SIDE,
)
