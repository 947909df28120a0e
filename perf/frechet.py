"""Measure the time of FID over a whole horizon: the exact low-rank method against scipy's matrix root.

Both are timed on the same features of a few frame indices; the printed time of the whole horizon is that of
one index times the number of indices. For single-core figures set OPENBLAS_NUM_THREADS=1, which NumPy reads
at import.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from benchmark.metrics.distances import frechet_distance, kernel_distance
from loopcraft.core.cli import run
from loopcraft.core.seeding import generator


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Size of the measurement."""

    num_videos: int = 1000
    """Samples per set."""
    dimensions: int = 2048
    """Features per sample."""
    num_indices: int = 768
    """Frame indices of the horizon."""
    measured: int = 8
    """Indices to time the low-rank method on; the matrix root is timed on one."""


def measure(flags: Flags) -> None:
    """Print seconds per index, hours for the horizon, the ratio, and the difference of the results."""
    rng = generator(0, "perf frechet")
    mixing = rng.standard_normal((flags.dimensions, flags.dimensions)) / np.sqrt(flags.dimensions)
    shape = (flags.measured, 2, flags.num_videos, flags.dimensions)
    sets = (rng.standard_normal(shape) @ mixing).astype(np.float32)
    low_rank, value = time_distance(frechet_distance, sets)
    kernel, _ = time_distance(kernel_distance, sets)
    matrix_root, reference = time_distance(matrix_root_distance, sets[:1])
    print(f"Frechet distance, {flags.num_videos} videos, {flags.dimensions} features")
    for name, seconds, count in (("scipy's sqrtm", matrix_root, 1), ("low rank", low_rank, flags.measured)):
        hours = seconds * flags.num_indices / 3600
        horizon = f"so {hours:.3f} h for {flags.num_indices}"
        print(f"  {name:14} {seconds:8.3f} s per index (mean of {count}), {horizon}")
    print(f"  {matrix_root / low_rank:.0f} x (goal 20 x); results differ by {abs(value / reference - 1):.1e}")
    print(f"  kernel distance (KID) {kernel:.3f} s per index")


def time_distance(
    distance: Callable[[np.ndarray, np.ndarray], float], sets: np.ndarray
) -> tuple[float, float]:
    """Return the seconds per index and the first index's distance."""
    started = time.perf_counter()
    values = [distance(*pair) for pair in sets]
    return (time.perf_counter() - started) / len(sets), values[0]


def matrix_root_distance(generated: np.ndarray, true: np.ndarray) -> float:
    """Return the distance the usual way: covariances, and the square root of their product."""
    offset = generated.mean(axis=0, dtype=np.float64) - true.mean(axis=0, dtype=np.float64)
    first, second = (np.cov(features.astype(np.float64), rowvar=False) for features in (generated, true))
    root = scipy.linalg.sqrtm(first @ second).real
    return float(offset @ offset + np.trace(first) + np.trace(second) - 2.0 * np.trace(root))


if __name__ == "__main__":
    raise SystemExit(run(Flags, measure))
