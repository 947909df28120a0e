"""Measure how fast frames are scored on one core: `OPENBLAS_NUM_THREADS=1 python -m perf.score`.

PSNR + SSIM are compared with torchmetrics on the same frames, then the Frechet distance with scipy's matrix
root on the same features (see frechet.py).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from benchmark.metrics.psnr import psnr
from benchmark.metrics.ssim import ssim
from loopcraft.core.cli import run
from loopcraft.core.seeding import generator
from perf import frechet


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Size of the measurement."""

    side: int = 256
    """Height and width of the frames in pixels."""
    num_frames: int = 16
    """Frames per call."""
    rounds: int = 7
    """Calls of each; the fastest counts."""
    indices: int = 4
    """Frame indices to time the Frechet distance on."""


def measure(flags: Flags) -> None:
    """Print milliseconds per frame and the ratio."""
    torch.set_num_threads(1)
    shape = (flags.num_frames, flags.side, flags.side, 3)
    predicted, true = generator(0, "perf score").integers(0, 256, (2, *shape), dtype=np.uint8)
    own = fastest(lambda: (psnr(predicted, true), ssim(predicted, true)), flags)
    reference = fastest(lambda: torchmetrics_scores(predicted, true), flags)
    print(f"PSNR + SSIM, {flags.side}x{flags.side}, one core, fastest of {flags.rounds}")
    print(f"  torchmetrics  {reference:7.2f} ms per frame")
    print(f"  loopcraft     {own:7.2f} ms per frame   {reference / own:.1f} x (goal 10 x)")
    frechet.measure(frechet.Flags(measured=flags.indices))


def torchmetrics_scores(predicted: np.ndarray, true: np.ndarray) -> tuple[object, object]:
    """Compute the same scores by torchmetrics, including the conversion from 8 bits."""
    a, b = (torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255 for frames in (predicted, true))
    return (
        peak_signal_noise_ratio(a, b, data_range=1.0, reduction="none", dim=(1, 2, 3)),
        structural_similarity_index_measure(a, b, data_range=(0.0, 1.0), reduction="none"),
    )


def fastest(call: Callable[[], object], flags: Flags) -> float:
    """Return the milliseconds per frame of the fastest round, after one to warm up."""
    call()
    seconds = []
    for _ in range(flags.rounds):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return 1e3 * min(seconds) / flags.num_frames


if __name__ == "__main__":
    raise SystemExit(run(Flags, measure))
