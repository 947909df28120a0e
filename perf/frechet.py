"""How fast FID over a whole horizon is: the exact low-rank route against scipy's matrix root.

Both are timed on the same features of a few frame indices; the time of the whole horizon is that of one index
times their number, and says so. For figures of one core set OPENBLAS_NUM_THREADS=1, which NumPy reads at
import.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from benchmark.metrics.distances import frechet_distance, kernel_distance
from loopcraft.core.cli import run
from loopcraft.core.seeding import generator


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What is measured."""

    num_videos: int = 1000
    """Samples a set."""
    dimensions: int = 2048
    """Features a sample."""
    num_indices: int = 768
    """Frame indices of the horizon."""
    measured: int = 8
    """Indices that ours is timed on; the matrix root is timed on one."""


def measure(flags: Flags) -> None:
    """Print seconds an index, the horizon's hours, the ratio, and how far the results are apart."""
    rng = generator(0, "perf frechet")
    mixing = rng.standard_normal((flags.dimensions, flags.dimensions)) / np.sqrt(flags.dimensions)
    shape = (flags.measured, 2, flags.num_videos, flags.dimensions)
    sets = (rng.standard_normal(shape) @ mixing).astype(np.float32)
    ours, value = timed(frechet_distance, sets)
    kernel, _ = timed(kernel_distance, sets)
    theirs, reference = timed(matrix_root_distance, sets[:1])
    print(f"Frechet distance, {flags.num_videos} videos, {flags.dimensions} features")
    for name, seconds, count in (("scipy's sqrtm", theirs, 1), ("ours", ours, flags.measured)):
        hours = seconds * flags.num_indices / 3600
        horizon = f"so {hours:.3f} h for {flags.num_indices}"
        print(f"  {name:14} {seconds:8.3f} s an index (mean of {count}), {horizon}")
    print(f"  {theirs / ours:.0f} x (goal 20 x); results differ by {abs(value / reference - 1):.1e}")
    print(f"  kernel distance (KID) {kernel:.3f} s an index")


def timed(distance: Callable[[np.ndarray, np.ndarray], float], sets: np.ndarray) -> tuple[float, float]:
    """Seconds an index and the first index's distance."""
    started = time.perf_counter()
    values = [distance(*pair) for pair in sets]
    return (time.perf_counter() - started) / len(sets), values[0]


def matrix_root_distance(generated: np.ndarray, true: np.ndarray) -> float:
    """The usual way: covariances, and the square root of their product."""
    offset = generated.mean(axis=0, dtype=np.float64) - true.mean(axis=0, dtype=np.float64)
    first, second = (np.cov(features.astype(np.float64), rowvar=False) for features in (generated, true))
    root = scipy.linalg.sqrtm(first @ second).real
    return float(offset @ offset + np.trace(first) + np.trace(second) - 2.0 * np.trace(root))


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, measure, argv)


if __name__ == "__main__":
    raise SystemExit(main())
