"""Which face each pixel of an episode shows, asked of the world itself: the walk is played again.

At 64 x 64 pixels that costs less than to score the video, so no file holds it.
"""

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
    """Ids of the faces that the pixels of the first `num_frames` frames show, in frames of `side` pixels.

    None for a set that does not say in which worlds it was played, or where the walk goes another way here.
    """
    dataset = _ours(episodes)
    if dataset is None:
        return None
    try:
        world = make_surface_world(str(dataset.world_id), resolution=side)
        return np.stack(list(play_again(world, dataset, key, num_frames)))
    except UserError:
        return None


def says_worlds(episodes: MaskedEpisodes) -> bool:
    """Whether the set says in which worlds its walks were played."""
    return _ours(episodes) is not None


def _ours(episodes: MaskedEpisodes) -> LoopcraftDataset | None:
    """The episodes, if they are a set that says so."""
    if not isinstance(episodes, LoopcraftDataset) or episodes.manifest is None:
        return None
    return episodes if "world_seed" in episodes.metadata else None
