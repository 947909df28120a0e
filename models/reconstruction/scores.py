"""What autoencoders give back of frames from each of their levels, and how each video scores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from loopcraft.dataset import LoopcraftDataset
from models.latents.codec import FrameCodec

Frames = UInt8[np.ndarray, "N H W 3"]
Score = Callable[[Frames, Frames], Float[np.ndarray, "N *columns"]]
"""(given back, true) -> a value a frame; of a row a frame, its first column."""
VideoScores = dict[str, dict[str, list[float]]]
"""Of one video: by autoencoder and metric, a mean over its frames for each level, finest first."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One true frame, and by autoencoder what each level gives back, finest first."""

    key: str
    index: int
    true: UInt8[np.ndarray, "H W 3"]
    given_back: Mapping[str, Sequence[UInt8[np.ndarray, "H W 3"]]]


@dataclass(frozen=True, kw_only=True)
class MeanWithError:
    """A mean over videos, its standard error (None: one video), and what each video has."""

    mean: float
    standard_error: float | None
    videos: tuple[float, ...]


def estimate(values: Sequence[float]) -> MeanWithError:
    """The mean of independent videos; the error is that of the mean, from the sample's deviation."""
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else None
    return MeanWithError(mean=float(np.mean(values)), standard_error=error, videos=tuple(values))


def choose_frames(data: LoopcraftDataset, num_frames: int) -> dict[str, list[int]]:
    """Of every video `num_frames` frames, evenly spaced from the first to the last; all of a shorter one."""
    return {
        key: np.linspace(0, length - 1, min(num_frames, length)).round().astype(int).tolist()
        for key in data.keys
        for length in [data.num_frames(key)]
    }


def choose_examples(chosen: Mapping[str, Sequence[int]], count: int) -> set[tuple[str, int]]:
    """At most `count` of the chosen frames, evenly spread over all of them."""
    places = [(key, index) for key, indices in chosen.items() for index in indices]
    middles = (np.arange(min(count, len(places))) + 0.5) * len(places) / min(count, len(places))
    return {places[int(middle)] for middle in middles}


def give_back(codec: FrameCodec, frames: Frames, device: torch.device) -> list[Frames]:
    """The frames as each level gives them back, finest first, in the 8 bits that are compared and shown."""
    pyramid = codec.encode(torch.from_numpy(frames).movedim(-1, 1)[None].to(device))
    return [
        (codec.decode(latents, level)[0] * 255).round().byte().movedim(1, -1).cpu().numpy()
        for level, latents in enumerate(pyramid)
    ]


def reconstruct(
    data: LoopcraftDataset,
    chosen: Mapping[str, Sequence[int]],
    shown: set[tuple[str, int]],
    codecs: Mapping[str, FrameCodec],
    scores: Mapping[str, Score],
    device: torch.device,
) -> Iterator[tuple[VideoScores, list[Example]]]:
    """Video after video: its scores, and those of its frames that are shown."""
    for key, indices in chosen.items():
        true = np.concatenate([data.frames(key, index, index + 1) for index in indices])
        given_back = {name: give_back(codec, true, device) for name, codec in codecs.items()}
        video_scores = {
            name: {
                metric: [float(score(level, true).reshape(len(true), -1)[:, 0].mean()) for level in levels]
                for metric, score in scores.items()
            }
            for name, levels in given_back.items()
        }
        examples = [
            Example(
                key=key,
                index=index,
                true=true[place],
                given_back={name: [level[place] for level in levels] for name, levels in given_back.items()},
            )
            for place, index in enumerate(indices)
            if (key, index) in shown
        ]
        yield video_scores, examples


def collect(videos: Sequence[VideoScores]) -> dict[str, dict[str, list[MeanWithError]]]:
    """By autoencoder and metric, an estimate for each level; every video counts the same."""
    return {
        name: {
            metric: [
                estimate([video[name][metric][level] for video in videos]) for level in range(len(levels))
            ]
            for metric, levels in metrics.items()
        }
        for name, metrics in videos[0].items()
    }
