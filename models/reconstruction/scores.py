"""Reconstructs frames from each level of an autoencoder and scores every video."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from loopcraft.dataset import LoopcraftDataset
from models.latents.codec import FrameCodec

Frames = UInt8[np.ndarray, "N H W 3"]
Score = Callable[[Frames, Frames], Float[np.ndarray, "N *columns"]]
"""(reconstruction, truth) -> one value per frame; if there are several, the first column counts."""
VideoScores = dict[str, dict[str, list[float]]]
"""One video's mean over frames by autoencoder, metric and level, finest first."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One true frame and, by autoencoder, its reconstruction from each level, finest first."""

    key: str
    index: int
    true: UInt8[np.ndarray, "H W 3"]
    reconstructions: Mapping[str, Sequence[UInt8[np.ndarray, "H W 3"]]]


@dataclass(frozen=True, kw_only=True)
class MeanWithError:
    """A mean over videos, its standard error (None: one video), and each video's value."""

    mean: float
    standard_error: float | None
    videos: tuple[float, ...]


def estimate(values: Sequence[float]) -> MeanWithError:
    """Return the mean over independent videos and its standard error, from the sample standard deviation."""
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else None
    return MeanWithError(mean=float(np.mean(values)), standard_error=error, videos=tuple(values))


def choose_frames(data: LoopcraftDataset, num_frames: int) -> dict[str, list[int]]:
    """Choose `num_frames` frames of every video, evenly spaced from first to last; all if it has fewer."""
    return {
        key: np.linspace(0, length - 1, min(num_frames, length)).round().astype(int).tolist()
        for key in data.keys
        for length in [data.num_frames(key)]
    }


def choose_examples(chosen: Mapping[str, Sequence[int]], count: int) -> set[tuple[str, int]]:
    """Choose at most `count` of the chosen frames, spread evenly over all of them."""
    frames = [(key, index) for key, indices in chosen.items() for index in indices]
    middles = (np.arange(min(count, len(frames))) + 0.5) * len(frames) / min(count, len(frames))
    return {frames[int(middle)] for middle in middles}


def reconstruct(codec: FrameCodec, frames: Frames, device: torch.device) -> list[Frames]:
    """Reconstruct the frames from each level, finest first, in the 8 bits that are scored and shown."""
    pyramid = codec.encode(torch.from_numpy(frames).movedim(-1, 1)[None].to(device))
    return [
        (codec.decode(latents, level)[0] * 255).round().byte().movedim(1, -1).cpu().numpy()
        for level, latents in enumerate(pyramid)
    ]


def score_videos(
    data: LoopcraftDataset,
    chosen: Mapping[str, Sequence[int]],
    shown: set[tuple[str, int]],
    codecs: Mapping[str, FrameCodec],
    scores: Mapping[str, Score],
    device: torch.device,
) -> Iterator[tuple[VideoScores, list[Example]]]:
    """Yield, video by video, its scores and the examples among its frames in `shown`."""
    for key, indices in chosen.items():
        true = np.concatenate([data.frames(key, index, index + 1) for index in indices])
        reconstructions = {name: reconstruct(codec, true, device) for name, codec in codecs.items()}
        video_scores = {
            name: {
                metric: [float(score(level, true).reshape(len(true), -1)[:, 0].mean()) for level in levels]
                for metric, score in scores.items()
            }
            for name, levels in reconstructions.items()
        }
        examples = [
            Example(
                key=key,
                index=index,
                true=true[position],
                reconstructions={
                    name: [level[position] for level in levels] for name, levels in reconstructions.items()
                },
            )
            for position, index in enumerate(indices)
            if (key, index) in shown
        ]
        yield video_scores, examples


def collect(videos: Sequence[VideoScores]) -> dict[str, dict[str, list[MeanWithError]]]:
    """Return an estimate for each autoencoder, metric and level, with equal weight for every video."""
    return {
        name: {
            metric: [
                estimate([video[name][metric][level] for video in videos]) for level in range(len(levels))
            ]
            for metric, levels in metrics.items()
        }
        for name, metrics in videos[0].items()
    }
