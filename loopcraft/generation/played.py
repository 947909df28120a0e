"""Generation in a world whose paths are known only after rendering, such as real Minecraft.

A train walk that turns out stuck has been rendered in vain. A val or test split renders every candidate (by
default ten times its episodes, as in the paper) into candidates/, keeps those that walked furthest and
deletes the others at the end; its shards divide the candidates. If the game fails, no file is written and the
walk is played again, at most three times in all.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from loopcraft.core.errors import UserError
from loopcraft.core.progress import progress_bar
from loopcraft.dataset.episode_table import FAILED, read_rows, write_row
from loopcraft.dataset.layout import episode_index, episode_key
from loopcraft.executors.base import Executor
from loopcraft.generation.plan import (
    TRAIN_ATTEMPTS,
    EpisodePlan,
    choose_candidates,
    draw_train_episode,
    plan_candidate,
)
from loopcraft.generation.recipe import Recipe, check_versions
from loopcraft.generation.recording import EpisodeRecord, record_episode
from loopcraft.generation.simulated import Draws, episode_row
from loopcraft.worlds.base import PlayError, World

WorldFactory = Callable[[], World]

PLAYS = 3
"""Maximum number of times that the same walk is played if the game fails."""

_CANDIDATES = "candidates"


def take_turns(make_world: Callable[..., World], num_workers: int) -> tuple[WorldFactory, int]:
    """Return a factory and a number of processes, of which only `num_workers` render at any time.

    There are two processes for each: while one renders, the other finishes its last video and builds its next
    world.
    """
    turns = get_context("spawn").BoundedSemaphore(num_workers)
    return partial(make_world, turns=turns), 2 * num_workers


def episode_job(root: Path, recipe: Recipe, draws: Draws) -> Callable[[World, int], None]:
    """Return the job that makes the episode of an index.

    In val and test each episode already has a row, with its candidate in `draws`, and only lacks files.
    """
    return partial(make_episode, root=root, recipe=recipe, draws=None if recipe.candidates is None else draws)


def make_episode(world: World, index: int, *, root: Path, recipe: Recipe, draws: Draws | None) -> None:
    """Record episode `index` and write its row; raise `UserError` if it cannot be played."""
    key = episode_key(index)
    plans = (
        [draw_train_episode(recipe, index, attempt) for attempt in range(TRAIN_ATTEMPTS)]
        if draws is None
        else [plan_candidate(recipe, int(draws[index]))]
    )
    plan, record = _play_until_sound(world, plans, root / key, recipe)
    if record is None:
        raise UserError(
            f"{root / key}: could not be played ({', '.join(plan.rejected)}); run again to try again"
        )
    write_row(root, episode_row(key, recipe, plan, record))


def play_candidates(
    root: Path, recipe: Recipe, candidates: Sequence[int], make_world: WorldFactory, executor: Executor
) -> None:
    """Record the `candidates` that have no row yet."""
    folder = root / _CANDIDATES
    finished = {episode_index(row["key"]) for row in read_rows(folder, map(episode_key, candidates))}
    missing = [candidate for candidate in candidates if candidate not in finished]
    if not missing:
        return
    check_versions(root)
    job = partial(make_candidate, folder=folder, recipe=recipe)
    with progress_bar("choosing walks", len(candidates), "walks", len(finished)) as advance:
        for _ in executor.run(job, missing, make_state=make_world):
            advance()


def make_candidate(world: World, candidate: int, *, folder: Path, recipe: Recipe) -> None:
    """Record one candidate as an episode in `folder`; if it cannot be played, write a row of the failure."""
    key = episode_key(candidate)
    plan, record = _play_until_sound(world, [plan_candidate(recipe, candidate)], folder / key, recipe)
    failed = {"key": key, "draw": candidate, "rejected": ",".join(plan.rejected), "distance_walked": FAILED}
    write_row(folder, failed if record is None else episode_row(key, recipe, plan, record))


def are_chosen(root: Path, recipe: Recipe) -> bool:
    """Return whether all episodes of a val or test split have been chosen."""
    rows = read_rows(root, map(episode_key, range(recipe.num_episodes)))
    return sum(1 for _ in rows) == recipe.num_episodes


def adopt_best(root: Path, recipe: Recipe) -> None:
    """Move the candidates that walked furthest into `root` as its episodes; can be repeated.

    Raises `UserError` if too many candidates could not be played.
    """
    assert recipe.candidates is not None
    folder = root / _CANDIDATES
    rows = read_rows(folder, map(episode_key, range(recipe.candidates)))
    distances = [row["distance_walked"] for row in rows]
    num_failed = sum(distance < 0 for distance in distances)
    if recipe.candidates - num_failed < recipe.num_episodes:
        raise UserError(
            f"{folder}: {num_failed} of {recipe.candidates} candidates could not be played, too many for "
            f"{recipe.num_episodes} episodes; choose more --candidates and another folder"
        )
    if num_failed:
        print(f"{root}: {num_failed} of {recipe.candidates} candidates could not be played")
    chosen = choose_candidates(recipe, distances)
    for index, row in enumerate(read_rows(folder, map(episode_key, chosen))):
        old, new = row["key"], episode_key(index)
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        for suffix in (".mp4", ".npy"):
            if (folder / f"{old}{suffix}").exists():
                (folder / f"{old}{suffix}").replace(root / f"{new}{suffix}")
        write_row(root, {**row, "key": new})


def forget(root: Path) -> None:
    """Remove the candidates, once the data set is finished."""
    if (root / _CANDIDATES).exists():
        shutil.rmtree(root / _CANDIDATES)


def _play_until_sound(
    world: World, plans: Sequence[EpisodePlan], path: Path, recipe: Recipe
) -> tuple[EpisodePlan, EpisodeRecord | None]:
    """Return the first plan whose episode passes its audit, or else the last, and its record.

    The plan's `rejected` has why earlier attempts were dropped. The record is None if the last plan could not
    be played.
    """
    rejected: tuple[str, ...] = ()
    for plan in plans:
        record, failures = _record_with_retries(world, plan, path, recipe)
        rejected += failures
        if record is not None and (not record.flags or plan is plans[-1]):
            break
        rejected += record.flags[:1] if record is not None else ()
    return replace(plan, rejected=rejected), record


def _record_with_retries(
    world: World, plan: EpisodePlan, path: Path, recipe: Recipe
) -> tuple[EpisodeRecord | None, tuple[str, ...]]:
    """Record a plan's episode, at most `PLAYS` times; return its record, if any, and the failures."""
    failures: tuple[str, ...] = ()
    for _ in range(PLAYS):
        try:
            record = record_episode(
                world,
                plan.world_seed,
                plan.actions,
                path,
                num_context=recipe.num_context,
                lossless=recipe.lossless,
            )
            return record, failures
        except PlayError as error:
            failures += (error.reason,)
    return None, failures
