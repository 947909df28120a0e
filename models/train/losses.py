"""Training losses: reconstruction of the whole patch pyramid, and v-prediction on the targets.

Random draws are arguments, so that losses are pure functions; `models.train.objectives` makes the draws.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from models.networks.autoencoder import Autoencoder, patch_pyramid
from models.networks.denoiser import Condition, TokenDenoiser, causal_mask, mask_actions
from models.networks.framepack import FramePackDenoiser
from models.networks.tokens import LEVEL
from models.sampling.diffusion import NoiseSchedule


def reconstruction_loss(
    model: Autoencoder, images: Float[Tensor, "N 3 H W"], level: Int64[Tensor, " N"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "N tokens patch"]]:
    """Return the squared error of all patches, with frame i decoded from `level[i]` alone, and the patches.

    A patch of level l has weight 4^l, so that all levels contribute equally. The paper adds 0.05 LPIPS (VGG)
    of the finest image, for which the predicted patches are returned.
    """
    target = patch_pyramid(images, model.config.patch, model.config.levels)
    predicted = model.decode_patches(model.encode(images), level)
    weight = 4.0 ** model.decoder.address[:, LEVEL]
    return ((predicted - target).square() * weight[:, None]).mean(), predicted


def token_loss(
    network: TokenDenoiser,
    x: Float[Tensor, "B n C"],
    address: Int64[Tensor, "B n 4"],
    action: Int64[Tensor, "B n"],
    target: Bool[Tensor, "B n"],
    *,
    eps: Float[Tensor, "B n C"],
    time: Float[Tensor, " B"],
    conditioned: Bool[Tensor, " B"],
    schedule: NoiseSchedule,
    poses: Float[Tensor, "B n 3"] | None = None,
    context_time: Float[Tensor, " B"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean squared v error over the target tokens of the batch.

    Targets have the noise level of their sample. Context is clean, or at noise level `context_time` if given.
    In samples that are not conditioned, context is pure noise and no token has an action or a pose.
    """
    if poses is not None:
        poses = poses * conditioned[:, None, None]
    times = _context_and_target(time, conditioned, context_time)
    group = 2 * torch.arange(len(time), device=time.device)[:, None] + target
    condition = Condition.per_group(
        times.flatten(),
        group,
        address[..., LEVEL],
        mask_actions(action, conditioned),
        network.trunk.num_levels,
    )
    if x.is_cuda:
        condition = condition.to_one_hot()
    alpha, sigma = schedule.alpha_sigma(times)  # computed in float64, so only for the (B, 2) distinct times
    alpha, sigma = (torch.where(target, w[:, 1:], w[:, :1])[..., None] for w in (alpha, sigma))
    mask = causal_mask(target) if network.causal else None
    v = network(alpha * x + sigma * eps, network.positions(address, poses), condition, mask=mask)
    error: Tensor = v - (alpha * eps - sigma * x)
    weight = target[..., None] / (target.sum() * x.shape[-1])
    return (error.square() * weight).sum()


def _context_and_target(
    time: Float[Tensor, " B"], conditioned: Bool[Tensor, " B"], context_time: Float[Tensor, " B"] | None
) -> Float[Tensor, "B 2"]:
    """Return the noise levels of each sample's context and of its targets."""
    context = torch.zeros_like(time) if context_time is None else context_time
    return torch.stack([torch.where(conditioned, context, 1), time], dim=1)


def frame_loss(
    network: FramePackDenoiser,
    latents: Float[Tensor, "B T C side side"],
    action: Int64[Tensor, "B T"],
    *,
    eps: Float[Tensor, "B T C side side"],
    time: Float[Tensor, " B"],
    conditioned: Bool[Tensor, " B"],
    schedule: NoiseSchedule,
    context_time: Float[Tensor, " B"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean squared v error over the newest frames; as in `token_loss`, but never hide actions."""
    times = _context_and_target(time, conditioned, context_time)
    count = network.window.denoised_frames
    condition = network.condition_by_role(times, action)
    if latents.is_cuda:
        condition = condition.to_one_hot()
    frame_times = torch.cat(
        [times[:, :1].expand(-1, network.window.num_context), times[:, 1:].expand(-1, count)], dim=1
    )
    alpha, sigma = schedule.alpha_sigma(frame_times[..., None, None, None])
    v = network(alpha * latents + sigma * eps, condition, action)
    error: Tensor = v - (alpha * eps - sigma * latents)[:, -count:]
    return error.square().mean()
