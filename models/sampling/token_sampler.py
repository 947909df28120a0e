"""Rollout of a plan, window by window, over any horizon.

Memory does not grow with the horizon: only the latents of the current chunk are kept, and they are yielded as
soon as they are denoised. Noise is a function of the rollout step that the caller passes in, so that a video
does not depend on its position in a batch.
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
"""Maps the rollout step and the shape of one video's latents to unit Gaussian noise for the whole batch."""


@dataclass(frozen=True, kw_only=True)
class Generated:
    """Newly denoised latents of consecutive frames at one level."""

    level: int
    first_frame: int
    latents: Float[Tensor, "B frames n C"]


@runtime_checkable
class Sampler(Protocol):
    """The interface of both samplers: latents and actions in, generated latents out."""

    @property
    def num_context(self) -> int:
        """Number of context frames that a rollout reads."""

    def num_future(self, horizon: int) -> int:
        """Return how many frames' actions a rollout of `horizon` frames needs."""

    def rollout(
        self, context: Pyramid, actions: Int64[Tensor, "B total"], noise: Noise
    ) -> Iterator[Generated]:
        """Generate the frames after `context`; `actions` start with those of the context."""


def keyed_noise(seeds: Sequence[int]) -> Noise:
    """Return noise that depends only on each video's seed and the rollout step, always drawn on the CPU."""

    def draw(step: int, shape: tuple[int, ...]) -> Tensor:
        keys = [integer_seed(seed, "sampling noise", step) for seed in seeds]
        return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(key)) for key in keys])

    return draw


def require_context(latents: Float[Tensor, "B T n C"], needed: int) -> int:
    """Return the number of context frames; raise `UserError` if there are fewer than `needed`."""
    if latents.shape[1] < needed:
        raise UserError(f"the model needs {needed} context frames, but got {latents.shape[1]}")
    return latents.shape[1]


def shift_frames(latents: Float[Tensor, "B T *rest"], count: int) -> Float[Tensor, "B T *rest"]:
    """Drop the oldest `count` frames and append the same number of zero frames."""
    return torch.cat([latents[:, count:], torch.zeros_like(latents[:, :count])], dim=1)


def consecutive_runs(step: Int8[np.ndarray, "levels frames"], role: int) -> list[tuple[int, int, int]]:
    """Return the runs of frames with one role as (level, first frame, end frame), finest level first."""
    edges = np.diff(step == role, axis=1, prepend=False, append=False)
    return [
        (level, int(first), int(end))
        for level, row in enumerate(edges)
        for first, end in np.flatnonzero(row).reshape(-1, 2)
    ]


