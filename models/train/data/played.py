"""Episodes of a world, simulated on the fly; needs a world but not torch."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Shaped, UInt8

from loopcraft.core.files import whole_file
from loopcraft.generation.plan import plan_train_episode
from loopcraft.generation.recipe import Recipe
from loopcraft.worlds import make_world, world_ids
from loopcraft.worlds.base import PathWorld


class LoadedEpisode(NamedTuple):
    """An episode and the time it took to load, in seconds."""

    values: Shaped[np.ndarray, "T *value"]
    actions: Int64[np.ndarray, " T"]
    seconds: float


@dataclass(kw_only=True)
class WorldEpisodes:
    """Simulated episodes: number i equals episode i of `loopcraft.generate --split train` with this recipe.

    With a `cache`, episodes that exist there are read from it, and new ones are saved to it.
    """

    recipe: Recipe
    world: PathWorld | None = None
    """Created on first use, in the process that simulates."""
    cache: Path | None = None

    def __post_init__(self) -> None:
        self.max_frames = self.recipe.num_frames
        self.identity = (
            f"{self.recipe.world}, {self.recipe.num_frames} frames of {self.recipe.resolution}, "
            f"seed {self.recipe.seed}"
        )

    def __getitem__(self, index: int) -> LoadedEpisode:
        begin = time.perf_counter()
        path = self.cached(index)
        if path is not None and path.is_file():
            with np.load(path) as stored:
                return LoadedEpisode(stored["frames"], stored["actions"], time.perf_counter() - begin)
        frames, actions = self._play(index)
        if path is not None:
            with whole_file(path) as temporary, temporary.open("wb") as file:
                np.savez(file, frames=frames, actions=actions)
        return LoadedEpisode(frames, actions, time.perf_counter() - begin)

    def cached(self, index: int) -> Path | None:
        """Return the path of an episode in the cache, which has a separate folder for each recipe."""
        if self.cache is None:
            return None
        return self.cache / hashlib.sha256(self.identity.encode()).hexdigest()[:16] / f"{index:06d}.npz"

    def _play(self, index: int) -> tuple[UInt8[np.ndarray, "T H W 3"], Int64[np.ndarray, " T"]]:
        if self.world is None:
            world = make_world(
                self.recipe.world, resolution=self.recipe.resolution, quality=self.recipe.quality
            )
            assert isinstance(world, PathWorld)
            self.world = world
        plan = plan_train_episode(self.world, self.recipe, index)
        frames = np.stack([seen.frame for seen in self.world.play(plan.world_seed, plan.actions)])
        return frames, plan.actions[: len(frames)].astype(np.int64)


def is_world(data: str) -> bool:
    """Return whether `--data` names a world, as opposed to stored episodes."""
    return data in world_ids()
