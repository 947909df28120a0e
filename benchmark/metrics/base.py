"""What a metric is: a pure function of frames, and a declaration of all that its numbers mean.

A paired metric compares each generated frame with the true frame of the same index. A set-wise one compares
the distributions of the embeddings of generated and of true frames over all videos.
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
"""(generated, true) -> a value a frame; or a row a frame: the metric itself, then its further columns."""


class Mapped(NamedTuple):
    """A paired metric with what each pixel has of it.

    Over some pixels the metric is the sum of their charges over the sum of their weights; without weights
    each counts once.
    """

    values: Float[np.ndarray, " N"]
    charges: Float[np.ndarray, "N H W"]
    weights: Float[np.ndarray, "N H W"] | None = None


MapFunction = Callable[[Frames, Frames], Mapped]
"""(generated, true) -> the metric's values and its map."""


class MapTitle(NamedTuple):
    """What a metric over some pixels is called, where it is of another kind than that over a frame."""

    title: str
    unit: str
    decimals: int


EmbeddingFunction = Callable[[Clips], Float[np.ndarray, "N D"]]
"""Clips of consecutive frames -> a feature vector each."""

SetFunction = Callable[[Float[np.ndarray, "V D"], Float[np.ndarray, "V D"]], float]
"""(generated, true) features of V videos at one place in time -> the distance of the two sets."""


class MetricUnavailableError(Exception):
    """A metric cannot be computed here; the message gives the reason and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What loading a metric may need: the device to compute on, and the bundle of pretrained weights."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    weights: Bundle | None = None

    def network(self, name: str) -> Path:
        """The folder of a pretrained network, its files verified.

        Raises `MetricUnavailableError` if it was never fetched, or if a file of it is damaged or foreign.
        """
        if self.weights is None or name not in self.weights:
            folder = self.weights.root if self.weights is not None else "DIR"
            raise MetricUnavailableError(
                f"needs pretrained weights: {fetch_command(name, folder)}, then --weights {folder}"
            )
        try:
            return self.weights.verify(name)
        except UserError as error:
            raise MetricUnavailableError(f"cannot use its weights: {error}") from error

    def weights_of(self, names: Sequence[str]) -> Mapping[str, str]:
        """SHA-256 of every file of some fetched networks, or of its tensors where these are pinned."""
        return {
            f"{name}/{path}": file.checksum
            for name in names
            if self.weights is not None
            for path, file in self.weights.record(name).files.items()
        }


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What every metric declares.

    `decimals` is how many of them tables show; `version` changes with the meaning of the numbers; `networks`
    names the pretrained networks (see weights.toml), and loading may raise `MetricUnavailableError` when they
    are missing. A loaded metric knows the SHA-256 of their files by `weights`.
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
    """A metric of frame pairs. `columns` names what `load()`'s function gives beside the metric itself.

    One that can say where a frame is wrong has `load_map`, whose function gives the same values; `map_title`
    says what its map is where that is not a part of them.
    """

    load: Callable[[Resources], PairedFunction]
    load_map: Callable[[Resources], MapFunction] | None = None
    map_title: MapTitle | None = None
    columns: tuple[str, ...] = ()
    smallest_side: int = 1


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """A feature extractor, shared by set-wise metrics; it sees `clip` consecutive frames at a time."""

    name: str
    clip: int
    load: Callable[[Resources], EmbeddingFunction]


@dataclass(frozen=True, kw_only=True)
class SetMetric(Metric):
    """A metric of two sets of embeddings, computed for each clip of the horizon over all videos.

    A `biased` one is too large for few videos: results warn if there are fewer than the features' dimensions.
    """

    embedding: Embedding
    distance: SetFunction
    biased: bool = False
    fewest_videos: int = 2
