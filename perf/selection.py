"""Measure how fast a test walk is selected among 100 candidates, compared with the pairwise numpy formula.

Both methods draw, simulate and measure the same candidates on one core; their results are compared first.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from loopcraft.core import cli, seeding
from loopcraft.walks.actions import draw_walks
from loopcraft.walks.selection import (
    CONTEXT_TICKS,
    NUM_CANDIDATES,
    NUM_LOWEST,
    SelectedWalk,
    select_walk,
    simulate_flat,
)

NUM_TICKS = 1024


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Time the selection of test walks."""

    walks: int = 20
    """Test walks to select by the fast method."""
    pairwise_walks: int = 3
    """Test walks to select by the pairwise method too."""


def pairwise_chamfer(a: Float64[np.ndarray, "N 2"], b: Float64[np.ndarray, "M 2"]) -> float:
    """Compute the Chamfer distance straight from its definition."""
    distances = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))
    return float(distances.min(axis=1).mean() + distances.min(axis=0).mean())


def select_pairwise(rng: np.random.Generator) -> SelectedWalk:
    """Select a walk as `select_walk` does, without its shortcuts."""
    walks = draw_walks(rng, NUM_CANDIDATES, NUM_TICKS)
    paths = simulate_flat(walks)
    distances = np.array([pairwise_chamfer(path[:CONTEXT_TICKS], path[CONTEXT_TICKS:]) for path in paths])
    lowest = np.argsort(distances, kind="stable")[:NUM_LOWEST]
    candidate = int(lowest[int(rng.random() * NUM_LOWEST)])
    return SelectedWalk(actions=walks[candidate], chamfer=float(distances[candidate]), candidate=candidate)


def measure(select: Callable[[np.random.Generator], SelectedWalk], num_walks: int) -> float:
    """Return the median milliseconds per selection, after a first one that compiles."""
    select(seeding.generator(0, "perf selection", 0))
    times = []
    for index in range(num_walks):
        rng = seeding.generator(0, "perf selection", index)
        start = time.perf_counter()
        select(rng)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def body(flags: Flags) -> int:
    """Compare both methods, then time them."""
    for index in range(flags.pairwise_walks):
        fast = select_walk(seeding.generator(0, "perf selection", index))
        slow = select_pairwise(seeding.generator(0, "perf selection", index))
        if (fast.candidate, fast.chamfer) != (slow.candidate, slow.chamfer):
            print(f"walk {index}: the methods disagree: {fast} and {slow}", file=sys.stderr)
            return cli.EXIT_FAILED
    fast_ms, slow_ms = measure(select_walk, flags.walks), measure(select_pairwise, flags.pairwise_walks)
    print(f"one test walk of {NUM_CANDIDATES} candidates: {fast_ms:.1f} ms (drawing and simulation included)")
    print(f"pairwise numpy, the same choice:     {slow_ms:.1f} ms")
    print(f"ratio: {slow_ms / fast_ms:.0f}x")
    return cli.EXIT_OK


if __name__ == "__main__":
    raise SystemExit(cli.run(Flags, body))
