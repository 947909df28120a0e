"""Score generated blocks against the true frames as they come, and keep what every video got.

Decoding the true frames and scoring run in a thread of their own while the model goes on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from safetensors.numpy import save_file

from benchmark.contract.data import FrameStreams, MaskedEpisodes
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.harness.aggregate import FeaturePair
from benchmark.harness.score_files import (
    NO_ORIGIN,
    SUM,
    feature_names,
    opened_scores,
    require_equal,
    scores_sha256,
)
from benchmark.memory.collector import Collector
from benchmark.metrics.base import (
    Embedding,
    EmbeddingFunction,
    Frames,
    MapFunction,
    Mapped,
    Metric,
    MetricUnavailableError,
    PairedFunction,
    PairedMetric,
    Resources,
    SetMetric,
)
from loopcraft.core.files import whole_file
from loopcraft.core.urls import AnyPath

VideoScores = Mapping[str, Float[np.ndarray, "T columns"]]
"""One video's scores by name: of paired metrics, and the features of embeddings (see `feature_names`)."""

_HIGHEST = "highest levels"
"""The array (1, 2), of generated and of true frames, that a video has if it alone holds no level above 1."""

_READ_AHEAD = 16
"""Clips whose features are read at a time: bounds memory, and opens each file once for all of them."""


