"""Rollout: denoise window after window of a plan, over any horizon, with the memory of one chunk.

Latents are kept for the frames of the current chunk only and handed out as soon as they are denoised. Noise
is an argument: a function of the rollout step, so that a video does not depend on its place in a batch.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int8, Int64
from torch import Tensor

from loopcraft.core.errors import UserError
from loopcraft.core.seeding import integer_seed
from models.networks.denoiser import NO_ACTION, Condition, TokenDenoiser
from models.networks.odometry import token_poses
from models.networks.precision import autocast
from models.networks.tokens import FRAME, LEVEL, Grid, Pyramid
from models.plans.plan import CONTEXT, DENOISED, Plan
from models.sampling.diffusion import Sampling, Velocity, sample

Noise = Callable[[int, tuple[int, ...]], Float[Tensor, "B *shape"]]
"""From the rollout step and the shape of one video's latents to unit Gaussian noise of the whole batch."""


@dataclass(frozen=True, kw_only=True)
class Generated:
    """Latents of consecutive frames at one level, just denoised."""

    level: int
    first_frame: int
    latents: Float[Tensor, "B frames n C"]


@runtime_checkable
class Sampler(Protocol):
    """What both samplers are: latents and actions in, generated latents out."""

    @property
    def num_context(self) -> int:
        """Context frames that a rollout reads."""

    def num_future(self, horizon: int) -> int:
        """Frames whose actions a rollout of `horizon` frames needs."""

    def rollout(
        self, context: Pyramid, actions: Int64[Tensor, "B total"], noise: Noise
    ) -> Iterator[Generated]:
        """Generate what follows `context`; `actions` begin with those of the context."""


def keyed_noise(seeds: Sequence[int]) -> Noise:
    """Noise that depends on each video's own seed and the rollout step alone; always drawn on the CPU."""

    def draw(step: int, shape: tuple[int, ...]) -> Tensor:
        keys = [integer_seed(seed, "sampling noise", step) for seed in seeds]
        return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(key)) for key in keys])

    return draw


def require_context(latents: Float[Tensor, "B T n C"], needed: int) -> int:
    """The number of context frames, which must suffice; raises `UserError` for fewer."""
    if latents.shape[1] < needed:
        raise UserError(f"the model needs {needed} context frames, and got {latents.shape[1]}")
    return latents.shape[1]


def shift_frames(latents: Float[Tensor, "B T *rest"], count: int) -> Float[Tensor, "B T *rest"]:
    """Drop the oldest `count` frames and append as many zero frames."""
    return torch.cat([latents[:, count:], torch.zeros_like(latents[:, :count])], dim=1)


def consecutive_runs(step: Int8[np.ndarray, "levels frames"], role: int) -> list[tuple[int, int, int]]:
    """The stretches (level, first frame, frame after the last) that play one role, finest level first."""
    edges = np.diff(step == role, axis=1, prepend=False, append=False)
    return [
        (level, int(first), int(last))
        for level, row in enumerate(edges)
        for first, last in np.flatnonzero(row).reshape(-1, 2)
    ]


class Layout:
    """The tokens of one plan step: context, padding up to the largest step, targets; each finest first."""

    def __init__(
        self, step: Int8[np.ndarray, "levels frames"], grid: Grid, num_tokens: int, device: torch.device
    ) -> None:
        self.context, self.targets = consecutive_runs(step, CONTEXT), consecutive_runs(step, DENOISED)
        context, targets = (
            [grid.addresses(torch.arange(first, last), level) for level, first, last in runs]
            for runs in (self.context, self.targets)
        )
        self.target_sizes = [len(addresses) for addresses in targets]
        self.num_targets = sum(self.target_sizes)
        num_context = sum(map(len, context))
        self.num_padding = num_tokens - num_context - self.num_targets
        padding = torch.zeros(self.num_padding, 4, dtype=torch.int64)
        self.address = torch.cat([*context, padding, *targets]).to(device)
        position = torch.arange(num_tokens, device=device)
        self.is_target = position >= num_tokens - self.num_targets
        self.is_padding = (position >= num_context) & ~self.is_target

    def address_in_video(self, first_frame: int) -> Int64[Tensor, "n 4"]:
        """The addresses when the chunk begins at `first_frame`; padding stays at frame 0."""
        address = self.address.clone()
        address[:, FRAME] += torch.where(self.is_padding, 0, first_frame)
        return address

    def gather(self, chunk: Pyramid) -> Float[Tensor, "B n C"]:
        """The latents of the step's tokens."""
        context, targets = (
            [chunk[level][:, first:last].flatten(1, 2) for level, first, last in runs]
            for runs in (self.context, self.targets)
        )
        batch, _, _, channels = chunk[0].shape
        return torch.cat([*context, chunk[0].new_zeros(batch, self.num_padding, channels), *targets], dim=1)


