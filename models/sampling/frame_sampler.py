"""Rollout of the FramePack denoiser, window by window."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from loopcraft.core.errors import UserError
from models.networks.framepack import FramePackDenoiser
from models.networks.precision import autocast
from models.networks.tokens import Pyramid
from models.sampling.diffusion import Sampling, Velocity, sample
from models.sampling.token_sampler import Generated, Noise, require_context, shift_frames


class FrameSampler:
    """Rolls out a FramePack denoiser: every window generates its newest frames, at level 0 only.

    The small amount of noise mixed into context is, for generated frames, what their last call predicted.
    """

    def __init__(self, network: FramePackDenoiser, sampling: Sampling) -> None:
        if sampling.guidance != 1:
            raise UserError(
                f"FramePack does not support guidance; set guidance to 1, not {sampling.guidance:g}"
            )
        self.network, self.sampling = network, sampling

    @property
    def num_context(self) -> int:
        """Number of context frames that a rollout reads."""
        return self.network.window.num_context

    def num_future(self, horizon: int) -> int:
        """Return how many frames' actions a rollout of `horizon` frames needs: whole windows."""
        count = self.network.window.denoised_frames
        return -(-horizon // count) * count

    @torch.no_grad()
    def rollout(
        self, context: Pyramid, actions: Int64[Tensor, "B total"], noise: Noise
    ) -> Iterator[Generated]:
        """Continue level 0 of `context` for as many whole windows as `actions` cover."""
        window, grid = self.network.window, self.network.grid
        count = window.denoised_frames
        num_context = require_context(context[0], window.num_context)
        past = context[0][:, num_context - window.num_context :]
        past = past.view(*past.shape[:2], grid.side, grid.side, grid.channels).movedim(-1, 2)
        frame_shape = past.shape[2:]
        x = torch.cat([past, past.new_zeros(len(past), count, *frame_shape)], dim=1)
        old_eps = noise(0, tuple(past.shape[1:])).to(x)
        for index in range((actions.shape[1] - num_context) // count):
            first = num_context - window.num_context + index * count
            eps = torch.cat([old_eps, noise(1 + index, (count, *frame_shape)).to(x)], dim=1)
            velocity = self._velocity(x, eps, actions[:, first : first + window.num_frames])
            x[:, -count:], eps[:, -count:] = sample(velocity, x[:, -count:], eps[:, -count:], self.sampling)
            latents = x[:, -count:].movedim(2, -1).flatten(2, 3)
            yield Generated(level=0, first_frame=first + window.num_context, latents=latents)
            x, old_eps = shift_frames(x, count), eps[:, count:]

    def _velocity(
        self,
        x: Float[Tensor, "B T C side side"],
        eps: Float[Tensor, "B T C side side"],
        action: Int64[Tensor, "B T"],
    ) -> Velocity:
        times = self.sampling.times().to(x.device)
        context_time = torch.tensor(self.sampling.context_time)
        both_times = torch.stack([torch.full_like(times, self.sampling.context_time), times], dim=1)
        alpha, sigma = (w.item() for w in self.sampling.schedule.alpha_sigma(context_time))
        count = self.network.window.num_context
        context = alpha * x[:, :count].float() + sigma * eps[:, :count].float()

        def predict(noisy: Tensor, index: int) -> Tensor:
            condition = self.network.condition_by_role(both_times[index : index + 1], action)
            with autocast(x.device, self.sampling.bfloat16):
                v: Tensor = self.network(torch.cat([context, noisy], dim=1), condition, action)
            return v

        return predict
