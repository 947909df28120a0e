"""The kinds of pixels by what they ask of memory, from a data set's recall masks, and sums over each kind.

A pixel shows the sky, a surface that the context never showed, one that has been in sight ever since, or one
that was shown and has been out of sight in between. The last kind is split into bins by age, the frames since
the context last showed it.
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
"""The kinds; from the last on, one an age bin."""

Bins = tuple[range, ...]


def _bins(edges: Sequence[int]) -> Bins:
    return tuple(range(before + 1, last + 1) for before, last in pairwise((0, *edges)))


_DOUBLED = tuple(1 << power for power in range(11, 17))
BINS = _bins(
    (*range(16, 129, 16), *range(160, 257, 32), *range(320, 513, 64), *range(640, 1025, 128), *_DOUBLED)
)
"""Up to the greatest age that a mask can hold: eight bins of 16 frames, then four a doubling up to 1024."""
NUM_KINDS = RETURNED + len(BINS)
OLD_BINS = _bins([1 << power for power in range(6, 17)])
"""Those of scores that were kept before there were finer ones; each is made up of some of `BINS`."""

Errors = Float64[np.ndarray, "T 2*kinds"]
"""A row a frame: sums of squared differences of 8-bit levels over each kind's pixels, then their counts."""
MapSums = Float64[np.ndarray, "T kinds"]
"""A row a frame: sums of a metric's map over each kind's pixels."""


def bins_of(num_kinds: int) -> Bins | None:
    """The age bins of an array with so many kinds; None if it is no such array."""
    return {RETURNED + len(bins): bins for bins in (BINS, OLD_BINS)}.get(num_kinds)


def in_old_bins(sums: Float[np.ndarray, "*rows kinds"]) -> Float64[np.ndarray, "*rows old_kinds"]:
    """Sums over each kind, those by age added up to the coarser bins."""
    if sums.shape[-1] != NUM_KINDS:
        return sums.astype(np.float64)
    old = np.zeros((*sums.shape[:-1], RETURNED + len(OLD_BINS)))
    old[..., :RETURNED] = sums[..., :RETURNED]
    for place, bin_ in enumerate(BINS):
        belongs = next(old_place for old_place, ages in enumerate(OLD_BINS) if bin_[0] in ages)
        old[..., RETURNED + belongs] += sums[..., RETURNED + place]
    return old


def horizon_kinds(
    episodes: MaskedEpisodes, key: str, protocol: EvaluationProtocol, height: int, width: int
) -> UInt8[np.ndarray, "T h w"] | None:
    """The kinds in a video's horizon, by the cells of its masks: `spread` makes them those of the pixels.

    None without whole masks for this protocol's context. Raises `UserError` for masks that fit no frame.
    """
    masks = episodes.masks(key) if episodes.num_context == protocol.context else None
    if masks is None or set(masks) != set(DTYPES):
        return None
    horizon = {name: array[protocol.context : protocol.num_frames] for name, array in masks.items()}
    kinds = pixel_kinds(horizon)
    spread(kinds[:1], height, width, key)
    return kinds


def pixel_kinds(masks: Masks) -> UInt8[np.ndarray, "T H W"]:
    """The kind of every pixel."""
    kinds: UInt8[np.ndarray, "T H W"] = _KIND_OF_AGE[masks["age"]]
    kinds[~masks["seen"]] = NEW
    kinds[masks["sky"]] = SKY
    return kinds


def _kind_of_age() -> UInt8[np.ndarray, "65536"]:
    kinds = np.full(1 << 16, IN_SIGHT, np.uint8)
    for place, ages in enumerate(BINS):
        kinds[ages.start : ages.stop] = RETURNED + place
    return kinds


_KIND_OF_AGE = _kind_of_age()


@kernel(nogil=True)
def errors_by_kind(
    predicted: UInt8[np.ndarray, "N H W 3"],
    target: UInt8[np.ndarray, "N H W 3"],
    kinds: UInt8[np.ndarray, "N H W"],
) -> Errors:
    """The errors of N frames."""
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
    """The sums of N frames' maps."""
    sums = np.zeros((len(maps), NUM_KINDS))
    for n in range(len(maps)):
        values, kind = maps[n].ravel(), kinds[n].ravel()
        for pixel in range(kind.size):
            sums[n, kind[pixel]] += values[pixel]
    return sums
