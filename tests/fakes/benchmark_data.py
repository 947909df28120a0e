"""A tiny data set on disk and handmade results, for the tests of the benchmark and the leaderboard."""

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.results.estimates import Estimate, MetricCard, measured
from benchmark.results.recall_schema import PixelCounts, Recall, RecallScores
from benchmark.results.result_file import (
    Curve,
    Data,
    MetricResult,
    Model,
    Provenance,
    Result,
)
from loopcraft.core.files import write_json
from loopcraft.dataset.layout import episode_key
from loopcraft.video.h264 import video_writer
from tests.fakes.folder_content import content

NUM_FRAMES = LOOPCRAFT_MINI.num_frames
SIDE = 16


def make_frames(video: int, num_frames: int = NUM_FRAMES, side: int = SIDE) -> np.ndarray:
    """A drifting coloured wave, different for each video: uint8 (T, H, W, 3)."""
    return _waves(video, num_frames, side).copy()


@lru_cache(maxsize=16)
def _waves(video: int, num_frames: int, side: int) -> np.ndarray:
    t, y, x, c = np.ogrid[:num_frames, :side, :side, :3]
    wave = np.sin(0.05 * t * (video + 1) + 0.7 * x + 0.4 * y * (video + 1) + 1.3 * c)
    return np.uint8(127.5 + 120.0 * wave)


def write_dataset(root: Path, *, num_videos: int = 3, num_frames: int = NUM_FRAMES, side: int = SIDE) -> Path:
    """Write lossless videos of `make_frames` in the paper's layout."""
    for name, data in _dataset(num_videos, num_frames, side).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@lru_cache(maxsize=16)
def _dataset(num_videos: int, num_frames: int, side: int) -> dict[str, bytes]:
    """The files of the data set by name."""
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for video in range(num_videos):
            key = episode_key(video)
            with video_writer(root / f"{key}.mp4", height=side, width=side, lossless=True) as writer:
                for frame in make_frames(video, num_frames, side):
                    writer.write(frame)
            states = np.zeros((num_frames, 6), np.float32)
            states[:, 0] = rng.integers(0, 3, num_frames)
            np.save(root / f"{key}.npy", states)
        write_json(root / "index.json", {episode_key(video): num_frames for video in range(num_videos)})
        return content(root)


def make_result(name: str = "dreamer", psnr: float = 20.0, **changes: object) -> Result:
    """A result of one metric on four videos; `changes` are further fields of `Result`."""
    offsets = (-1.0, 0.0, 0.5, 0.5)
    windows = [window.name for window in LOOPCRAFT_MINI.windows]
    metric = MetricResult(
        card=MetricCard(
            name="psnr",
            version=1,
            title="PSNR",
            unit="dB",
            higher_is_better=True,
            decimals=2,
            kind="paired",
            weights={},
        ),
        windows={window: Estimate(mean=psnr, interval=(psnr - 1.0, psnr + 1.0)) for window in windows},
        curve=Curve(step=1, mean=(psnr,) * LOOPCRAFT_MINI.horizon, low=None, high=None),
        videos={window: tuple(psnr + offset for offset in offsets) for window in windows},
    )
    result = Result(
        protocol=LOOPCRAFT_MINI,
        protocol_hash=LOOPCRAFT_MINI.hash,
        data=Data(
            fingerprint="f" * 64,
            world_id="voxel-v1",
            frame_shape=(3, SIDE, SIDE),
            keys=tuple(episode_key(video) for video in range(4)),
        ),
        model=Model(
            name=name,
            spec=name,
            arguments="{}",
            role="model",
            source="rollout",
            context_frames=64,
            precision="float32",
            checkpoint_sha256=None,
        ),
        metrics={"psnr": metric},
        absent={},
        failed={},
        provenance=Provenance(seed=0, code="0.1.0", packages={}, hardware="a processor", seconds=1.0),
    )
    return dataclasses.replace(result, **changes)  # type: ignore[arg-type]


def make_recall(
    ages: Sequence[tuple[int, int]],
    by_age: np.ndarray,
    *,
    metric: str = "ssim",
    pixels: np.ndarray | None = None,
    higher_is_better: bool = True,
    never_shown: np.ndarray | None = None,
) -> Recall:
    """Recall scores of V videos in age bins: `by_age` (V, bins) is NaN where a video has no such pixels."""
    num_videos = len(by_age)
    counts = np.where(np.isnan(by_age), 0, 100 if pixels is None else pixels).astype(int)
    card = MetricCard(
        name=metric,
        version=1,
        title=metric.upper(),
        unit="",
        higher_is_better=higher_is_better,
        decimals=3,
        kind="paired",
        weights={},
    )
    returned = np.array([np.nan if np.isnan(row).all() else np.nanmean(row) for row in by_age])
    return Recall(
        ages=tuple(ages),
        pixels=PixelCounts(
            sky=(50,) * num_videos,
            never_shown=(70,) * num_videos,
            in_sight=(30,) * num_videos,
            by_age=tuple(tuple(column.tolist()) for column in counts.T),
        ),
        metrics={
            metric: RecallScores(
                card=card,
                never_shown=measured(np.full(num_videos, 0.25) if never_shown is None else never_shown),
                in_sight=measured(np.full(num_videos, 0.75)),
                returned=measured(returned),
                by_age=tuple(measured(column) for column in by_age.T),
            )
        },
    )


BINS = ((1, 16), (17, 32), (33, 64), (65, 128), (129, 256))


def make_recall_result(
    by_age: np.ndarray,
    name: str = "model",
    ages: Sequence[tuple[int, int]] = BINS,
    role: Literal["model", "bound"] = "model",
    **more: Any,
) -> Result:
    """A result whose recall is `by_age` (V, bins); `more` goes to `make_recall`."""
    keys = tuple(episode_key(video) for video in range(len(by_age)))
    result = make_result(name, recall=make_recall(ages, by_age, **more))
    videos = {window: (20.0,) * len(keys) for window in result.metrics["psnr"].windows}
    return dataclasses.replace(
        result,
        data=dataclasses.replace(result.data, keys=keys),
        model=dataclasses.replace(result.model, role=role),
        metrics={"psnr": dataclasses.replace(result.metrics["psnr"], videos=videos)},
    )
