"""Measure what remembering the context saves in a rollout: `python -m perf.causal`.

MilliVid and its causal variant, with random weights, generate the same horizon on one thread, one plan step
at a time in turns. Figures are processor time, so that a busy machine changes little. The autoencoder's
share, the same for all, is measured once.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from loopcraft.core.cli import run
from loopcraft.core.errors import UserError
from models.latents.codec import FrameCodec
from models.sampling.diffusion import Sampling
from models.sampling.token_sampler import TokenSampler, keyed_noise
from models.zoo.loading import WeightSource, load_model
from models.zoo.presets import PRESETS

NAMES = ("millivid", "millivid-causal")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Size of the measurement."""

    videos: int = 4
    frames: int = 64
    """Frames to generate."""


class Rollout:
    """One horizon by a model of the preset cpu-evening; `seconds` holds the time of every plan step."""

    def __init__(self, flags: Flags, name: str, sampling: Sampling) -> None:
        model = load_model(
            name, WeightSource(preset="cpu-evening", frame_size=PRESETS["cpu-evening"].frame_size)
        )
        self.title = f"{name}, {sampling.steps} calls of {sampling.solver}"
        self.codec = FrameCodec(model.autoencoder, "float32", model.config.video.space)
        sampler = model.config.video.sampler(model.network.eval(), model.autoencoder.grid, sampling)
        assert isinstance(sampler, TokenSampler)
        draws = torch.Generator().manual_seed(0)
        frames = (flags.videos, sampler.num_context, *self.codec.frame_shape)
        self.frames = torch.randint(0, 256, frames, generator=draws, dtype=torch.uint8)
        needed = sampler.num_context + sampler.num_future(flags.frames)
        actions = torch.randint(0, 3, (flags.videos, needed), generator=draws)
        context = self.codec.encode(self.frames)
        self.parts = sampler.rollout(context, actions, keyed_noise(range(flags.videos)))
        self.seconds: list[float] = []
        self.finest: list[torch.Tensor] = []
        self.frames_left = flags.frames

    def advance(self) -> None:
        """Denoise the next window, which MilliVid yields as a single part."""
        start = time.process_time()
        part = next(self.parts)
        self.seconds.append(time.process_time() - start)
        if part.level == 0:
            self.finest.append(part.latents)
            self.frames_left -= part.latents.shape[1]

    def codec_seconds(self) -> float:
        """Return the time of encoding the context and decoding the horizon."""
        start = time.process_time()
        self.codec.encode(self.frames)
        self.codec.decode(torch.cat(self.finest, dim=1))
        return time.process_time() - start


@torch.no_grad()
def measure(flags: Flags) -> None:
    """Print the times, and each model's speed relative to MilliVid."""
    for name in ("videos", "frames"):
        if getattr(flags, name) < 1:
            raise UserError(f"--{name} {getattr(flags, name)}: choose 1 or more")
    torch.set_num_threads(1)
    fast = PRESETS["cpu-evening"].model("millivid").sampling
    paper = replace(fast, steps=50, solver="ddim")
    rollouts = [Rollout(flags, name, sampling) for sampling in (paper, fast) for name in NAMES]
    while rollouts[0].frames_left > 0:
        for rollout in rollouts:
            rollout.advance()
    print(
        f"cpu-evening, {flags.videos} videos x {flags.frames} frames, {len(rollouts[0].seconds)} plan steps, "
        f"one thread, plus {rollouts[0].codec_seconds():.2f} s for the autoencoder; speed (median of the "
        f"steps) relative to millivid with the same solver, and to {rollouts[0].title}:"
    )
    for i, rollout in enumerate(rollouts):
        same, first = (paired_ratio(rollouts[j].seconds, rollout.seconds) for j in (i - i % 2, 0))
        print(f"  {rollout.title:38} {sum(rollout.seconds):7.2f} s   {same:5.2f} x   {first:5.2f} x")


def paired_ratio(above: list[float], below: list[float]) -> float:
    """Return the median ratio of times measured in the same turn."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(Flags, measure, argv)


if __name__ == "__main__":
    raise SystemExit(main())
