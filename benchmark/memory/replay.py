"""Find the block face at each pixel of an episode by playing its walk again in the world.

At 64 x 64 pixels this costs less than scoring the video, so the faces are not stored.
"""

from typing import TypeGuard

import numpy as np
from jaxtyping import UInt64

from benchmark.contract.data import MaskedEpisodes
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset
from loopcraft.generation.replay import play_again
from loopcraft.worlds import make_surface_world


def faces_shown(
    episodes: MaskedEpisodes, key: str, num_frames: int, side: int
) -> UInt64[np.ndarray, "T n n"] | None:
    """Return the face ids of the pixels of the first `num_frames` frames, at `side` x `side` pixels.

    None if the data set does not record its world seeds, or cannot be replayed exactly.
    """
    if not has_world_seeds(episodes):
        return None
    try:
        world = make_surface_world(str(episodes.world_id), resolution=side)
        return np.stack(list(play_again(world, episodes, key, num_frames)))
    except UserError:
        return None


def has_world_seeds(episodes: MaskedEpisodes) -> TypeGuard[LoopcraftDataset]:
    """Return whether the data set records the worlds in which its walks were played."""
    return (
        isinstance(episodes, LoopcraftDataset)
        and episodes.manifest is not None
        and "world_seed" in episodes.metadata
    )
