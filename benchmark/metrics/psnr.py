"""Peak signal-to-noise ratio of frames in [0, 1], in decibels, from exact sums over their 8-bit levels."""

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8

from benchmark.metrics.base import PairedMetric
from loopcraft.core.jit import kernel

CAP_DB = 100.0
"""The PSNR of identical frames, instead of infinity, and the maximum for all frames."""


def psnr(
    predicted: UInt8[np.ndarray, "N H W 3"], target: UInt8[np.ndarray, "N H W 3"]
) -> Float32[np.ndarray, " N"]:
    """Return the PSNR of each frame in dB, at most `CAP_DB`."""
    total_error = squared_error(np.ascontiguousarray(predicted), np.ascontiguousarray(target))
    return decibels(total_error / predicted[0].size).astype(np.float32)


def decibels(mean_error: Float64[np.ndarray, " N"]) -> Float64[np.ndarray, " N"]:
    """Convert mean squared differences of 8-bit levels to PSNR in dB, at most `CAP_DB`."""
    least_error = 10.0 ** (-CAP_DB / 10.0)
    values: Float64[np.ndarray, " N"] = -10.0 * np.log10(np.maximum(mean_error / 255.0**2, least_error))
    return values


@kernel(nogil=True)
def squared_error(
    predicted: UInt8[np.ndarray, "N H W C"], target: UInt8[np.ndarray, "N H W C"]
) -> Int64[np.ndarray, " N"]:
    """Return each frame's sum of squared differences, in integers and thus exact in any order."""
    num_frames = predicted.shape[0]
    totals = np.zeros(num_frames, np.int64)
    for n in range(num_frames):
        a = predicted[n].ravel()
        b = target[n].ravel()
        for i in range(a.size):
            difference = np.int32(a[i]) - np.int32(b[i])
            totals[n] += difference * difference
    return totals


PSNR = PairedMetric(
    name="psnr",
    version=1,
    title="PSNR",
    unit="dB",
    higher_is_better=True,
    decimals=2,
    load=lambda resources: psnr,
)
