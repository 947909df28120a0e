"""Which metric tells a view from another video: areas under the curve over pairs of frames of a data set.

A pair is a frame and what a model might have made of it: the same place at another time, soft frames, both,
or another video's frame, softened alike. The area is the chance that such a pair scores better than one of
another video; 0.5 is guessing. Matches above 0.5 are what the matchers count, dB what PSNR gives.
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
    """On what, and by which metrics."""

    data: Path
    """A data set with returns: a folder."""
    weights: Path | None = None
    """The folder of fetched networks."""
    metrics: str = "psnr,sift,lightglue_aliked"
    """Paired metrics, separated by commas."""
    context: int = 64
    """Returns are to what the first so many frames showed."""
    num_pairs: int = 24
    """Pairs of each kind."""
    device: str = "cpu"
    """Where the metrics compute."""


def measure(flags: Flags) -> None:
    """Print a table a metric: mean score of each kind of pair, and the area against another video."""
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
        load = metric.load(resources)
        sign = 1 if metric.higher_is_better else -1
        print(f"{metric.title}: another video softened alike, then each kind and its area")
        for softness, soften in SOFTNESS.items():
            far = scores(load, soften(frames["other"]), frames["now"])
            print(f"  {softness:12} another video {far.mean():8.2f}")
            for kind in ("later", "return"):
                near = scores(load, soften(frames[kind]), frames["now of " + kind])
                print(f"  {'':12} {NAMES[kind]:13} {near.mean():8.2f}  {area(sign * near, sign * far):.3f}")
        print(f"  {time.perf_counter() - started:.0f} s")


def draw_frames(data: LoopcraftDataset, flags: Flags) -> Mapping[str, Frames]:
    """Frames of each kind, and those that they are held against."""
    rng = generator(0, "perf matchers")
    found: dict[str, list[np.ndarray]] = {
        name: [] for name in (*NAMES, "other", "now", *map("now of {}".format, NAMES))
    }
    for pair in range(flags.num_pairs):
        key, other = (data.keys[(pair + step) % len(data.keys)] for step in (0, 1))
        last = min(data.num_frames(key), data.num_frames(other)) - AHEAD
        place = int(rng.integers(flags.context, last))
        now = data.frames(key, place, place + 1)
        found["now"].append(now)
        found["now of later"].append(now)
        found["later"].append(data.frames(key, place + AHEAD, place + AHEAD + 1))
        found["other"].append(data.frames(other, place, place + 1))
    for key, place, seen in draw_returns(data, flags, rng):
        found["now of return"].append(data.frames(key, place, place + 1))
        found["return"].append(data.frames(key, seen, seen + 1))
    return {name: np.concatenate(frames) for name, frames in found.items()}


def draw_returns(
    data: LoopcraftDataset, flags: Flags, rng: np.random.Generator
) -> Sequence[tuple[str, int, int]]:
    """Videos, frames that return, and the context's frames that they return to."""
    returns = []
    for key in data.keys:
        ages = revisit_ages(data.states(key)[:, 1:], flags.context)
        for horizon in np.flatnonzero(ages):
            place = flags.context + int(horizon)
            returns.append((key, place, place - int(ages[horizon])))
    if not returns:
        raise UserError(f"--data {flags.data}: nobody returns to the first {flags.context} frames")
    chosen = rng.choice(len(returns), min(flags.num_pairs, len(returns)), replace=False)
    return [returns[index] for index in chosen]


def through_64(frames: Frames) -> Frames:
    """Frames that have been 64 pixels wide."""
    size = frames.shape[2], frames.shape[1]
    small = [cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC) for frame in small])


def blurred(frames: Frames) -> Frames:
    """A Gaussian of 1/64 of the width."""
    return np.stack([cv2.GaussianBlur(frame, (0, 0), frame.shape[1] / 64) for frame in frames])


NAMES = {"later": f"{AHEAD} frames on", "return": "return"}
SOFTNESS: Mapping[str, Callable[[Frames], Frames]] = {
    "sharp": lambda frames: frames,
    "through 64": through_64,
    "blurred": blurred,
}


def scores(function: Callable[[Frames, Frames], np.ndarray], predicted: Frames, target: Frames) -> np.ndarray:
    """The metric's own value of each pair."""
    return function(predicted, target).reshape(len(target), -1)[:, 0]


def area(near: np.ndarray, far: np.ndarray) -> float:
    """The chance that one of `near` is above one of `far`, ties counted half."""
    difference = near[:, None] - far
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, measure, argv)


if __name__ == "__main__":
    raise SystemExit(main())
