"""From a recipe to episodes in a world whose paths are known only once they are played, like real Minecraft.

What costs nothing elsewhere costs rendering here. A train walk that turns out stuck is rendered in vain; a
val or test split renders every candidate (by default ten times its episodes, as the paper did) into
candidates/, keeps those that walked furthest and deletes the others at the end. Shards of such a split are
shards of its candidates. An episode whose game fails leaves no file: its walk is played three times at most.
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
"""How often the same walk is played while the game fails."""

_CANDIDATES = "candidates"


def take_turns(make_world: Callable[..., World], num_workers: int) -> tuple[WorldFactory, int]:
    """A factory and a number of processes of which `num_workers` draw at any time.

    Two for each: while one draws, the other finishes its last video and builds its next world.
    """
    turns = get_context("spawn").BoundedSemaphore(num_workers)
    return partial(make_world, turns=turns), 2 * num_workers


def episode_job(root: Path, recipe: Recipe, draws: Draws) -> Callable[[World, int], None]:
    """What makes an episode of that number; those of val and test have rows already, only files were lost."""
    return partial(make_episode, root=root, recipe=recipe, draws=None if recipe.candidates is None else draws)


def make_episode(world: World, index: int, *, root: Path, recipe: Recipe, draws: Draws | None) -> None:
    """Record episode `index`, and mark it as finished by its row.

    Raises `UserError` where it cannot be played.
    """
    key = episode_key(index)
    plans = (
        [draw_train_episode(recipe, index, attempt) for attempt in range(TRAIN_ATTEMPTS)]
        if draws is None
        else [plan_candidate(recipe, int(draws[index]))]
    )
    plan, recorded = _play_until_sound(world, plans, root / key, recipe)
    if recorded is None:
        raise UserError(
            f"{root / key}: could not be played ({', '.join(plan.rejected)}); run again to try again"
        )
    write_row(root, episode_row(key, recipe, plan, recorded))


def play_candidates(
    root: Path, recipe: Recipe, candidates: Sequence[int], make_world: WorldFactory, executor: Executor
) -> None:
    """Record those of the `candidates` that have no row yet."""
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
    """Record one candidate as an episode of `folder`; one that cannot be played gets a row that says so."""
    key = episode_key(candidate)
    plan, recorded = _play_until_sound(world, [plan_candidate(recipe, candidate)], folder / key, recipe)
    failed = {"key": key, "draw": candidate, "rejected": ",".join(plan.rejected), "distance_walked": FAILED}
    write_row(folder, failed if recorded is None else episode_row(key, recipe, plan, recorded))


def are_chosen(root: Path, recipe: Recipe) -> bool:
    """Whether all episodes of a val or test split have been chosen."""
    rows = read_rows(root, map(episode_key, range(recipe.num_episodes)))
    return sum(1 for _ in rows) == recipe.num_episodes


def adopt_best(root: Path, recipe: Recipe) -> None:
    """Make the candidates that walked furthest the episodes of `root`, where that is not done yet.

    Raises `UserError` where too many could not be played.
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
    """Remove the candidates, once the set is finished."""
    if (root / _CANDIDATES).exists():
        shutil.rmtree(root / _CANDIDATES)


def _play_until_sound(
    world: World, plans: Sequence[EpisodePlan], path: Path, recipe: Recipe
) -> tuple[EpisodePlan, EpisodeRecord | None]:
    """The first plan whose episode passes its audit, else the last, with why attempts before were dropped.

    No record where the last plan could not be played.
    """
    rejected: tuple[str, ...] = ()
    for plan in plans:
        recorded, failures = _record_stubbornly(world, plan, path, recipe)
        rejected += failures
        if recorded is not None and (not recorded.flags or plan is plans[-1]):
            break
        rejected += recorded.flags[:1] if recorded is not None else ()
    return replace(plan, rejected=rejected), recorded


def _record_stubbornly(
    world: World, plan: EpisodePlan, path: Path, recipe: Recipe
) -> tuple[EpisodeRecord | None, tuple[str, ...]]:
    """Record the plan's episode, again while the game fails; no record where it never played to the end."""
    failures: tuple[str, ...] = ()
    for _ in range(PLAYS):
        try:
            recorded = record_episode(
                world,
                plan.world_seed,
                plan.actions,
                path,
                num_context=recipe.num_context,
                lossless=recipe.lossless,
            )
            return recorded, failures
        except PlayError as error:
            failures += (error.reason,)
    return None, failures
