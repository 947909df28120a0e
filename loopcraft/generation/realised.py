"""Which candidates of a val or test split really see again what their context showed.

Every candidate is played, with physics and collisions, and what its pixels show is followed at 64 x 64
pixels, whatever the resolution of the frames. Of the candidates, in this order:

1. those whose path its audit flags (stuck, fell) go last;
2. the half that walked furthest stays: who turns round in a corner sees the same walls without going away;
3. of these the half with the largest returned share stays: that of the horizon's pixels whose surface the
   context showed and which has been out of sight in between;
4. the stretches of ages (frames since the context last showed the surface) choose in turn, the oldest
   first: each takes, of those that are left, the candidate with the largest share of pixels that returned at
   its age.

No half is smaller than the split. Of equals the earlier candidate goes first.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle

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
NUM_STRETCHES = 11
"""1-64 frames, 65-128, 129-256 and so on: up to the greatest age that a recall mask can hold."""

_SIGHTINGS = "candidates"


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What is known of a played candidate. `returned` has a share a stretch of ages, the youngest first."""

    is_sound: bool
    distance_walked: float
    returned: tuple[float, ...]


def stretch_of_age(age: int) -> int:
    """The place of an age, in frames, among the stretches."""
    return max(0, (age - 1) // YOUNGEST).bit_length()


def find_returning(root: AnyPath, recipe: Recipe, executor: Executor) -> list[int]:
    """The candidates to keep, ascending; what was measured before a run was killed is not measured again."""
    assert recipe.candidates is not None
    folder = root / _SIGHTINGS
    candidates = range(recipe.candidates)
    there = existing(folder, [f"{episode_key(candidate)}.json" for candidate in candidates])
    missing = [candidate for candidate in candidates if f"{episode_key(candidate)}.json" not in there]
    make_world = partial(make_surface_world, recipe.world, resolution=SIGHT_RESOLUTION)
    job = partial(watch_candidate, folder=folder, recipe=recipe)
    with progress_bar("choosing walks", len(candidates), "walks", len(candidates) - len(missing)) as advance:
        for _ in executor.run(job, missing, make_state=make_world):
            advance()
    sightings = [_read(_path(folder, candidate)) for candidate in candidates]
    return choose_returning(sightings, recipe.num_episodes)


def forget(root: AnyPath) -> None:
    """Remove what was measured, once the set is finished."""
    remove_tree(root / _SIGHTINGS)


def watch_candidate(world: SurfaceWorld, candidate: int, *, folder: AnyPath, recipe: Recipe) -> None:
    """Play one candidate and keep what it sees again."""
    write_json(_path(folder, candidate), dataclasses.asdict(sight_of(world, candidate, recipe)))


def sight_of(world: SurfaceWorld, candidate: int, recipe: Recipe) -> Sighting:
    """What one candidate sees again."""
    plan = plan_candidate(recipe, candidate)
    sight, poses, counts = Sight(recipe.num_context), [], np.zeros(NUM_STRETCHES, np.int64)
    stretches = np.array([stretch_of_age(age) for age in range(recipe.num_frames)])
    for frame, seen in enumerate(world.play(plan.world_seed, plan.actions, surfaces=True)):
        assert seen.surface is not None
        poses.append(seen.pose)
        codes = sight.watch(seen.surface)
        if frame >= recipe.num_context:
            ages = frame - (codes[codes >= CODE_RETURNED].astype(np.int64) - CODE_RETURNED)
            counts += np.bincount(stretches[ages], minlength=NUM_STRETCHES)
    path = np.array(poses)
    total = (recipe.num_frames - recipe.num_context) * world.resolution**2
    return Sighting(
        is_sound=not audit_path(path, plan.actions),
        distance_walked=distance_walked(path[:, :3]),
        returned=tuple((counts / total).tolist()),
    )


def choose_returning(sightings: Sequence[Sighting], keep: int) -> list[int]:
    """The `keep` candidates that stay, ascending, by the rule above."""
    distances = [seen.distance_walked if seen.is_sound else -1.0 for seen in sightings]
    left = _best_half(range(len(sightings)), distances, keep)
    left = _best_half(left, [sum(seen.returned) for seen in sightings], keep)
    reached = [stretch for stretch in range(NUM_STRETCHES) if any(s.returned[stretch] for s in sightings)]
    chosen: list[int] = []
    for stretch in cycle(reversed(reached or [0])):
        if len(chosen) == keep:
            return sorted(chosen)
        best = max(left, key=lambda candidate: sightings[candidate].returned[stretch])
        left.remove(best)
        chosen.append(best)
    raise AssertionError("a cycle has no end")


def _best_half(candidates: Sequence[int], scores: Sequence[float], at_least: int) -> list[int]:
    """The larger half, at least so many, in the order in which they were drawn."""
    count = max(at_least, -(-len(candidates) // 2))
    return sorted(sorted(candidates, key=lambda candidate: -scores[candidate])[:count])


def _path(folder: AnyPath, candidate: int) -> AnyPath:
    return folder / f"{episode_key(candidate)}.json"


def _read(path: AnyPath) -> Sighting:
    try:
        found = decode(Sighting, read_json(path))
        if len(found.returned) != NUM_STRETCHES:
            raise SchemaError(f"returned: expected {NUM_STRETCHES} shares")
    except SchemaError as error:
        raise UserError(
            f"{path}: no measurement of a candidate ({error}); delete it and run the same command again"
        ) from error
    return found
