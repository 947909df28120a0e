"""Score generated blocks against the true frames, and write and read the scores of each video.

The true frames are decoded and scored in a separate thread while the model continues.
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
    open_scores,
    require_same_shape,
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
"""One video's scores by name: those of paired metrics, and features of embeddings (see `feature_names`)."""

_HIGHEST = "highest levels"
"""Array (1, 2) of the highest levels of the generated and the true frames; saved only if the former is at
most 1 and the latter is not."""

_READ_AHEAD = 16
"""Clips whose features are read at a time, to bound memory; each file is opened once for all of them."""


class Scorer:
    """Loaded metrics; those that cannot be loaded are listed in `absent`, with the reason."""

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
        add_map: Callable[[str, Mapped], None] = lambda name, mapped: None,
    ) -> dict[str, Float[np.ndarray, "B m columns"]]:
        """Score a block: m is n for paired metrics, and the number of whole clips for embeddings.

        Calls `add_map` with the name and the map of every metric that has one.
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
            add_map(name, Mapped(scores[name], mapped.charges.reshape(generated.shape[:-1]), weights))
        for embedding, embed in self._embeddings.items():
            clips = (batch * count // embedding.clip, embedding.clip, *frame)
            for name, frames in zip(feature_names(embedding), (generated, true), strict=True):
                scores[name] = embed(frames.reshape(clips)).reshape(batch, count // embedding.clip, -1)
        for name, values in scores.items():
            assert np.isfinite(values).all(), f"{name} gave values that are not finite"
        return scores

    def compare(self, first: Frames, second: Frames) -> dict[str, Float[np.ndarray, " N"]]:
        """Return the paired metrics of N pairs of frames, without their further columns."""
        scores = {name: function(first, second) for name, function in self._paired.items()}
        scores |= {name: with_map(first, second).values for name, with_map in self._maps.items()}
        return {name: values.reshape(len(first), -1)[:, 0] for name, values in scores.items()}


def score_videos(
    blocks: Iterator[UInt8[np.ndarray, "B n H W 3"]],
    scorer: Scorer,
    episodes: MaskedEpisodes,
    protocol: EvaluationProtocol,
    keys: Sequence[str],
) -> list[VideoScores]:
    """Score a batch of videos block by block, holding at most two blocks at a time.

    The scores also include the measurements of memory (benchmark/memory/collector.py).
    """
    truth = FrameStreams(episodes, keys, protocol.context, protocol.num_frames)
    memory = Collector(episodes, keys, protocol, scorer.compare)
    parts: list[dict[str, np.ndarray]] = []
    highest = np.zeros((len(keys), 2), np.uint8)

    def score_block(frames: np.ndarray) -> dict[str, np.ndarray]:
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
            pending = thread.submit(score_block, block)
        assert pending is not None
        parts.append(pending.result())
    whole = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    scores = ({name: values[video] for name, values in whole.items()} for video in range(len(keys)))
    dark = ({_HIGHEST: levels[None]} if levels[0] <= 1 < levels[1] else {} for levels in highest)
    parts_by_video = zip(scores, memory.by_video(), dark, strict=True)
    return [dict(metrics | measurements | levels) for metrics, measurements, levels in parts_by_video]


def write_scores(
    path: AnyPath, scores: VideoScores, *, seconds: float, origin: Mapping[str, str] = NO_ORIGIN
) -> None:
    """Write one video's scores, its duration and its origin atomically."""
    arrays = {name: np.ascontiguousarray(values, np.float32) for name, values in scores.items()}
    header = {"seconds": f"{seconds:.3f}", **origin}
    with whole_file(path) as temporary:
        save_file(arrays, temporary, metadata={**header, SUM: scores_sha256(path, arrays, header)})


def read_seconds(path: Path) -> float:
    """Return the time that it took to generate and score a video, in seconds."""
    with open_scores(path) as file:
        return float(file.metadata()["seconds"])


def count_too_dark(paths: Sequence[Path]) -> int:
    """Count the videos that have no level above 1 although their true frames do."""
    count = 0
    for path in paths:
        with open_scores(path) as file:
            count += _HIGHEST in file.keys()  # noqa: SIM118
    return count


def read_paired(paths: Sequence[Path], metric: PairedMetric) -> Float[np.ndarray, "V T columns"]:
    """Read one paired metric's scores of every video."""
    return _read_all(paths, metric.name, slice(None))


def read_features(paths: Sequence[Path], embedding: Embedding, horizon: int) -> Iterator[FeaturePair]:
    """Yield the features of all videos, one position in time after another."""
    num_clips = horizon // embedding.clip
    for start in range(0, num_clips, _READ_AHEAD):
        part = slice(start, min(start + _READ_AHEAD, num_clips))
        generated, true = (_read_all(paths, name, part) for name in feature_names(embedding))
        for clip in range(generated.shape[1]):
            yield generated[:, clip], true[:, clip]


def _read_all(paths: Sequence[Path], name: str, part: slice) -> Float[np.ndarray, "V T columns"]:
    """Read an array of every video; raise `UserError` naming the first damaged file."""
    arrays: list[np.ndarray] = []
    for path in paths:
        with open_scores(path) as file:
            arrays.append(file.get_slice(name)[part])
        require_same_shape(path, arrays[-1], arrays[0])
    return np.stack(arrays)
