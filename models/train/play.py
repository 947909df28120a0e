"""Simulate training episodes in advance: `python -m models.train.play --data plaza-v1 --episode-cache DIR`.

Training with the same `--episode-cache` reads the episodes from there.
"""

import multiprocessing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loopcraft.core.cli import run
from loopcraft.core.errors import UserError
from loopcraft.core.progress import progress_bar
from loopcraft.generation.recipe import Recipe
from models.train.data.played import WorldEpisodes, is_world


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The episodes to simulate; the numbers must be those of the training run."""

    data: str
    """Name of a world."""
    episode_cache: Path
    episodes: int = 1024
    """Number of episodes, counted from episode 0; those in the cache are skipped."""
    episode_frames: int = 384
    resolution: int = 64
    seed: int = 0
    workers: int = 1


def play(flags: Flags) -> None:
    """Play one episode in this process, which compiles all kernels, and the others in forked processes.

    Raises `UserError` if `--data` is not a world.
    """
    if not is_world(flags.data):
        raise UserError(f"--data {flags.data}: not a world; name one, such as plaza-v1")
    recipe = Recipe(
        world=flags.data,
        split="train",
        num_episodes=1,
        num_frames=flags.episode_frames,
        resolution=flags.resolution,
        seed=flags.seed,
    )
    source = WorldEpisodes(recipe=recipe, cache=flags.episode_cache)
    missing = [index for index in range(flags.episodes) if not _is_cached(source, index)]
    if missing:
        source[missing[0]]
        bar = progress_bar("playing", flags.episodes, "episodes", flags.episodes - len(missing) + 1)
        with multiprocessing.get_context("fork").Pool(flags.workers) as pool, bar as advance:
            for _ in pool.imap_unordered(partial(_play, source), missing[1:]):
                advance()
    print(f"{flags.episodes} episodes in {flags.episode_cache}")


def _play(source: WorldEpisodes, index: int) -> None:
    """Play an episode into the cache without returning it."""
    source[index]


def _is_cached(source: WorldEpisodes, index: int) -> bool:
    path = source.cached(index)
    return path is not None and path.is_file()


main = partial(run, Flags, play)

if __name__ == "__main__":
    raise SystemExit(main())
