"""Generation in a world whose paths are known without rendering: choice of walks, and jobs for workers."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from jaxtyping import Int64

from loopcraft.core.errors import UserError
from loopcraft.core.files import read_json, write_json
from loopcraft.core.progress import progress_bar
from loopcraft.core.urls import AnyPath
from loopcraft.dataset.audit import FLAGS
from loopcraft.dataset.episode_table import Row, write_row
from loopcraft.dataset.layout import episode_key
from loopcraft.executors.base import Executor
from loopcraft.generation import realised
from loopcraft.generation.plan import (
    EpisodePlan,
    candidate_distance,
    choose_candidates,
    plan_candidate,
    plan_train_episode,
)
from loopcraft.generation.recipe import Recipe
from loopcraft.generation.recording import EpisodeRecord, record_episode
from loopcraft.walks.selection import chamfer_distance, simulate_flat
from loopcraft.worlds.base import PathWorld

PathWorldFactory = Callable[[], PathWorld]
Draws = Int64[np.ndarray, " episodes"]
"""The draw in the row of each episode, `NO_ROW` if it has no row yet."""
NO_ROW = -1
_CHOSEN = "candidates.json"
"""File with the chosen candidates while a val or test split is being generated."""


def episode_job(
    root: AnyPath, recipe: Recipe, draws: Draws, make_world: PathWorldFactory, executor: Executor
) -> Callable[[PathWorld, int], None]:
    """Return the job that makes the episode of an index; choose the candidates of val and test first."""
    chosen = None if recipe.split == "train" else _choose(root, recipe, draws, make_world, executor)
    return partial(make_episode, root=root, recipe=recipe, chosen=chosen)


def forget(root: AnyPath) -> None:
    """Remove the files that are only needed during generation."""
    (root / _CHOSEN).unlink(missing_ok=True)
    realised.forget(root)


def make_episode(
    world: PathWorld, index: int, *, root: AnyPath, recipe: Recipe, chosen: Sequence[int] | None
) -> None:
    """Plan and record episode `index`, and write its row."""
    key = episode_key(index)
    plan = (
        plan_train_episode(world, recipe, index) if chosen is None else plan_candidate(recipe, chosen[index])
    )
    record = record_episode(
        world,
        plan.world_seed,
        plan.actions,
        root / key,
        num_context=recipe.num_context,
        lossless=recipe.lossless,
    )
    write_row(root, episode_row(key, recipe, plan, record))


def episode_row(key: str, recipe: Recipe, plan: EpisodePlan, record: EpisodeRecord) -> Row:
    """Return the row of a recorded episode for the table."""
    return {
        "key": key,
        "world": recipe.world,
        "world_seed": plan.world_seed,
        "draw": plan.draw,
        "rejected": ",".join(plan.rejected),
        "frames": record.frames,
        "mp4_sha256": record.mp4_sha256,
        "npy_sha256": record.npy_sha256,
        "distance_walked": record.distance_walked,
        "chamfer_planned": _planned_chamfer(plan, recipe.num_context),
        "chamfer_realised": record.chamfer_realised,
        **dataclasses.asdict(record.revisits),
        **{flag: flag in record.flags for flag in FLAGS},
    }


def _planned_chamfer(plan: EpisodePlan, num_context: int) -> float:
    flat = simulate_flat(plan.actions)
    return chamfer_distance(flat[:num_context], flat[num_context:])


def _choose(
    root: AnyPath, recipe: Recipe, draws: Draws, make_world: PathWorldFactory, executor: Executor
) -> list[int]:
    """The candidate of each episode, as stored by an earlier run, else chosen from all candidates."""
    if (draws != NO_ROW).all():
        return [int(draw) for draw in draws]
    if not (root / _CHOSEN).exists():
        if recipe.select == "realised":
            candidates = realised.find_returning(root, recipe, executor)
        else:
            candidates = _find_furthest(recipe, make_world, executor)
        write_json(root / _CHOSEN, candidates)
    chosen = read_json(root / _CHOSEN)
    is_valid = isinstance(chosen, list) and len(chosen) == recipe.num_episodes
    if not is_valid or not all(type(item) is int and 0 <= item < (recipe.candidates or 0) for item in chosen):
        raise UserError(
            f"{root / _CHOSEN}: not a list of chosen candidates; delete it and run the same command again"
        )
    return list(chosen)


def _find_furthest(recipe: Recipe, make_world: PathWorldFactory, executor: Executor) -> list[int]:
    """The candidates that walked furthest, ascending."""
    assert recipe.candidates is not None
    job = partial(candidate_distance, recipe=recipe)
    distances = [0.0] * recipe.candidates
    with progress_bar("choosing walks", recipe.candidates, "walks") as advance:
        items = range(recipe.candidates)
        for item, distance in executor.run(job, items, make_state=make_world):
            distances[item] = distance
            advance()
    return choose_candidates(recipe, distances)
