"""Token geometry: one square grid per level, and the address (frame, level, row, column) of each token.

Level 0 is the finest. Row and column count cells of the token's own level. The latents of a video form a
pyramid: one tensor (B, T, n, C) per level, whose n tokens are the level's cells in raster order.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from loopcraft.core.errors import UserError

Pyramid = list[Float[Tensor, "B T _ C"]]
"""The latents of a batch of videos, finest level first; the number of tokens differs between levels."""

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
            raise UserError(
                f"{self}: choose at least one cell and channel, and from 1 to {MOST_LEVELS} levels"
            )
        if self.side % 2 ** (self.levels - 1):
            raise UserError(
                f"{self.side} x {self.side} patches per frame cannot be halved {self.levels - 1} times; "
                "choose larger frames, or a preset with fewer levels"
            )

    def side_at(self, level: int) -> int:
        """Return the number of rows (and columns) of one level."""
        return self.side >> level

    def tokens_at(self, level: int) -> int:
        """Return the number of tokens of one frame at one level."""
        return self.side_at(level) ** 2

    @property
    def tokens_per_level(self) -> list[int]:
        """Number of tokens of one frame at each level, finest first."""
        return [self.tokens_at(level) for level in range(self.levels)]

    def coarser(self, finest: int) -> "Grid":
        """Return the grid without its `finest` finest levels."""
        return replace(self, side=self.side >> finest, levels=self.levels - finest)

    def addresses(self, frames: Int64[Tensor, " frames"], level: int) -> Int64[Tensor, "tokens 4"]:
        """Return the addresses of all tokens of `frames` at one level, ordered by frame, row, column."""
        cells = torch.arange(self.side_at(level), device=frames.device)
        frame, row, column = torch.meshgrid(frames, cells, cells, indexing="ij")
        return torch.stack([frame, torch.full_like(frame, level), row, column], dim=-1).flatten(0, 2)

    def frame_addresses(self) -> Int64[Tensor, "tokens 4"]:
        """Return the addresses of all tokens of one frame (frame 0), finest level first."""
        frame = torch.zeros(1, dtype=torch.int64)
        return torch.cat([self.addresses(frame, level) for level in range(self.levels)])


@dataclass(frozen=True, kw_only=True)
class LatentSpace:
    """The levels of an autoencoder that a video model works on, and their scale."""

    finest: int = 0
    """The autoencoder's level that is level 0 of the video model; finer levels are dropped."""
    scale: float = 1.0
    """Factor applied to latents, so that diffusion sees roughly unit variance."""

    def enter(self, levels: list[Float[Tensor, "*frames _ C"]]) -> list[Float[Tensor, "*frames _ C"]]:
        """Convert the autoencoder's latents to the video model's."""
        levels = levels[self.finest :]
        return levels if self.scale == 1 else [latents * self.scale for latents in levels]

    def leave(self, latents: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape C"]:
        """Convert latents of the video model to the autoencoder's scale."""
        return latents if self.scale == 1 else latents / self.scale


ALL_LATENTS = LatentSpace()
"""The paper's space: every level, unscaled."""
