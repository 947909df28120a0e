"""What a process of its own costs a model: `OMP_NUM_THREADS=1 python -m perf.isolation`.

The same rollouts are made in this process and through another one, by a model that does nothing but hand out
frames, and by one that computes a little for each. Rounds alternate, the fastest of each counts, and both
ways check and quantise what comes. Loading is not counted: it is once a run, and once after a crash.
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
    """What is measured."""

    sides: tuple[int, ...] = (64, 256)
    """Heights and widths of the frames in pixels."""
    horizon: int = 192
    """Frames of a rollout."""
    matrix: int = 512
    """The model that computes multiplies matrices of this side, once a frame."""
    rounds: int = 5
    """Rollouts of each; the fastest counts."""


class Idle:
    """Hands out the last frame, 16 at a time; with `matrix`, computes before."""

    name, frame_shape, max_context = "idle", None, 64

    def __init__(self, matrix: int = 0) -> None:
        self._matrix = torch.ones(matrix, matrix)

    def rollout(self, context: Tensor, actions: Tensor, *, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Whole chunks of 16."""
        for _ in range((actions.shape[1] - context.shape[1]) // 16):
            for _ in range(16):
                self._matrix @ self._matrix
            yield context[:, -1:].expand(-1, 16, -1, -1, -1)


def measure(flags: Flags) -> None:
    """Print milliseconds a frame, and ratios."""
    torch.set_num_threads(1)
    print(f"{'frames':>9}{'model':>12}{'here':>12}{'apart':>12}{'apart/here':>12}   (ms a frame)")
    for matrix in (0, flags.matrix):
        apart = IsolatedModel("perf.isolation:Idle", {"matrix": matrix}, world=None, compute=Compute())
        try:
            for side in flags.sides:
                here_ms, apart_ms = fastest([Idle(matrix), apart], side, flags)
                kind = "computes" if matrix else "idle"
                size = f"{side}x{side}"
                print(f"{size:>9}{kind:>12}{here_ms:12.3f}{apart_ms:12.3f}{apart_ms / here_ms:12.2f}")
        finally:
            apart.close()


def fastest(models: Sequence[RolloutModel], side: int, flags: Flags) -> list[float]:
    """Milliseconds a frame of each model, after a round to warm up."""
    seconds: list[list[float]] = [[] for _ in models]
    for _ in range(flags.rounds + 1):
        for model, taken in zip(models, seconds, strict=True):
            started = time.perf_counter()
            roll_out(model, side, flags.horizon)
            taken.append(time.perf_counter() - started)
    return [1e3 * min(taken[1:]) / flags.horizon for taken in seconds]


def roll_out(model: RolloutModel, side: int, horizon: int) -> None:
    """One video, as the benchmark has it made."""
    context = torch.zeros(1, model.max_context, 3, side, side, dtype=torch.uint8)
    actions = torch.zeros(1, model.max_context + horizon, dtype=torch.int64)
    chunks = guard_rollout(model.name, lambda: model.rollout(context, actions, seeds=[0]), Compute())
    for _ in check_chunks(chunks, (1, horizon, 3, side, side)):
        pass


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, measure, argv)


if __name__ == "__main__":
    raise SystemExit(main())
