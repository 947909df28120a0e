"""Errors by what a pixel asks of memory: a data set's recall masks applied to generated frames.

A pixel shows the sky, a surface that the context never showed, one that has been in sight ever since, or one
that was shown and has been out of sight in between. The last kind is split by age: 1-64 frames since the
context last showed it, 65-128, 129-256 and so on, each stretch twice as long as all before it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from safetensors import safe_open

from benchmark.contract.data import MaskedEpisodes
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.harness.score_files import opened_scores, require_columns
from benchmark.metrics.psnr import decibels
from loopcraft.core.jit import kernel
from loopcraft.dataset.mask_files import DTYPES, Masks, spread

NAME = "surfaces"
"""Under what name a video's scores hold its squared errors; those of a metric's map follow it and a dot."""
SKY, NEW, IN_SIGHT, RETURNED = range(4)
"""The kinds; from the last on, one a stretch of ages."""
YOUNGEST = 64
STRETCHES = (
    range(1, YOUNGEST + 1),
    *(range((YOUNGEST << doubled) + 1, (YOUNGEST << doubled + 1) + 1) for doubled in range(10)),
)
"""Up to the greatest age that a mask can hold."""
NUM_KINDS = RETURNED + len(STRETCHES)

Errors = Float64[np.ndarray, "T 2*kinds"]
"""A row a frame: sums of squared differences of 8-bit levels over each kind's pixels, then their counts."""
MapSums = Float64[np.ndarray, "T kinds"]
"""A row a frame: sums of a metric's map over each kind's pixels."""
VideoErrors = Float64[np.ndarray, "2 kinds"]
"""The same of all frames: sums, then counts."""


class SurfaceErrors:
    """Collects the errors of a batch of videos, block after block; the masks are read with the first.

    A video whose masks are not whole, or were made for another context, has none. The kinds take a byte a
    pixel: 50 MB a video of 768 frames at 256 x 256.
    """

    def __init__(self, episodes: MaskedEpisodes, keys: Sequence[str], protocol: EvaluationProtocol) -> None:
        self._episodes, self._keys, self._protocol = episodes, keys, protocol
        self._kinds: list[UInt8[np.ndarray, "T H W"] | None] | None = None
        self._blocks: list[dict[str, list[np.ndarray]]] = [{} for _ in keys]
        self._part = slice(0, 0)

    def add(self, generated: UInt8[np.ndarray, "B n H W 3"], true: UInt8[np.ndarray, "B n H W 3"]) -> None:
        """Take the next frames of every video."""
        _, count, height, width, _ = true.shape
        if self._kinds is None:
            self._kinds = [
                horizon_kinds(self._episodes, key, self._protocol, height, width) for key in self._keys
            ]
        self._part = slice(self._part.stop, self._part.stop + count)
        for video, kinds in enumerate(self._kinds):
            if kinds is not None:
                errors = errors_by_kind(generated[video], true[video], kinds[self._part])
                self._blocks[video].setdefault(NAME, []).append(errors)

    def add_map(self, name: str, maps: Float32[np.ndarray, "B n H W"]) -> None:
        """Take a metric's map of the frames that were added last."""
        for video, kinds in enumerate(self._kinds or ()):
            if kinds is not None:
                sums = sums_by_kind(maps[video], kinds[self._part])
                self._blocks[video].setdefault(f"{NAME}.{name}", []).append(sums)

    def by_video(self) -> list[dict[str, Float64[np.ndarray, "T columns"]]]:
        """What each video's scores get: its errors under `NAME`, its sums of maps beside them, or nothing."""
        return [{name: np.concatenate(parts) for name, parts in own.items()} for own in self._blocks]


def horizon_kinds(
    episodes: MaskedEpisodes, key: str, protocol: EvaluationProtocol, height: int, width: int
) -> UInt8[np.ndarray, "T H W"] | None:
    """The kind of every pixel of a video's horizon; None without whole masks for this protocol's context."""
    masks = episodes.masks(key) if episodes.num_context == protocol.context else None
    if masks is None or set(masks) != set(DTYPES):
        return None
    horizon = {name: array[protocol.context : protocol.num_frames] for name, array in masks.items()}
    return spread(pixel_kinds(horizon), height, width, key)


def pixel_kinds(masks: Masks) -> UInt8[np.ndarray, "T H W"]:
    """The kind of every pixel."""
    kinds: UInt8[np.ndarray, "T H W"] = _KIND_OF_AGE[masks["age"]]
    kinds[~masks["seen"]] = NEW
    kinds[masks["sky"]] = SKY
    return kinds


def _kind_of_age() -> UInt8[np.ndarray, "65536"]:
    kinds = np.full(1 << 16, IN_SIGHT, np.uint8)
    for place, ages in enumerate(STRETCHES):
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


def read_errors(path: Path) -> VideoErrors | None:
    """The errors among a video's scores; None where it was scored without masks."""
    with opened_scores(path, whole=True) as file:
        if NAME not in file.keys():  # noqa: SIM118
            return None
        frames: Errors = file.get_tensor(NAME)
    require_columns(path, frames, 2 * NUM_KINDS)
    errors: VideoErrors = frames.sum(axis=0, dtype=np.float64).reshape(2, NUM_KINDS)
    return errors


def read_map_sums(path: Path, metric: str) -> Float64[np.ndarray, " kinds"] | None:
    """The sums of a metric's map among a video's scores; None where it was scored without it."""
    name = f"{NAME}.{metric}"
    with safe_open(path, framework="numpy") as file:
        if name not in file.keys():  # noqa: SIM118
            return None
        frames: MapSums = file.get_tensor(name)
    sums: Float64[np.ndarray, " kinds"] = frames.sum(axis=0, dtype=np.float64)
    return sums


def map_means_of_kinds(
    sums: Float64[np.ndarray, "V kinds"], errors: Float64[np.ndarray, "V 2 kinds"], kinds: slice
) -> Float64[np.ndarray, " V"]:
    """A metric's map averaged over all pixels of some kinds, a value a video; NaN where it has none."""
    total, count = sums[:, kinds].sum(axis=1), errors[:, 1, kinds].sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def psnr_of_kinds(errors: Float64[np.ndarray, "V 2 kinds"], kinds: slice) -> Float64[np.ndarray, " V"]:
    """PSNR in dB over all pixels of some kinds, a value a video; NaN where it has none."""
    squared, count = errors[:, :, kinds].sum(axis=2).T
    return np.where(count > 0, decibels(squared / np.maximum(3 * count, 1)), np.nan)
