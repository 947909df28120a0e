"""Measure the cost of isolating a model in its own process: `OMP_NUM_THREADS=1 python -m perf.isolation`.

The same rollouts are made in this process and through another one, by a model that only returns frames, and
by one that computes a little for each. Rounds alternate, the fastest of each counts, and both ways check and
quantise the frames. Loading is not counted: it happens once per run, and once after a crash.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmark.contract.compute import Compute
from benchmark.contract.model import RolloutModel
from benchmark.sources.chunks import check_chunks, guard_rollout
from benchmark.sources.isolated import IsolatedModel
from loopcraft.core.cli import run


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Size of the measurement."""

    sides: tuple[int, ...] = (64, 256)
    """Heights and widths of the frames in pixels."""
    horizon: int = 192
    """Frames per rollout."""
    matrix: int = 512
    """Side of the matrices that the computing model multiplies, once per frame."""
    rounds: int = 5
    """Rollouts of each; the fastest counts."""


class Idle:
    """A model that returns the last frame, 16 at a time; with `matrix`, it computes first."""

    name, frame_shape, max_context = "idle", None, 64

    def __init__(self, matrix: int = 0) -> None:
        self._matrix = torch.ones(matrix, matrix)

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Yield whole chunks of 16 frames."""
        for _ in range((actions.shape[1] - context.shape[1]) // 16):
            for _ in range(16):
                self._matrix @ self._matrix
            yield context[:, -1:].expand(-1, 16, -1, -1, -1)


def measure(flags: Flags) -> None:
    """Print milliseconds per frame, and ratios."""
    torch.set_num_threads(1)
    print(f"{'frames':>9}{'model':>12}{'local':>12}{'isolated':>12}{'ratio':>12}   (ms per frame)")
    for matrix in (0, flags.matrix):
        isolated = IsolatedModel("perf.isolation:Idle", {"matrix": matrix}, world=None, compute=Compute())
        try:
            for side in flags.sides:
                local_ms, isolated_ms = fastest([Idle(matrix), isolated], side, flags)
                kind = "computes" if matrix else "idle"
                size = f"{side}x{side}"
                print(f"{size:>9}{kind:>12}{local_ms:12.3f}{isolated_ms:12.3f}{isolated_ms / local_ms:12.2f}")
        finally:
            isolated.close()


def fastest(models: Sequence[RolloutModel], side: int, flags: Flags) -> list[float]:
    """Return the milliseconds per frame of each model, after a round to warm up."""
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(flags.rounds + 1):
        for model, times in zip(models, seconds, strict=True):
            started = time.perf_counter()
            roll_out(model, side, flags.horizon)
            times.append(time.perf_counter() - started)
    return [1e3 * min(times[1:]) / flags.horizon for times in seconds]


def roll_out(model: RolloutModel, side: int, horizon: int) -> None:
    """Generate one video as the benchmark does."""
    context = torch.zeros(1, model.max_context, 3, side, side, dtype=torch.uint8)
    actions = torch.zeros(1, model.max_context + horizon, dtype=torch.int64)
    chunks = guard_rollout(model.name, lambda: model.rollout(context, actions, seeds=[0]), Compute())
    for _ in check_chunks(chunks, (1, horizon, 3, side, side)):
        pass


if __name__ == "__main__":
    raise SystemExit(run(Flags, measure))
