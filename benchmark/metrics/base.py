"""The interface of a metric: a pure function of frames, and a declaration of what its numbers mean.

A paired metric compares each generated frame with the true frame of the same index. A set-wise metric
compares the distributions of the embeddings of generated and true frames over all videos.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8

from benchmark.weight_files.bundle import Bundle, fetch_command
from loopcraft.core.errors import UserError

Frames = UInt8[np.ndarray, "N H W 3"]
Clips = UInt8[np.ndarray, "N n H W 3"]

PairedFunction = Callable[[Frames, Frames], Float[np.ndarray, "N *columns"]]
"""(generated, true) -> one value per frame, or one row per frame: the metric, then its further columns."""


class Mapped(NamedTuple):
    """A paired metric's values and its map, which gives each pixel's share.

    Over a set of pixels, the metric is the sum of their charges divided by the sum of their weights; without
    weights, each pixel weighs 1.
    """

    values: Float[np.ndarray, " N"]
    charges: Float[np.ndarray, "N H W"]
    weights: Float[np.ndarray, "N H W"] | None = None


MapFunction = Callable[[Frames, Frames], Mapped]
"""(generated, true) -> the metric's values and its map."""


class MapTitle(NamedTuple):
    """Title and unit of a metric over some pixels, if it differs in kind from that over a frame."""

    title: str
    unit: str
    decimals: int


EmbeddingFunction = Callable[[Clips], Float[np.ndarray, "N D"]]
"""Clips of consecutive frames -> one feature vector per clip."""

SetFunction = Callable[[Float[np.ndarray, "V D"], Float[np.ndarray, "V D"]], float]
"""(generated, true) features of V videos at one clip of the horizon -> the distance of the two sets."""


class MetricUnavailableError(Exception):
    """Raised if a metric cannot be computed here; the message gives the reason and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The device to compute on and the bundle of pretrained weights, for loading a metric."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    weights: Bundle | None = None

    def network(self, name: str) -> Path:
        """Verify a network and return its folder; raises `MetricUnavailableError` if missing or invalid."""
        if self.weights is None or name not in self.weights:
            folder = self.weights.root if self.weights is not None else "DIR"
            raise MetricUnavailableError(
                f"needs pretrained weights: {fetch_command(name, folder)}, then --weights {folder}"
            )
        try:
            return self.weights.verify(name)
        except UserError as error:
            raise MetricUnavailableError(f"cannot use its weights: {error}") from error

    def weight_checksums(self, names: Sequence[str]) -> Mapping[str, str]:
        """Return the SHA-256 of each file of fetched networks, or of its tensors if these are pinned."""
        return {
            f"{name}/{path}": file.checksum
            for name in names
            if self.weights is not None
            for path, file in self.weights.record(name).files.items()
        }


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The declaration common to all metrics.

    `decimals` is the number of decimals in tables; `version` changes with the meaning of the numbers;
    `networks` names the pretrained networks (see weights.toml), without which loading may raise
    `MetricUnavailableError`. In a loaded metric, `weights` holds the SHA-256 of their files.
    """

    name: str
    version: int
    title: str
    unit: str = ""
    higher_is_better: bool
    decimals: int
    networks: tuple[str, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PairedMetric(Metric):
    """A metric of frame pairs; `columns` names the further columns that the loaded function returns.

    A metric that can locate errors within a frame has `load_map`, whose function returns the same values.
    `map_title` is set if the map is of another kind than the metric.
    """

    load: Callable[[Resources], PairedFunction]
    load_map: Callable[[Resources], MapFunction] | None = None
    map_title: MapTitle | None = None
    columns: tuple[str, ...] = ()
    smallest_side: int = 1


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A feature extractor that set-wise metrics share; it sees `clip` consecutive frames at a time."""

    name: str
    clip: int
    load: Callable[[Resources], EmbeddingFunction]


@dataclass(frozen=True, kw_only=True)
class SetMetric(Metric):
    """A metric of two sets of embeddings, computed for each clip of the horizon over all videos.

    A `biased` one is too large for few videos: results warn if there are fewer than feature dimensions.
    """

    embedding: Embedding
    distance: SetFunction
    biased: bool = False
    fewest_videos: int = 2
