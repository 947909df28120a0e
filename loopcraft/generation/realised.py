"""Selection of the candidates of a val or test split that see again what their context showed.

Every candidate is played, with physics and collisions, and its visible surfaces are tracked at 64 x 64
pixels, whatever the resolution of the frames. Candidates are selected in these steps:

1. Those whose path the audit flags (stuck, fell) are ranked last.
2. The half that walked furthest is kept: an agent that turns in a corner sees the same walls without leaving.
3. Of these, the half with the largest returned share is kept: the share of the horizon's pixels whose surface
   the context showed and which has been out of sight in between.
4. Ages (frames since the context last showed the surface) are divided into intervals, which take turns, the
   oldest first: each picks the remaining candidate with the largest share of pixels that returned at its age.

No half is smaller than the split. Ties go to the earlier candidate.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import numpy as np

from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.files import read_json, write_json
from loopcraft.core.progress import progress_bar
from loopcraft.core.urls import AnyPath, existing, remove_tree
from loopcraft.dataset.audit import audit_path
from loopcraft.dataset.layout import episode_key
from loopcraft.dataset.mask_codes import CODE_RETURNED
from loopcraft.executors.base import Executor
from loopcraft.generation.plan import plan_candidate
from loopcraft.generation.recall_masks import Sight
from loopcraft.generation.recipe import Recipe
from loopcraft.walks.selection import distance_walked
from loopcraft.worlds import make_surface_world
from loopcraft.worlds.base import SurfaceWorld

SIGHT_RESOLUTION = 64
YOUNGEST = 64
NUM_INTERVALS = 11
"""Number of age intervals: 1-64 frames, 65-128, 129-256 and so on, up to the maximum age in a recall mask."""

_SIGHTINGS = "candidates"


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """Measurements of a played candidate. `returned` has one share per age interval, the youngest first."""

    is_sound: bool
    distance_walked: float
    returned: tuple[float, ...]


def interval_of_age(age: int) -> int:
    """Return the index of the interval of an age in frames."""
    return max(0, (age - 1) // YOUNGEST).bit_length()


def find_returning(root: AnyPath, recipe: Recipe, executor: Executor) -> list[int]:
    """Return the candidates to keep, ascending. Measurements of an earlier, interrupted run are reused."""
    assert recipe.candidates is not None
    folder = root / _SIGHTINGS
    names = [f"{episode_key(candidate)}.json" for candidate in range(recipe.candidates)]
    finished = existing(folder, names)
    missing = [candidate for candidate, name in enumerate(names) if name not in finished]
    make_world = partial(make_surface_world, recipe.world, resolution=SIGHT_RESOLUTION)
    job = partial(watch_candidate, folder=folder, recipe=recipe)
    with progress_bar("choosing walks", len(names), "walks", len(names) - len(missing)) as advance:
        for _ in executor.run(job, missing, make_state=make_world):
            advance()
    sightings = [_read(folder / name) for name in names]
    return choose_returning(sightings, recipe.num_episodes)


def forget(root: AnyPath) -> None:
    """Remove the measurements, once the data set is finished."""
    remove_tree(root / _SIGHTINGS)


def watch_candidate(world: SurfaceWorld, candidate: int, *, folder: AnyPath, recipe: Recipe) -> None:
    """Play one candidate and write its measurements."""
    path = folder / f"{episode_key(candidate)}.json"
    write_json(path, dataclasses.asdict(measure_candidate(world, candidate, recipe)))


def measure_candidate(world: SurfaceWorld, candidate: int, recipe: Recipe) -> Sighting:
    """Play one candidate and measure what it sees again."""
    plan = plan_candidate(recipe, candidate)
    sight, poses, counts = Sight(recipe.num_context), [], np.zeros(NUM_INTERVALS, np.int64)
    intervals = np.array([interval_of_age(age) for age in range(recipe.num_frames)])
    for frame, observation in enumerate(world.play(plan.world_seed, plan.actions, surfaces=True)):
        assert observation.surface is not None
        poses.append(observation.pose)
        codes = sight.watch(observation.surface)
        if frame >= recipe.num_context:
            ages = frame - (codes[codes >= CODE_RETURNED].astype(np.int64) - CODE_RETURNED)
            counts += np.bincount(intervals[ages], minlength=NUM_INTERVALS)
    path = np.array(poses)
    total = (recipe.num_frames - recipe.num_context) * world.resolution**2
    return Sighting(
        is_sound=not audit_path(path, plan.actions),
        distance_walked=distance_walked(path[:, :3]),
        returned=tuple((counts / total).tolist()),
    )


def choose_returning(sightings: Sequence[Sighting], keep: int) -> list[int]:
    """Return the `keep` candidates to select, ascending, by the steps above."""
    distances = [s.distance_walked if s.is_sound else -1.0 for s in sightings]
    remaining = _best_half(range(len(sightings)), distances, keep)
    remaining = _best_half(remaining, [sum(s.returned) for s in sightings], keep)
    reached = [interval for interval in range(NUM_INTERVALS) if any(s.returned[interval] for s in sightings)]
    chosen: list[int] = []
    for interval in islice(cycle(reversed(reached or [0])), keep):
        best = max(remaining, key=lambda candidate: sightings[candidate].returned[interval])
        remaining.remove(best)
        chosen.append(best)
    return sorted(chosen)


def _best_half(candidates: Sequence[int], scores: Sequence[float], at_least: int) -> list[int]:
    """The best half (rounded up) of the candidates, but not fewer than `at_least`, ascending."""
    count = max(at_least, -(-len(candidates) // 2))
    return sorted(sorted(candidates, key=lambda candidate: -scores[candidate])[:count])


def _read(path: AnyPath) -> Sighting:
    try:
        sighting = decode(Sighting, read_json(path))
        if len(sighting.returned) != NUM_INTERVALS:
            raise SchemaError(f"returned: expected {NUM_INTERVALS} shares")
    except SchemaError as error:
        raise UserError(
            f"{path}: not the measurements of a candidate ({error}); delete it and run the same command again"
        ) from error
    return sighting
