"""Simulate training episodes in advance: `python -m models.train.play --data plaza-v1 --episode-cache DIR`.

Uses several processes; training with the same `--episode-cache` reads the episodes from there.
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
    """Which episodes; the numbers must be those of the training."""

    data: str
    """A world."""
    episode_cache: Path
    episodes: int = 1024
    """Episodes 0 to this many are played, unless they are there."""
    episode_frames: int = 384
    resolution: int = 64
    seed: int = 0
    workers: int = 1


def play(flags: Flags) -> None:
    """Play one episode here, which compiles all kernels, and the others in processes that inherit them.

    Raises `UserError` for data that are no world.
    """
    if not is_world(flags.data):
        raise UserError(f"--data {flags.data}: is no world; name one, as in plaza-v1")
    recipe = Recipe(
        world=flags.data,
        split="train",
        num_episodes=1,
        num_frames=flags.episode_frames,
        resolution=flags.resolution,
        seed=flags.seed,
    )
    source = WorldEpisodes(recipe=recipe, cache=flags.episode_cache)
    missing = [index for index in range(flags.episodes) if not _is_there(source, index)]
    if missing:
        source[missing[0]]
        bar = progress_bar("playing", flags.episodes, "episodes", flags.episodes - len(missing) + 1)
        with multiprocessing.get_context("fork").Pool(flags.workers) as pool, bar as advance:
            for _ in pool.imap_unordered(partial(_play, source), missing[1:]):
                advance()
    print(f"{flags.episodes} episodes in {flags.episode_cache}")


def _play(source: WorldEpisodes, index: int) -> None:
    """Play an episode into the cache, and send nothing back."""
    source[index]


def _is_there(source: WorldEpisodes, index: int) -> bool:
    path = source.cached(index)
    return path is not None and path.is_file()


main = partial(run, Flags, play)

if __name__ == "__main__":
    raise SystemExit(main())