class Layout:
    """The token order of a plan step: context, padding up to the largest step, targets; each finest first."""

    def __init__(
        self, step: Int8[np.ndarray, "levels frames"], grid: Grid, num_tokens: int, device: torch.device
    ) -> None:
        self.context, self.targets = consecutive_runs(step, CONTEXT), consecutive_runs(step, DENOISED)
        context, targets = (
            [grid.addresses(torch.arange(first, end), level) for level, first, end in runs]
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
        """Return the addresses for a chunk that starts at `first_frame`; padding stays at frame 0."""
        address = self.address.clone()
        address[:, FRAME] += torch.where(self.is_padding, 0, first_frame)
        return address

    def gather(self, chunk: Pyramid) -> Float[Tensor, "B n C"]:
        """Gather the latents of the step's tokens from the chunk."""
        context, targets = (
            [chunk[level][:, first:end].flatten(1, 2) for level, first, end in runs]
            for runs in (self.context, self.targets)
        )
        batch, _, _, channels = chunk[0].shape
        return torch.cat([*context, chunk[0].new_zeros(batch, self.num_padding, channels), *targets], dim=1)


def _insert_truth(
    chunk: Pyramid, generated: list[Generated], truth: list[Float[Tensor, "B total _ C"]], first_frame: int
) -> None:
    """Overwrite generated latents with the true ones."""
    for part in generated:
        frames = slice(part.first_frame, part.first_frame + part.latents.shape[1])
        in_chunk = slice(frames.start - first_frame, frames.stop - first_frame)
        chunk[part.level][:, in_chunk] = truth[part.level][:, frames]


class TokenSampler:
    """Rolls out a token denoiser by executing a plan."""

    def __init__(self, network: TokenDenoiser, plan: Plan, grid: Grid, sampling: Sampling) -> None:
        self.network, self.plan, self.sampling = network, plan, sampling
        self.device = next(network.parameters()).device
        num_tokens = int(plan.num_tokens(grid).max())
        self.layouts = [Layout(step, grid, num_tokens, self.device) for step in plan.steps]

    @property
    def num_context(self) -> int:
        """Number of context frames that a rollout reads."""
        return self.plan.denoising_start

    def num_future(self, horizon: int) -> int:
        """Return how many frames' actions a rollout of `horizon` frames needs: whole chunks and drafts."""
        return self.plan.num_chunks(horizon) * self.plan.width + self.plan.num_drafts

    def rollout(
        self,
        context: Pyramid,
        actions: Int64[Tensor, "B total"],
        noise: Noise,
        truth: list[Float[Tensor, "B total _ C"]] | None = None,
    ) -> Iterator[Generated]:
        """Continue `context` for as many whole chunks as `actions` cover, drafts included.

        `actions` start with those of the context frames. Latents are generated in the dtype of the context.
        If `truth` is given (the true latents of all frames with actions), it replaces the output of each step
        as input for later steps, so that a step's error is its own.
        """
        plan = self.plan
        num_context = require_context(context[0], plan.denoising_start)
        chunk = []
        for past in context[: plan.num_levels]:
            latents = past.new_zeros(len(past), plan.num_frames, *past.shape[2:])
            latents[:, : plan.denoising_start] = past[:, num_context - plan.denoising_start :]
            chunk.append(latents)
        for index in range(plan.num_chunks_within(actions.shape[1] - num_context)):
            first = num_context - plan.denoising_start + index * plan.width
            for number, layout in enumerate(self.layouts):
                draw = functools.partial(noise, index * len(self.layouts) + number)
                generated = self._denoise(chunk, layout, first, actions, draw)
                yield from generated
                if truth is not None:
                    _insert_truth(chunk, generated, truth, first)
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
        """Denoise the targets of one step, write them to `chunk` and return them."""
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
        # Targets start from zeros or from an earlier draft, which enters with weight alpha(1) = 5.5e-4.
        denoised, _ = sample(velocity, x[:, first_target:], eps[:, first_target:], self.sampling)
        generated = []
        parts = torch.split(denoised, layout.target_sizes, dim=1)
        for (level, first, end), tokens in zip(layout.targets, parts, strict=True):
            latents = tokens.view_as(chunk[level][:, first:end])
            chunk[level][:, first:end] = latents
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
        """Return the network on one window, with fixed context and, if requested, guidance."""
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
        # Classifier-free guidance: v = v_uncond + g (v_cond - v_uncond). The unconditional pass sees pure
        # noise as context, and no actions or poses, as in samples with context dropout during training.
        unconditional = with_context_at(1.0, torch.full_like(action, NO_ACTION), None)
        return lambda noisy, index: torch.lerp(
            unconditional(noisy, index), conditional(noisy, index), self.sampling.guidance
        )

    def _denoise_from_cache(
        self,
        layout: Layout,
        context: Float[Tensor, "B m C"],
        context_time: float,
        positions: Float[Tensor, "*B n D"],
        action: Int64[Tensor, "B n"],
    ) -> Velocity:
        """Return a causal network on one window; it reads the context once and caches its keys and values."""
        times = self.sampling.times().to(context.device)
        past, targets = slice(context.shape[1]), slice(context.shape[1], None)

        def condition(time: Float[Tensor, "1"], part: slice) -> Condition:
            level = layout.address[part, LEVEL].expand(len(context), -1)
            group = torch.zeros_like(level)
            return Condition.per_group(time, group, level, action[:, part], self.network.trunk.num_levels)

        with autocast(context.device, self.sampling.bfloat16):
            of_context = condition(times.new_tensor([context_time]), past)
            cache = self.network.prefill(context, positions[..., past, :], of_context)

        def predict(noisy: Tensor, index: int) -> Tensor:
            of_targets = condition(times[index : index + 1], targets)
            with autocast(context.device, self.sampling.bfloat16):
                v: Tensor = self.network(noisy, positions[..., targets, :], of_targets, cache=cache)
            return v

        return predict
