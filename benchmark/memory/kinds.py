"""Classify pixels by what they demand of memory, using a data set's recall masks, and sum over each kind.

A pixel shows the sky, a surface that the context never showed, one in sight ever since the context, or one
that the context showed and that has been out of sight since. The last kind is split into bins by age: the
number of frames since the context last showed it.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from benchmark.contract.data import MaskedEpisodes
from benchmark.contract.protocol import EvaluationProtocol
from loopcraft.core.jit import kernel
from loopcraft.dataset.mask_files import DTYPES, Masks, spread

SKY, NEW, IN_SIGHT, RETURNED = range(4)
"""The kinds; from `RETURNED` on, one per age bin."""

Bins = tuple[range, ...]


def _bins(edges: Sequence[int]) -> Bins:
    return tuple(range(before + 1, last + 1) for before, last in pairwise((0, *edges)))


_DOUBLED = tuple(1 << power for power in range(11, 17))
BINS = _bins(
    (*range(16, 129, 16), *range(160, 257, 32), *range(320, 513, 64), *range(640, 1025, 128), *_DOUBLED)
)
"""Bins of 16 frames up to 128, four per doubling up to 1024, one per doubling up to a mask's greatest age."""
NUM_KINDS = RETURNED + len(BINS)
OLD_BINS = _bins([1 << power for power in range(6, 17)])
"""The coarser bins of older scores; each is a union of some of `BINS`."""

Errors = Float64[np.ndarray, "T 2*kinds"]
"""One row per frame: squared differences of 8-bit levels summed over each kind, then pixel counts."""
MapSums = Float64[np.ndarray, "T kinds"]
"""One row per frame: sums of a metric's map over each kind's pixels."""


def age_bins(num_kinds: int) -> Bins | None:
    """Return the age bins of an array with `num_kinds` kinds; None if that is not a valid number."""
    return {RETURNED + len(bins): bins for bins in (BINS, OLD_BINS)}.get(num_kinds)


def merge_to_old_bins(sums: Float[np.ndarray, "*rows kinds"]) -> Float64[np.ndarray, "*rows old_kinds"]:
    """Merge the sums by age into the old, coarser bins."""
    if sums.shape[-1] != NUM_KINDS:
        return sums.astype(np.float64)
    old = np.zeros((*sums.shape[:-1], RETURNED + len(OLD_BINS)))
    old[..., :RETURNED] = sums[..., :RETURNED]
    for index, bin_ in enumerate(BINS):
        old_index = next(number for number, ages in enumerate(OLD_BINS) if bin_[0] in ages)
        old[..., RETURNED + old_index] += sums[..., RETURNED + index]
    return old


def horizon_kinds(
    episodes: MaskedEpisodes, key: str, protocol: EvaluationProtocol, height: int, width: int
) -> UInt8[np.ndarray, "T h w"] | None:
    """Return the kinds in a video's horizon at the resolution of its masks; `spread` enlarges them to pixels.

    None without complete masks for this protocol's context. Raises `UserError` if they do not fit the frames.
    """
    masks = episodes.masks(key) if episodes.num_context == protocol.context else None
    if masks is None or set(masks) != set(DTYPES):
        return None
    horizon = {name: array[protocol.context : protocol.num_frames] for name, array in masks.items()}
    kinds = pixel_kinds(horizon)
    spread(kinds[:1], height, width, key)
    return kinds


def pixel_kinds(masks: Masks) -> UInt8[np.ndarray, "T H W"]:
    """Return the kind of each pixel of the masks."""
    kinds: UInt8[np.ndarray, "T H W"] = _KIND_BY_AGE[masks["age"]]
    kinds[~masks["seen"]] = NEW
    kinds[masks["sky"]] = SKY
    return kinds


# Age 0 is IN_SIGHT, and the bins follow from RETURNED = IN_SIGHT + 1 on.
_LAST_AGES = [0, *(ages[-1] for ages in BINS)]
_KIND_BY_AGE = (IN_SIGHT + np.searchsorted(_LAST_AGES, np.arange(1 << 16))).astype(np.uint8)


@kernel(nogil=True)
def errors_by_kind(
    predicted: UInt8[np.ndarray, "N H W 3"],
    target: UInt8[np.ndarray, "N H W 3"],
    kinds: UInt8[np.ndarray, "N H W"],
) -> Errors:
    """Return the errors of N frames."""
    errors = np.zeros((len(predicted), 2 * NUM_KINDS))
    for n in range(len(predicted)):
        a, b, kind = predicted[n].reshape(-1, 3), target[n].reshape(-1, 3), kinds[n].ravel()
        for pixel in range(kind.size):
            for channel in range(3):
                difference = np.int32(a[pixel, channel]) - np.int32(b[pixel, channel])
                errors[n, kind[pixel]] += difference * difference
            errors[n, NUM_KINDS + kind[pixel]] += 1
    return errors


@kernel(nogil=True)
def sums_by_kind(maps: Float32[np.ndarray, "N H W"], kinds: UInt8[np.ndarray, "N H W"]) -> MapSums:
    """Return the sums over N frames' maps."""
    sums = np.zeros((len(maps), NUM_KINDS))
    for n in range(len(maps)):
        values, kind = maps[n].ravel(), kinds[n].ravel()
        for pixel in range(kind.size):
            sums[n, kind[pixel]] += values[pixel]
    return sums
