"""Intervals by the bootstrap over videos: the one place where the project turns samples into uncertainty.

Videos are the unit that is resampled, because frames of one video are not independent. The resamples depend
on the number of videos alone, so two models scored on the same videos are resampled alike.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float64

from loopcraft.core.seeding import generator

CONFIDENCE = 0.95
NUM_RESAMPLES = 2000
BOOTSTRAP_SEED = 0
FEWEST_VIDEOS = 2
"""Below this there is nothing to resample, and no interval."""


def bootstrap_interval(
    values: Float[np.ndarray, "V *columns"],
) -> tuple[Float64[np.ndarray, "*columns"], Float64[np.ndarray, "*columns"]]:
    """The percentile interval (low, high) of the mean over V videos, column by column."""
    means = resampling_weights(len(values)) @ values.reshape(len(values), -1).astype(np.float64)
    tail = 50.0 * (1.0 - CONFIDENCE)
    columns = np.ascontiguousarray(means.T)  # numbers of a column side by side are ordered in less time
    low, high = np.percentile(columns, [tail, 100.0 - tail], axis=1, overwrite_input=True)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


@lru_cache(maxsize=8)
def resampling_weights(num_videos: int) -> Float64[np.ndarray, "R V"]:
    """How often each resample draws each video, over V: a row times the values is a resampled mean."""
    draws = generator(BOOTSTRAP_SEED, "bootstrap", num_videos)
    counts = draws.multinomial(num_videos, np.full(num_videos, 1.0 / num_videos), size=NUM_RESAMPLES)
    weights: Float64[np.ndarray, "R V"] = counts / num_videos
    weights.flags.writeable = False
    return weights
