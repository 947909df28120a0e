"""Applies an autoencoder to whole videos."""

from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from loopcraft.core.errors import UserError
from models.networks.autoencoder import Autoencoder
from models.networks.precision import Precision, autocast, uses_bfloat16
from models.networks.tokens import ALL_LATENTS, LatentSpace, Pyramid

FRAMES_AT_ONCE = 32
"""Batch size of the autoencoder, in frames, on a CPU."""


def frames_at_once(device: torch.device) -> int:
    """Return the batch size of the autoencoder, in frames: larger on a GPU, which small batches underuse."""
    return FRAMES_AT_ONCE if device.type == "cpu" else 16 * FRAMES_AT_ONCE


class FrameCodec:
    """Encodes 8-bit frames of videos to latents, and decodes latents of one level to frames in [0, 1]."""

    def __init__(
        self, autoencoder: Autoencoder, precision: Precision, space: LatentSpace = ALL_LATENTS
    ) -> None:
        self.autoencoder = autoencoder.eval().requires_grad_(False)
        self.precision, self.space = precision, space

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Shape (3, H, W) of a frame."""
        size = self.autoencoder.config.frame_size
        return 3, size, size

    def precision_on(self, device: torch.device) -> Literal["bfloat16"] | None:
        """Return the precision that the networks choose; None if the caller's autocast decides."""
        return "bfloat16" if uses_bfloat16(self.precision, device) else None

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "B T 3 H W"]) -> Pyramid:
        """Return the float32 latents of all levels of the space.

        Raises `UserError` for frames of a wrong type or shape.
        """
        if tuple(frames.shape[2:]) != self.frame_shape or frames.dtype != torch.uint8:
            raise UserError(
                f"the model takes uint8 frames of {self.frame_shape}, but got "
                f"{str(frames.dtype).removeprefix('torch.')} of {tuple(frames.shape[2:])}"
            )
        with autocast(frames.device, uses_bfloat16(self.precision, frames.device)):
            parts = [
                self.autoencoder.encode(images.float() / 255)
                for images in torch.split(frames.flatten(0, 1), frames_at_once(frames.device))
            ]
        levels = self.space.enter([torch.cat(level).float() for level in zip(*parts, strict=True)])
        return [latents.view(*frames.shape[:2], *latents.shape[1:]) for latents in levels]

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B T n C"], level: int = 0) -> Float[Tensor, "B T 3 H W"]:
        """Decode frames, clipped to [0, 1], from one level of the space."""
        latents = self.space.leave(latents)
        with autocast(latents.device, uses_bfloat16(self.precision, latents.device)):
            parts = [
                self.autoencoder.decode(part, level + self.space.finest).float().clamp(0, 1)
                for part in torch.split(latents.flatten(0, 1), frames_at_once(latents.device))
            ]
        return torch.cat(parts).view(*latents.shape[:2], *self.frame_shape)