class Scorer:
    """Metrics made ready: networks are loaded once; metrics that cannot be are `absent`, with the reason."""

    def __init__(self, metrics: Sequence[Metric], resources: Resources) -> None:
        self.metrics: list[Metric] = []
        self.absent: dict[str, str] = {}
        self._paired: dict[str, PairedFunction] = {}
        self._maps: dict[str, MapFunction] = {}
        self._embeddings: dict[Embedding, EmbeddingFunction] = {}
        for metric in metrics:
            try:
                self._load(metric, resources)
                self.metrics.append(replace(metric, weights=resources.weight_checksums(metric.networks)))
            except MetricUnavailableError as error:
                self.absent[metric.name] = str(error)

    def _load(self, metric: Metric, resources: Resources) -> None:
        if isinstance(metric, PairedMetric) and metric.load_map is not None:
            self._maps[metric.name] = metric.load_map(resources)
        elif isinstance(metric, PairedMetric):
            self._paired[metric.name] = metric.load(resources)
        elif isinstance(metric, SetMetric) and metric.embedding not in self._embeddings:
            self._embeddings[metric.embedding] = metric.embedding.load(resources)

    def score(
        self,
        generated: UInt8[np.ndarray, "B n H W 3"],
        true: UInt8[np.ndarray, "B n H W 3"],
        take_map: Callable[[str, Mapped], None] = lambda name, mapped: None,
    ) -> dict[str, Float[np.ndarray, "B m columns"]]:
        """The scores of a block: m is n for paired metrics, and the number of whole clips for embeddings.

        `take_map` gets the name and the map of every metric that has one.
        """
        batch, count, *frame = generated.shape
        scores: dict[str, np.ndarray] = {}
        for name, function in self._paired.items():
            values = function(generated.reshape(-1, *frame), true.reshape(-1, *frame))
            scores[name] = values.reshape(batch, count, -1)
        for name, with_map in self._maps.items():
            mapped = with_map(generated.reshape(-1, *frame), true.reshape(-1, *frame))
            scores[name] = mapped.values.reshape(batch, count, -1)
            weights = None if mapped.weights is None else mapped.weights.reshape(generated.shape[:-1])
            take_map(name, Mapped(scores[name], mapped.charges.reshape(generated.shape[:-1]), weights))
        for embedding, embed in self._embeddings.items():
            clips = (batch * count // embedding.clip, embedding.clip, *frame)
            for name, frames in zip(feature_names(embedding), (generated, true), strict=True):
                scores[name] = embed(frames.reshape(clips)).reshape(batch, count // embedding.clip, -1)
        for name, values in scores.items():
            assert np.isfinite(values).all(), f"{name} gave values that are not finite"
        return scores

    def compare(self, ones: Frames, others: Frames) -> dict[str, Float[np.ndarray, " N"]]:
        """The paired metrics of pairs of frames, without their further columns."""
        found = {name: function(ones, others) for name, function in self._paired.items()}
        found |= {name: with_map(ones, others).values for name, with_map in self._maps.items()}
        return {name: values.reshape(len(ones), -1)[:, 0] for name, values in found.items()}


def score_videos(
    blocks: Iterator[UInt8[np.ndarray, "B n H W 3"]],
    scorer: Scorer,
    episodes: MaskedEpisodes,
    protocol: EvaluationProtocol,
    keys: Sequence[str],
) -> list[VideoScores]:
    """Score a batch of videos, block by block; at most two blocks are held at a time.

    Beside the metrics' scores they hold what tells of memory (benchmark/memory/collector.py).
    """
    truth = FrameStreams(episodes, keys, protocol.context, protocol.num_frames)
    memory = Collector(episodes, keys, protocol, scorer.compare)
    parts: list[dict[str, np.ndarray]] = []
    highest = np.zeros((len(keys), 2), np.uint8)

    def work(frames: np.ndarray) -> dict[str, np.ndarray]:
        true = truth.take(frames.shape[1])
        levels = np.stack([part.reshape(len(keys), -1).max(axis=1) for part in (frames, true)], axis=1)
        np.maximum(highest, levels, out=highest)
        memory.add(frames, true)
        return scorer.score(frames, true, memory.add_map)

    with ThreadPoolExecutor(max_workers=1) as thread:
        pending: Future[dict[str, np.ndarray]] | None = None
        for block in blocks:
            if pending is not None:
                parts.append(pending.result())
            pending = thread.submit(work, block)
        assert pending is not None
        parts.append(pending.result())
    whole = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    scores = ({name: values[video] for name, values in whole.items()} for video in range(len(keys)))
    dark = ({_HIGHEST: levels[None]} if levels[0] <= 1 < levels[1] else {} for levels in highest)
    return [dict(own | more | told) for own, more, told in zip(scores, memory.by_video(), dark, strict=True)]


def write_scores(
    path: AnyPath, scores: VideoScores, *, seconds: float, origin: Mapping[str, str] = NO_ORIGIN
) -> None:
    """Keep one video's scores, how long the video took and what made it, whole or not at all."""
    arrays = {name: np.ascontiguousarray(values, np.float32) for name, values in scores.items()}
    said = {"seconds": f"{seconds:.3f}", **origin}
    with whole_file(path) as temporary:
        save_file(arrays, temporary, metadata={**said, SUM: scores_sha256(path, arrays, said)})


def read_seconds(path: Path) -> float:
    """How long a video took to generate and score."""
    with opened_scores(path) as file:
        return float(file.metadata()["seconds"])


def count_too_dark(paths: Sequence[Path]) -> int:
    """How many videos hold no level above 1, though their truth does."""
    count = 0
    for path in paths:
        with opened_scores(path) as file:
            count += _HIGHEST in file.keys()  # noqa: SIM118
    return count


def read_paired(paths: Sequence[Path], metric: PairedMetric) -> Float[np.ndarray, "V T columns"]:
    """The scores of every video by one paired metric."""
    return _read_all(paths, metric.name, slice(None))


def read_features(paths: Sequence[Path], embedding: Embedding, horizon: int) -> Iterator[FeaturePair]:
    """The features of every video, one place in time after the other."""
    num_clips = horizon // embedding.clip
    for start in range(0, num_clips, _READ_AHEAD):
        part = slice(start, min(start + _READ_AHEAD, num_clips))
        generated, true = (_read_all(paths, name, part) for name in feature_names(embedding))
        for place in range(generated.shape[1]):
            yield generated[:, place], true[:, place]


def _read_all(paths: Sequence[Path], name: str, part: slice) -> Float[np.ndarray, "V T columns"]:
    """An array of every video; raises `UserError` naming the first file that is damaged."""
    arrays: list[np.ndarray] = []
    for path in paths:
        with opened_scores(path) as file:
            arrays.append(file.get_slice(name)[part])
        require_equal(path, arrays[-1], arrays[0])
    return np.stack(arrays)
