"""What a metric is: a pure function of frames, and a declaration of all that its numbers mean.

A paired metric compares each generated frame with the true frame of the same index. A set-wise one compares
the distributions of the embeddings of generated and of true frames over all videos.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

Frames = UInt8[np.ndarray, "N H W 3"]
Clips = UInt8[np.ndarray, "N n H W 3"]

PairedFunction = Callable[[Frames, Frames], Float[np.ndarray, "N *columns"]]
"""(generated, true) -> a value a frame; or a row a frame: the metric itself, then its further columns."""

EmbeddingFunction = Callable[[Clips], Float[np.ndarray, "N D"]]
"""Clips of consecutive frames -> a feature vector each."""

SetFunction = Callable[[Float[np.ndarray, "V D"], Float[np.ndarray, "V D"]], float]
"""(generated, true) features of V videos at one place in time -> the distance of the two sets."""


class MetricUnavailableError(Exception):
    """A metric cannot be computed here; the message gives the reason and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What loading a metric may need: the device to compute on, and the folder of pretrained weights."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    weights: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What every metric declares.

    `decimals` is how many of them tables show; `version` changes with the meaning of the numbers; `weights`
    names the pretrained networks (name -> revision or SHA-256), and `load` may raise `MetricUnavailableError`
    when they are missing.
    """

    name: str
    version: int
    title: str
    unit: str = ""
    higher_is_better: bool
    decimals: int
    weights: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PairedMetric(Metric):
    """A metric of frame pairs. `columns` names what `load()`'s function gives beside the metric itself."""

    load: Callable[[Resources], PairedFunction]
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
    """A metric of two sets of embeddings, computed for each clip of the horizon over all videos."""

    embedding: Embedding
    distance: SetFunction
    fewest_videos: int = 2
