"""Replay of episodes in a world that knows which block face each pixel shows."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt64

from loopcraft.core.errors import UserError
from loopcraft.dataset.reader import LoopcraftDataset
from loopcraft.worlds.base import SurfaceWorld


def play_again(
    world: SurfaceWorld, dataset: LoopcraftDataset, key: str, num_frames: int | None = None
) -> Iterator[UInt64[np.ndarray, "H W"]]:
    """Yield the surface ids of an episode's first `num_frames` frames (None: all), at the world's resolution.

    Raises `UserError` if the agent's path differs from the recorded one.
    """
    states = dataset.states(key)[:num_frames]
    seed = int(dataset.metadata["world_seed"].loc[key])
    observations = world.play(seed, dataset.actions(key)[:num_frames], surfaces=True)
    for frame, (observation, row) in enumerate(zip(observations, states, strict=True)):
        if not np.array_equal(np.array(observation.pose, np.float32), row[1:]):
            raise UserError(
                f"{dataset.states_path(key)}: the replayed walk differs from frame {frame} on; "
                "use the versions listed in dataset.json"
            )
        assert observation.surface is not None
        yield observation.surface
