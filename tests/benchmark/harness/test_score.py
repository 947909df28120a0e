"""Scoring in blocks: frames and clips keep their order, broken metrics are named, absent ones explained."""

import dataclasses

import numpy as np
import pytest

from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from benchmark.harness.score import (
    Scorer,
    read_features,
    read_paired,
    read_seconds,
    score_videos,
    write_scores,
)
from benchmark.metrics.base import Embedding, MetricUnavailableError, PairedMetric, Resources, SetMetric
from benchmark.metrics.psnr import psnr
from loopcraft.dataset import open_dataset
from tests.fakes.benchmark_data import make_frames, write_dataset

KEYS = ("000/000", "000/002")


def first_levels(clips: np.ndarray) -> np.ndarray:
    """Return one level of the first and last frame of each clip as its features."""
    return np.stack([clips[:, 0, 0, 0, 0], clips[:, -1, 0, 0, 0]], axis=1).astype(np.float32)


PAIRED = PairedMetric(
    name="sum",
    version=1,
    title="Sum",
    higher_is_better=True,
    decimals=1,
    columns=("generated",),
    load=lambda resources: (
        lambda a, b: np.stack([a[:, 0, 0, 0] + 1.0 * b[:, 0, 0, 0], a[:, 0, 0, 0]], axis=1)
    ),
)
CLIPS = Embedding(name="levels", clip=8, load=lambda resources: first_levels)
SET = SetMetric(
    name="far",
    version=1,
    title="Far",
    higher_is_better=False,
    decimals=1,
    embedding=CLIPS,
    distance=lambda generated, true: 0.0,
)


def unavailable(resources: Resources) -> None:
    raise MetricUnavailableError("no such network: fetch it")


@pytest.mark.parametrize("sizes", [[192], [64, 64, 64], [8, 184], [64, 128]])
def test_every_frame_and_clip_keeps_its_order(tmp_path, sizes: list[int]) -> None:
    episodes = open_dataset(write_dataset(tmp_path / "data"))
    true = np.stack([make_frames(0), make_frames(2)])[:, MINI.context :]
    generated = true[:, ::-1]
    cuts = np.cumsum(sizes)[:-1]
    blocks = iter(np.split(generated, cuts, axis=1))
    scores = score_videos(blocks, Scorer([PAIRED, SET], Resources()), episodes, MINI, KEYS)
    paths = [tmp_path / f"{video}.safetensors" for video in range(2)]
    for path, video in zip(paths, scores, strict=True):
        write_scores(path, video, seconds=1.25)
    pixels, backwards = true[..., 0, 0, 0].astype(float), generated[..., 0, 0, 0].astype(float)
    columns = read_paired(paths, PAIRED)
    np.testing.assert_array_equal(columns, np.stack([pixels + backwards, backwards], axis=2))
    features = list(read_features(paths, CLIPS, MINI.horizon))
    assert len(features) == MINI.horizon // 8
    for index, (of_generated, of_true) in enumerate(features):
        for actual, levels in ((of_generated, backwards), (of_true, pixels)):
            np.testing.assert_array_equal(actual, levels[:, [8 * index, 8 * index + 7]])
    assert read_seconds(paths[0]) == 1.25


def test_a_metric_that_cannot_be_loaded_is_absent_with_a_reason() -> None:
    lost = dataclasses.replace(PAIRED, name="lost", load=unavailable)  # type: ignore[arg-type]
    far = dataclasses.replace(SET, embedding=dataclasses.replace(CLIPS, load=unavailable))  # type: ignore[arg-type]
    scorer = Scorer([lost, PAIRED, far], Resources())
    assert [metric.name for metric in scorer.metrics] == ["sum"]
    assert scorer.absent == {"lost": "no such network: fetch it", "far": "no such network: fetch it"}


def test_an_embedding_is_loaded_once_for_all_its_metrics() -> None:
    loads = []

    def load(resources: Resources):
        loads.append(resources)
        return first_levels

    shared = dataclasses.replace(CLIPS, load=load)
    metrics = [dataclasses.replace(SET, name=name, embedding=shared) for name in ("near", "far")]
    assert len(Scorer(metrics, Resources()).metrics) == 2
    assert len(loads) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_metric_that_is_not_finite_is_named(value: float) -> None:
    broken = dataclasses.replace(
        PAIRED, name="broken", columns=(), load=lambda resources: lambda a, b: psnr(a, b) * value
    )
    frames = make_frames(0)[None, :4]
    with pytest.raises(AssertionError, match="broken gave values that are not finite"):
        Scorer([broken], Resources()).score(frames, frames[:, ::-1])


def test_an_error_in_the_scoring_thread_reaches_the_caller(tmp_path) -> None:
    episodes = open_dataset(write_dataset(tmp_path, num_videos=1))

    def fails(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("in the metric")

    scorer = Scorer([dataclasses.replace(PAIRED, load=lambda resources: fails)], Resources())
    blocks = iter([make_frames(0)[None, 64:128]])
    with pytest.raises(ZeroDivisionError, match="in the metric"):
        score_videos(blocks, scorer, episodes, MINI, KEYS[:1])
