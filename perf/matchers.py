"""Measure how well metrics tell a view from another video: areas under the curve over pairs of frames.

A pair is a frame and what a model might have made of it: the same place at another time, softened frames,
both, or another video's frame, softened alike. The area is the chance that such a pair scores better than one
with another video; 0.5 is guessing. Matchers count matches with a confidence above 0.5; PSNR is in dB.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from benchmark.metrics import get_metrics
from benchmark.metrics.base import PairedMetric, Resources
from benchmark.weight_files.bundle import open_bundle
from loopcraft.core.cli import run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.seeding import generator
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.walks.revisits import revisit_ages

Frames = UInt8[np.ndarray, "N H W 3"]

AHEAD = 8
"""Frames between two views of a walk."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The data and the metrics."""

    data: Path
    """Folder of a data set with returns."""
    weights: Path | None = None
    """Folder of pretrained networks."""
    metrics: str = "psnr,sift,lightglue_aliked"
    """Paired metrics, separated by commas."""
    context: int = 64
    """Number of first frames that returns are to."""
    num_pairs: int = 24
    """Pairs of each kind."""
    device: str = "cpu"
    """Device that the metrics run on."""


def measure(flags: Flags) -> None:
    """Print for each metric the mean score of each kind of pair, and its area against another video."""
    data = open_dataset(flags.data)
    if len(data.keys) < 2:
        raise UserError(f"--data {flags.data}: has one video; two are needed to tell them apart")
    frames = draw_frames(data, flags)
    bundle = None if flags.weights is None else open_bundle(flags.weights)
    resources = Resources(device=find_device(flags.device), weights=bundle)
    for metric in get_metrics(flags.metrics.split(",")):
        if not isinstance(metric, PairedMetric):
            raise UserError(f"--metrics {metric.name}: compares sets, not pairs; leave it out")
        started = time.perf_counter()
        function = metric.load(resources)
        sign = 1 if metric.higher_is_better else -1
        print(f"{metric.title}: another video, softened alike, then each kind with its area")
        for softness, soften in SOFTNESS.items():
            far = scores(function, soften(frames["other"]), frames["now"])
            print(f"  {softness:12} another video {far.mean():8.2f}")
            for kind in ("later", "return"):
                near = scores(function, soften(frames[kind]), frames["now of " + kind])
                print(f"  {'':12} {NAMES[kind]:13} {near.mean():8.2f}  {area(sign * near, sign * far):.3f}")
        print(f"  {time.perf_counter() - started:.0f} s")


def draw_frames(data: LoopcraftDataset, flags: Flags) -> Mapping[str, Frames]:
    """Draw frames of each kind, and the frames that they are compared with."""
    rng = generator(0, "perf matchers")
    drawn: dict[str, list[np.ndarray]] = {
        name: [] for name in (*NAMES, "other", "now", *map("now of {}".format, NAMES))
    }
    for pair in range(flags.num_pairs):
        key, other = (data.keys[(pair + step) % len(data.keys)] for step in (0, 1))
        last = min(data.num_frames(key), data.num_frames(other)) - AHEAD
        index = int(rng.integers(flags.context, last))
        now = data.frames(key, index, index + 1)
        drawn["now"].append(now)
        drawn["now of later"].append(now)
        drawn["later"].append(data.frames(key, index + AHEAD, index + AHEAD + 1))
        drawn["other"].append(data.frames(other, index, index + 1))
    for key, index, earlier in draw_returns(data, flags, rng):
        drawn["now of return"].append(data.frames(key, index, index + 1))
        drawn["return"].append(data.frames(key, earlier, earlier + 1))
    return {name: np.concatenate(frames) for name, frames in drawn.items()}


def draw_returns(
    data: LoopcraftDataset, flags: Flags, rng: np.random.Generator
) -> Sequence[tuple[str, int, int]]:
    """Draw videos, frames that return, and the frames of the context that they return to."""
    returns = []
    for key in data.keys:
        ages = revisit_ages(data.states(key)[:, 1:], flags.context)
        for horizon in np.flatnonzero(ages):
            index = flags.context + int(horizon)
            returns.append((key, index, index - int(ages[horizon])))
    if not returns:
        raise UserError(f"--data {flags.data}: no walk returns to the first {flags.context} frames")
    chosen = rng.choice(len(returns), min(flags.num_pairs, len(returns)), replace=False)
    return [returns[index] for index in chosen]


def through_64(frames: Frames) -> Frames:
    """Resize frames to 64 x 64 pixels and back."""
    size = frames.shape[2], frames.shape[1]
    small = [cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in small])


def blur(frames: Frames) -> Frames:
    """Blur frames by a Gaussian with a deviation of 1/64 of the width."""
    return np.stack([cv2.GaussianBlur(frame, (0, 0), frame.shape[1] / 64) for frame in frames])


NAMES = {"later": f"{AHEAD} frames on", "return": "return"}
SOFTNESS: Mapping[str, Callable[[Frames], Frames]] = {
    "sharp": lambda frames: frames,
    "through 64": through_64,
    "blurred": blur,
}


def scores(function: Callable[[Frames, Frames], np.ndarray], predicted: Frames, target: Frames) -> np.ndarray:
    """Return the metric's main value for each pair."""
    return function(predicted, target).reshape(len(target), -1)[:, 0]


def area(near: np.ndarray, far: np.ndarray) -> float:
    """Return the chance that one of `near` is above one of `far`, counting ties half."""
    difference = near[:, None] - far
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(Flags, measure, argv)


if __name__ == "__main__":
    raise SystemExit(main())
