"""Planning of episodes: the walk and the world of each, as a pure function of the recipe.

train
    Episode i draws a walk and a world up to eight times, until the audit of its path passes.
val, test
    Each candidate draws a world and 100 walks, of which it takes the one that returns best. The candidates
    that walk furthest are kept, in the order in which they were drawn.

The name of the split is part of every seed, so no two splits share a walk or a world.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8

from loopcraft.core.seeding import generator, integer_seed
from loopcraft.dataset.audit import audit_path
from loopcraft.generation.recipe import Recipe
from loopcraft.walks.actions import draw_walk
from loopcraft.walks.selection import distance_walked, select_most_distant, select_walk
from loopcraft.worlds.base import PathWorld

TRAIN_ATTEMPTS = 8


@dataclass(frozen=True, kw_only=True)
class EpisodePlan:
    """A walk and a world. `draw` is the attempt (train) or candidate (val, test) that drew them.

    `rejected` has the reason why each earlier attempt was dropped.
    """

    draw: int
    world_seed: int
    actions: Int8[np.ndarray, " T"]
    rejected: tuple[str, ...] = ()


def plan_train_episode(world: PathWorld, recipe: Recipe, index: int) -> EpisodePlan:
    """Return the first attempt whose path passes its audit, or else the last, which will be flagged."""
    rejected: tuple[str, ...] = ()
    for attempt in range(TRAIN_ATTEMPTS):
        plan = draw_train_episode(recipe, index, attempt, rejected)
        flags = audit_path(world.path(plan.world_seed, plan.actions), plan.actions)
        if not flags:
            break
        rejected += flags[:1]
    return plan


def draw_train_episode(
    recipe: Recipe, index: int, attempt: int, rejected: tuple[str, ...] = ()
) -> EpisodePlan:
    """Return one attempt at episode `index`; its path is not audited."""
    return EpisodePlan(
        draw=attempt,
        world_seed=integer_seed(recipe.seed, "train world", index, attempt),
        actions=draw_walk(generator(recipe.seed, "train walk", index, attempt), recipe.num_frames),
        rejected=rejected,
    )


def plan_candidate(recipe: Recipe, candidate: int) -> EpisodePlan:
    """Return the walk and world of one candidate of a val or test split."""
    rng = generator(recipe.seed, f"{recipe.split} walk", candidate)
    walk = select_walk(rng, num_ticks=recipe.num_frames, num_context=recipe.num_context)
    world_seed = integer_seed(recipe.seed, f"{recipe.split} world", candidate)
    return EpisodePlan(draw=candidate, world_seed=world_seed, actions=walk.actions)


def candidate_distance(world: PathWorld, candidate: int, recipe: Recipe) -> float:
    """Return how far the agent of `candidate` walks, in blocks."""
    plan = plan_candidate(recipe, candidate)
    return distance_walked(world.path(plan.world_seed, plan.actions)[:, :3])


def choose_candidates(recipe: Recipe, distances: Sequence[float]) -> list[int]:
    """Return the candidates that walked furthest, ascending: episode i of the split is the i-th of them."""
    return [int(index) for index in select_most_distant(np.array(distances), recipe.num_episodes)]
