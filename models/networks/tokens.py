"""Where tokens live: one square grid a level, and the address (frame, level, row, column) of every token.

Level 0 is the finest. Row and column count cells of the token's own level. Latents of a video are kept as a
pyramid: one tensor (B, T, n, C) a level, whose n tokens are the level's cells in raster order.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from loopcraft.core.errors import UserError

Pyramid = list[Float[Tensor, "B T _ C"]]
"""The latents of a batch of videos, finest level first; levels differ in their number of tokens."""

MOST_LEVELS = 16
FRAME, LEVEL, ROW, COLUMN = range(4)
"""The columns of an address."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The shape of a frame's latents: the side of level 0 in cells, the number of levels, the channels."""

    side: int = 16
    levels: int = 4
    channels: int = 32

    def __post_init__(self) -> None:
        if min(self.side, self.levels, self.channels) < 1 or self.levels > MOST_LEVELS:
            raise UserError(f"{self} has no levels, or too many; choose at least one cell and channel")
        if self.side % 2 ** (self.levels - 1):
            raise UserError(
                f"{self.side} x {self.side} patches a frame cannot be halved {self.levels - 1} times; choose "
                "larger frames, or a preset of fewer levels"
            )

    def side_at(self, level: int) -> int:
        """Rows (and columns) of one level."""
        return self.side >> level

    def tokens_at(self, level: int) -> int:
        """Tokens of one frame at one level."""
        return self.side_at(level) ** 2

    @property
    def tokens_per_level(self) -> list[int]:
        """Tokens of one frame at each level, finest first."""
        return [self.tokens_at(level) for level in range(self.levels)]

    def coarser(self, finest: int) -> "Grid":
        """The grid without its `finest` finest levels."""
        return replace(self, side=self.side >> finest, levels=self.levels - finest)

    def addresses(self, frames: Int64[Tensor, " frames"], level: int) -> Int64[Tensor, "tokens 4"]:
        """The addresses of all tokens of `frames` at one level: frame, then row, then column."""
        cells = torch.arange(self.side_at(level), device=frames.device)
        frame, row, column = torch.meshgrid(frames, cells, cells, indexing="ij")
        return torch.stack([frame, torch.full_like(frame, level), row, column], dim=-1).flatten(0, 2)

    def frame_addresses(self) -> Int64[Tensor, "tokens 4"]:
        """The addresses of every token of one frame (frame 0), finest level first."""
        frame = torch.zeros(1, dtype=torch.int64)
        return torch.cat([self.addresses(frame, level) for level in range(self.levels)])


@dataclass(frozen=True, kw_only=True)
class LatentSpace:
    """Which of an autoencoder's levels a video model works on, and in which unit."""

    finest: int = 0
    """The autoencoder's level that is level 0 of the video model; finer ones are left out."""
    scale: float = 1.0
    """What latents are multiplied with, so that diffusion sees about unit variance."""

    def enter(self, levels: list[Float[Tensor, "*frames _ C"]]) -> list[Float[Tensor, "*frames _ C"]]:
        """The autoencoder's latents as the video model has them."""
        kept = levels[self.finest :]
        return kept if self.scale == 1 else [latents * self.scale for latents in kept]

    def leave(self, latents: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape C"]:
        """Latents of the video model as the autoencoder has them."""
        return latents if self.scale == 1 else latents / self.scale


ALL_LATENTS = LatentSpace()
"""The paper's space: every level, as the autoencoder gives it."""