def _correct(
    chunk: Pyramid,
    generated: list[Generated],
    truth: list[Float[Tensor, "B total _ C"]],
    first_frame: int,
) -> None:
    """Put the truth where something was generated."""
    for done in generated:
        frames = slice(done.first_frame, done.first_frame + done.latents.shape[1])
        place = slice(frames.start - first_frame, frames.stop - first_frame)
        chunk[done.level][:, place] = truth[done.level][:, frames]


class TokenSampler:
    """Executes a plan with a token denoiser."""

    def __init__(self, network: TokenDenoiser, plan: Plan, grid: Grid, sampling: Sampling) -> None:
        self.network, self.plan, self.sampling = network, plan, sampling
        self.device = next(network.parameters()).device
        num_tokens = int(plan.num_tokens(grid).max())
        self.layouts = [Layout(step, grid, num_tokens, self.device) for step in plan.steps]

    @property
    def num_context(self) -> int:
        """Context frames that a rollout reads."""
        return self.plan.denoising_start

    def num_future(self, horizon: int) -> int:
        """Frames whose actions a rollout of `horizon` frames needs: whole chunks and their drafts."""
        return self.plan.num_chunks(horizon) * self.plan.width + self.plan.num_drafts

    def rollout(
        self,
        context: Pyramid,
        actions: Int64[Tensor, "B total"],
        noise: Noise,
        truth: list[Float[Tensor, "B total _ C"]] | None = None,
    ) -> Iterator[Generated]:
        """Generate from the end of `context` as many whole chunks as `actions` cover, drafts included.

        `actions` begin with those of the context frames. Latents are generated in the dtype of the context.
        With `truth`, the true latents of all frames that have actions, every step finds these where an
        earlier one has been: what it gets wrong is then its own error.
        """
        plan = self.plan
        num_context = require_context(context[0], plan.denoising_start)
        chunk = []
        for known in context[: plan.num_levels]:
            latents = known.new_zeros(len(known), plan.num_frames, *known.shape[2:])
            latents[:, : plan.denoising_start] = known[:, num_context - plan.denoising_start :]
            chunk.append(latents)
        for index in range(plan.num_chunks_within(actions.shape[1] - num_context)):
            first = num_context - plan.denoising_start + index * plan.width
            for number, layout in enumerate(self.layouts):
                draw = functools.partial(noise, index * len(self.layouts) + number)
                generated = self._denoise(chunk, layout, first, actions, draw)
                yield from generated
                if truth is not None:
                    _correct(chunk, generated, truth, first)
            chunk = [shift_frames(latents, plan.width) for latents in chunk]

    @torch.no_grad()
    def _denoise(
        self,
        chunk: Pyramid,
        layout: Layout,
        first_frame: int,
        actions: Int64[Tensor, "B total"],
        draw: Callable[[tuple[int, ...]], Tensor],
    ) -> list[Generated]:
        """Denoise the targets of one step, in place."""
        x = layout.gather(chunk)
        eps = draw(tuple(x.shape[1:])).to(x)
        address = layout.address_in_video(first_frame)
        frame = address[:, FRAME].expand(len(x), -1)
        action = torch.where(layout.is_padding, 0, actions.gather(1, frame))
        poses = None
        if self.network.odometry is not None:
            poses = token_poses(actions, frame, layout.is_target.expand(len(x), -1))
            poses = torch.where(layout.is_padding[:, None], 0, poses)
        velocity = self._velocity(layout, x, eps, address, action, poses)
        first_target = x.shape[1] - layout.num_targets
        denoised, _ = sample(velocity, x[:, first_target:], eps[:, first_target:], self.sampling)
        generated = []
        parts = torch.split(denoised, layout.target_sizes, dim=1)
        for (level, first, last), tokens in zip(layout.targets, parts, strict=True):
            latents = tokens.view_as(chunk[level][:, first:last])
            chunk[level][:, first:last] = latents
            generated.append(Generated(level=level, first_frame=first_frame + first, latents=latents))
        return generated

    def _velocity(
        self,
        layout: Layout,
        x: Float[Tensor, "B n C"],
        eps: Float[Tensor, "B n C"],
        address: Int64[Tensor, "n 4"],
        action: Int64[Tensor, "B n"],
        poses: Float[Tensor, "B n 3"] | None,
    ) -> Velocity:
        """The network on one window: context fixed, targets as the solver asks; guided if that is wanted."""
        times = self.sampling.times().to(x.device)
        first_target = x.shape[1] - layout.num_targets
        level = layout.address[:, LEVEL].expand(len(x), -1)
        group = layout.is_target.long().expand(len(x), -1)

        def with_context_at(
            context_time: float, action: Int64[Tensor, "B n"], poses: Float[Tensor, "B n 3"] | None
        ) -> Velocity:
            positions = self.network.positions(address, poses)
            alpha, sigma = self.sampling.schedule.alpha_sigma(torch.tensor(context_time))
            context = (
                alpha.item() * x[:, :first_target].float() + sigma.item() * eps[:, :first_target].float()
            )
            if self.network.causal:
                return self._denoise_from_cache(layout, context, context_time, positions, action)

            both_times = torch.stack([torch.full_like(times, context_time), times], dim=1)

            def predict(noisy: Tensor, index: int) -> Tensor:
                condition = Condition.per_group(
                    both_times[index], group, level, action, self.network.trunk.num_levels
                )
                tokens = torch.cat([context, noisy], dim=1)
                with autocast(x.device, self.sampling.bfloat16):
                    v: Tensor = self.network(tokens, positions, condition, layout.num_targets)
                return v

            return predict

        conditional = with_context_at(self.sampling.context_time, action, poses)
        if self.sampling.guidance == 1:
            return conditional
        blind = with_context_at(1.0, torch.full_like(action, NO_ACTION), None)
        return lambda noisy, index: torch.lerp(
            blind(noisy, index), conditional(noisy, index), self.sampling.guidance
        )

    def _denoise_from_cache(
        self,
        layout: Layout,
        context: Float[Tensor, "B m C"],
        context_time: float,
        positions: Float[Tensor, "*B n D"],
        action: Int64[Tensor, "B n"],
    ) -> Velocity:
        """A causal network on one window: it reads the context now, and remembers it in every call."""
        times = self.sampling.times().to(context.device)
        known, targets = slice(context.shape[1]), slice(context.shape[1], None)

        def condition(time: Float[Tensor, "1"], part: slice) -> Condition:
            level = layout.address[part, LEVEL].expand(len(context), -1)
            group = torch.zeros_like(level)
            return Condition.per_group(time, group, level, action[:, part], self.network.trunk.num_levels)

        with autocast(context.device, self.sampling.bfloat16):
            at_context = condition(times.new_tensor([context_time]), known)
            cache = self.network.prefill(context, positions[..., known, :], at_context)

        def predict(noisy: Tensor, index: int) -> Tensor:
            at_targets = condition(times[index : index + 1], targets)
            with autocast(context.device, self.sampling.bfloat16):
                v: Tensor = self.network(noisy, positions[..., targets, :], at_targets, cache=cache)
            return v

        return predict
