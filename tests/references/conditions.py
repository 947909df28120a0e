"""Conditions with a separate row for every token: always correct, but slow."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.networks.denoiser import Condition
from models.networks.framepack import FramePackDenoiser
from models.networks.tokens import FRAME, LEVEL


def per_token(
    time: Float[Tensor, "B n"], level: Int64[Tensor, "B n"], action: Int64[Tensor, "B n"]
) -> Condition:
    """The condition with one row per token."""
    row = torch.arange(time.numel(), device=time.device).view(time.shape)
    return Condition(time=time.flatten(), level=level.flatten(), action=action.flatten(), row=row)


def per_frame(
    network: FramePackDenoiser, time: Float[Tensor, "B T"], action: Int64[Tensor, "B T"]
) -> Condition:
    """The condition of a FramePack window's tokens, from the time and action of their frames."""
    frame, level = network.address[:, FRAME], network.address[:, LEVEL]
    return per_token(time[:, frame], level.expand(len(time), -1), action[:, frame])
