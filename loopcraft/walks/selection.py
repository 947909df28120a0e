"""Selection of walks for the test set.

A test walk is planned on a flat plane: of 100 candidates, one of the 10 is chosen whose path after the
context stays closest to the context (MilliVid, appendix A.1).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int8, Int64, Integer

from loopcraft.core.jit import kernel
from loopcraft.walks.actions import Action, draw_walks, heading_sines

CONTEXT_TICKS = 256
NUM_CANDIDATES = 100
NUM_LOWEST = 10

_SAMPLE_STRIDE = 8
"""The lower bound of a Chamfer distance uses every eighth point."""
_ROUNDING = 1e-9
"""Far above the rounding error of a Chamfer distance, and far below any difference that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedWalk:
    """A planned test walk."""

    actions: Int8[np.ndarray, " T"]
    chamfer: float
    """Chamfer distance in blocks between context and rest, on the flat plane."""
    candidate: int
    """Index among the candidates, in the order they were drawn."""


def simulate_flat(actions: Integer[np.ndarray, "*batch T"]) -> Float64[np.ndarray, "*batch T 2"]:
    """Return the positions after each tick of a turtle that starts at the origin, facing +y.

    A forward tick is a unit step, a turn tick 10 degrees (right is towards +x). There are no obstacles.
    """
    walks = np.asarray(actions, np.int8).reshape(-1, actions.shape[-1])
    positions: Float64[np.ndarray, "*batch T 2"] = _simulate_flat(walks, heading_sines())
    return positions.reshape(*actions.shape, 2)


def chamfer_distance(a: Float64[np.ndarray, "N 2"], b: Float64[np.ndarray, "M 2"]) -> float:
    """Return the mean distance from a point of `a` to the nearest of `b`, plus the same from `b` to `a`.

    Bitwise equal to the pairwise NumPy formula.
    """
    return float(_nearest_distances(a, b).mean() + _nearest_distances(b, a).mean())


def select_walk(
    rng: np.random.Generator,
    *,
    num_ticks: int = 1024,
    num_context: int = CONTEXT_TICKS,
    num_candidates: int = NUM_CANDIDATES,
    num_lowest: int = NUM_LOWEST,
) -> SelectedWalk:
    """Draw candidate walks and choose uniformly among those that stay closest to their context.

    Raises `ValueError` for numbers that leave nothing to choose from.
    """
    if not 0 < num_context < num_ticks or not 0 < num_lowest <= num_candidates:
        raise ValueError(
            f"cannot choose among the {num_lowest} lowest of {num_candidates} walks "
            f"of {num_ticks} ticks with {num_context} of context"
        )
    walks = draw_walks(rng, num_candidates, num_ticks)
    lowest, distances = lowest_chamfer(simulate_flat(walks), num_context, num_lowest)
    choice = int(rng.random() * num_lowest)
    candidate = int(lowest[choice])
    return SelectedWalk(actions=walks[candidate], chamfer=float(distances[choice]), candidate=candidate)


def lowest_chamfer(
    positions: Float64[np.ndarray, "N T 2"], num_context: int, num_lowest: int
) -> tuple[Int64[np.ndarray, " num_lowest"], Float64[np.ndarray, " num_lowest"]]:
    """Return the candidates of lowest Chamfer distance between context and rest, and their distances, sorted.

    The result equals a stable sort of all distances, ties included; but only candidates whose lower bound
    does not exceed the worst distance kept so far are measured in full.
    """
    bounds = _chamfer_lower_bounds(positions, num_context)
    distances = np.full(len(positions), np.inf)
    for candidate in np.argsort(bounds, kind="stable"):
        worst_kept = np.partition(distances, num_lowest - 1)[num_lowest - 1]
        if bounds[candidate] > worst_kept * (1 + _ROUNDING) + _ROUNDING:
            break
        path = positions[candidate]
        distances[candidate] = chamfer_distance(path[:num_context], path[num_context:])
    lowest = np.argsort(distances, kind="stable")[:num_lowest]
    return lowest, distances[lowest]


def distance_walked(positions: Float[np.ndarray, "T 3"]) -> float:
    """Return the horizontal length in blocks of a path (x, y, z), so that hopping in place does not count."""
    steps = np.diff(positions[:, [0, 2]], axis=0)
    return float(np.sqrt((steps**2).sum(axis=1)).sum())


def select_most_distant(distances: Float[np.ndarray, " N"], keep: int) -> Int64[np.ndarray, " keep"]:
    """Return the indices of the `keep` largest distances in ascending order; the earlier of equals is kept.

    Raises `ValueError` if `keep` exceeds the number of distances.
    """
    if not 0 <= keep <= len(distances):
        raise ValueError(f"cannot keep {keep} of {len(distances)} episodes")
    return np.sort(np.argsort(-distances, kind="stable")[:keep])


@kernel
def _simulate_flat(
    walks: Int8[np.ndarray, "N T"], sines: Float64[np.ndarray, "36"]
) -> Float64[np.ndarray, "N T 2"]:
    """Run the turtle of `simulate_flat`; headings are in units of 10 degrees."""
    positions = np.empty((*walks.shape, 2))
    for walk, path in zip(walks, positions):  # noqa: B905 (numba's zip takes no strict)
        x, y, heading = 0.0, 0.0, 0
        for tick, action in enumerate(walk):
            if action == Action.LEFT:
                heading = (heading + 35) % 36
            elif action == Action.RIGHT:
                heading = (heading + 1) % 36
            else:
                x += sines[heading]
                y += sines[(heading + 9) % 36]
            path[tick, 0], path[tick, 1] = x, y
    return positions


@kernel
def _nearest_distances(
    points: Float64[np.ndarray, "N 2"], others: Float64[np.ndarray, "M 2"]
) -> Float64[np.ndarray, " N"]:
    x, y = points[:, 0].copy(), points[:, 1].copy()
    nearest = np.full(len(points), np.inf)
    for other in range(len(others)):
        other_x, other_y = others[other]
        for i in range(len(points)):  # the inner loop has no reduction, so that it compiles to SIMD
            dx, dy = x[i] - other_x, y[i] - other_y
            squared = dx * dx + dy * dy
            nearest[i] = squared if squared < nearest[i] else nearest[i]
    distances: Float64[np.ndarray, " N"] = np.sqrt(nearest)
    return distances


@kernel
def _chamfer_lower_bounds(
    positions: Float64[np.ndarray, "N T 2"], num_context: int
) -> Float64[np.ndarray, " N"]:
    bounds = np.empty(len(positions))  # lower bounds of the Chamfer distances, up to rounding
    for candidate, path in enumerate(positions):
        context, rest = path[:num_context], path[num_context:]
        bounds[candidate] = _mean_nearest_bound(context, rest) + _mean_nearest_bound(rest, context)
    return bounds


@kernel
def _mean_nearest_bound(points: Float64[np.ndarray, "N 2"], others: Float64[np.ndarray, "M 2"]) -> float:
    """Return a lower bound of the mean nearest distance, by the triangle inequality from sampled points."""
    samples = points[::_SAMPLE_STRIDE].copy()
    at_samples = _nearest_distances(samples, others)
    total = 0.0
    for i in range(len(points)):
        sample = min((i + _SAMPLE_STRIDE // 2) // _SAMPLE_STRIDE, len(samples) - 1)
        dx, dy = points[i, 0] - samples[sample, 0], points[i, 1] - samples[sample, 1]
        total += max(0.0, at_samples[sample] - np.sqrt(dx * dx + dy * dy))
    return total / len(points)
