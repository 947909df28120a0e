"""Bootstrap confidence intervals over videos, used for every interval in the project.

Videos are resampled as a whole because the frames of one video are not independent. The resamples depend only
on the number of videos, so two models scored on the same videos are resampled identically.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float64

from loopcraft.core.seeding import generator

CONFIDENCE = 0.95
NUM_RESAMPLES = 2000
BOOTSTRAP_SEED = 0
FEWEST_VIDEOS = 2
"""With fewer videos there is no interval."""


def bootstrap_interval(
    values: Float[np.ndarray, "V *columns"],
) -> tuple[Float64[np.ndarray, "*columns"], Float64[np.ndarray, "*columns"]]:
    """Return the percentile interval (low, high) of the mean over V videos, column by column."""
    means = resampling_weights(len(values)) @ values.reshape(len(values), -1).astype(np.float64)
    tail = 50.0 * (1.0 - CONFIDENCE)
    columns = np.ascontiguousarray(means.T)  # contiguous columns sort faster
    low, high = np.percentile(columns, [tail, 100.0 - tail], axis=1, overwrite_input=True)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


@lru_cache(maxsize=8)
def resampling_weights(num_videos: int) -> Float64[np.ndarray, "R V"]:
    """Return each resample's draws per video, divided by V: a row times the values is a resampled mean."""
    draws = generator(BOOTSTRAP_SEED, "bootstrap", num_videos)
    counts = draws.multinomial(num_videos, np.full(num_videos, 1.0 / num_videos), size=NUM_RESAMPLES)
    weights: Float64[np.ndarray, "R V"] = counts / num_videos
    weights.flags.writeable = False
    return weights
