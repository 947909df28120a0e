"""The three training objectives as modules, which draw samples and compute their loss.

`draw` reads the pool; `forward`, which DDP wraps, computes the loss. Draws are made in the published order
from generators keyed by the step, so resuming a run requires no random state.
"""

from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from models.networks.autoencoder import Autoencoder, join_patches
from models.networks.denoiser import TokenDenoiser
from models.networks.framepack import FramePackDenoiser
from models.networks.odometry import token_poses
from models.networks.tokens import FRAME, Grid
from models.plans.plan import DENOISED, UNSEEN, Plan
from models.sampling.diffusion import NoiseSchedule
from models.train.data.pool import EpisodePool
from models.train.data.transfer import send
from models.train.data.windows import WindowTable, choose_step
from models.train.detail_loss import DetailLoss
from models.train.losses import frame_loss, reconstruction_loss, token_loss
from models.zoo.configs import VideoNetwork

Batch = dict[str, Shaped[Tensor, "..."]]


class AutoencoderObjective(nn.Module):
    """Reconstruction from a random level: squared error of the pyramid plus detail loss of the image."""

    clip_length = 1

    def __init__(self, network: Autoencoder, detail: DetailLoss, detail_weight: float) -> None:
        super().__init__()
        self.network, self.detail, self.detail_weight = network, detail, detail_weight

    def draw(self, pool: EpisodePool, count: int, rng: np.random.Generator, noise: torch.Generator) -> Batch:
        """Draw random frames from the pool, and the level that each is decoded from."""
        slot, frame = (send(index, pool.values.device) for index in pool.draw(rng, count, 1))
        images = pool.values[slot, frame].to(noise.device).movedim(-1, 1)
        levels = self.network.config.levels
        return {
            "images": images,
            "level": torch.randint(levels, (count,), generator=noise, device=noise.device),
        }

    def forward(self, images: Shaped[Tensor, "N 3 H W"], level: Int64[Tensor, " N"]) -> Float[Tensor, ""]:
        """Return the loss of 8-bit frames."""
        target = images.float() / 255
        loss, predicted = reconstruction_loss(self.network, target, level)
        finest = predicted[:, : self.network.grid.tokens_at(0)]
        detail = self.detail(join_patches(finest, self.network.config.patch), target)
        return loss + self.detail_weight * detail


class TokenObjective(nn.Module):
    """Prediction of v for the tokens that a random step of the plan denoises."""

    def __init__(
        self,
        network: TokenDenoiser,
        plan: Plan,
        grid: Grid,
        context_dropout: float,
        context_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.network, self.plan = network, plan
        self.context_dropout, self.context_noise = context_dropout, context_noise
        self.table = WindowTable(plan, grid)
        self.clip_length = plan.num_frames

    def draw(self, pool: EpisodePool, count: int, rng: np.random.Generator, noise: torch.Generator) -> Batch:
        """Draw random clips from the pool and cut a random plan step out of each."""
        slot, start = pool.draw(rng, count, self.clip_length)
        step = torch.tensor([choose_step(self.plan, uniform) for uniform in rng.random(count)])
        slot, start, step = (send(index, pool.values.device) for index in (slot, start, step))
        window = self.table.cut(pool.values, pool.actions, slot, start, step)
        x = window.tokens.to(noise.device)
        target = window.roles == DENOISED
        batch: Batch = {}
        if self.network.odometry is not None:
            poses = token_poses(pool.actions[slot], start[:, None] + window.address[..., FRAME], target)
            batch["poses"] = (poses * (window.roles != UNSEEN)[..., None]).to(noise.device)
        return batch | {
            "x": x,
            "address": window.address.to(noise.device),
            "action": window.actions.to(noise.device),
            "target": target.to(noise.device),
            "eps": torch.randn(x.shape, generator=noise, device=noise.device),
            "conditioned": torch.rand(count, generator=noise, device=noise.device) > self.context_dropout,
            "time": torch.rand(count, 1, generator=noise, device=noise.device)[:, 0],
            **draw_context_times(self.context_noise, count, noise),
        }

    def forward(self, **batch: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Return the loss of a batch of `token_loss` arguments."""
        return token_loss(self.network, **batch, schedule=NoiseSchedule())


class FrameObjective(nn.Module):
    """Prediction of v for the newest frames of a FramePack window."""

    def __init__(
        self, network: FramePackDenoiser, context_dropout: float, context_noise: float = 0.0
    ) -> None:
        super().__init__()
        self.network = network
        self.context_dropout, self.context_noise = context_dropout, context_noise
        self.clip_length = network.window.num_frames

    def draw(self, pool: EpisodePool, count: int, rng: np.random.Generator, noise: torch.Generator) -> Batch:
        """Draw random clips of level-0 latents from the pool."""
        slot, start = (send(index, pool.values.device) for index in pool.draw(rng, count, self.clip_length))
        frame = start[:, None] + torch.arange(self.clip_length, device=start.device)
        grid = self.network.grid
        finest = pool.values[slot[:, None], frame, : grid.tokens_at(0)].to(noise.device).float()
        latents = finest.view(count, -1, grid.side, grid.side, grid.channels).movedim(-1, 2)
        return {
            "latents": latents,
            "action": pool.actions[slot[:, None], frame].to(noise.device),
            "eps": torch.randn(latents.shape, generator=noise, device=noise.device),
            "time": torch.rand(count, generator=noise, device=noise.device),
            "conditioned": torch.rand(count, 1, generator=noise, device=noise.device)[:, 0]
            >= self.context_dropout,
            **draw_context_times(self.context_noise, count, noise),
        }

    def forward(self, **batch: Shaped[Tensor, "..."]) -> Float[Tensor, ""]:
        """Return the loss of a batch of `frame_loss` arguments."""
        return frame_loss(self.network, **batch, schedule=NoiseSchedule())


def draw_context_times(highest: float, count: int, noise: torch.Generator) -> Batch:
    """Draw each sample's context noise level: 0 for half of them, else up to `highest`; empty if it is 0."""
    if not highest:
        return {}
    fraction = 2 * torch.rand(count, generator=noise, device=noise.device) - 1
    return {"context_time": highest * fraction.clamp(min=0)}


Objective = AutoencoderObjective | TokenObjective | FrameObjective


def video_objective(
    network: VideoNetwork, plan: Plan | None, grid: Grid, context_dropout: float, context_noise: float = 0.0
) -> Objective:
    """Make the objective of a video network; token denoisers have a plan."""
    if plan is None:
        return FrameObjective(cast(FramePackDenoiser, network), context_dropout, context_noise)
    return TokenObjective(cast(TokenDenoiser, network), plan, grid, context_dropout, context_noise)


def compile_networks(network: nn.Module) -> None:
    """Compile the expensive parts in place, which keeps parameter names."""
    if isinstance(network, Autoencoder):
        network.encoder.compile()
        network.decoder.compile()
    else:
        cast(TokenDenoiser | FramePackDenoiser, network).trunk.compile()
