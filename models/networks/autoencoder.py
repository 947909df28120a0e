"""The hierarchical autoencoder: one frame to four grids of tokens, each of which gives the whole frame back.

The encoder reads the frame and its halvings in one sequence, so every token of every level attends to all;
the decoder is given the tokens of a single level and told which.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from models.networks.layers import (
    SIZES,
    AdaLNZeroBlock,
    TransformerBlock,
    TransformerSize,
    image_position_features,
)
from models.networks.tokens import LEVEL, Grid

Levels = list[Float[Tensor, "N _ C"]]
"""The latents of N frames, finest level first; levels differ in their number of tokens."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """The shape of an autoencoder; the defaults are those of the published one."""

    frame_size: int = 256
    """Height and width of a frame in pixels."""
    patch: int = 16
    """Side of a patch in pixels, at every level."""
    levels: int = 4
    channels: int = 32
    size: str = "B"
    cascaded: bool = False
    """Replace the encoder's coarse levels by 2 x 2 means of the next finer latents (an ablation)."""

    @property
    def grid(self) -> Grid:
        """The latent grid of one frame."""
        return Grid(side=self.frame_size // self.patch, levels=self.levels, channels=self.channels)


def cut_patches(images: Float[Tensor, "N 3 H W"], patch: int) -> Float[Tensor, "N n patch"]:
    """Cut into patches in raster order; a patch is flattened channel, row, column."""
    return functional.pixel_unshuffle(images, patch).flatten(2).transpose(1, 2)


def join_patches(patches: Float[Tensor, "N n patch"], patch: int) -> Float[Tensor, "N 3 H W"]:
    """The inverse of `cut_patches` for square images."""
    side = round(patches.shape[1] ** 0.5)
    return functional.pixel_shuffle(patches.transpose(1, 2).reshape(len(patches), -1, side, side), patch)


def patch_pyramid(
    images: Float[Tensor, "N 3 H W"], patch: int, levels: int
) -> Float[Tensor, "N tokens patch"]:
    """The patches of the image, of its 2 x 2 mean, of the mean of that, and so on."""
    parts = []
    for _ in range(levels):
        parts.append(cut_patches(images, patch))
        images = functional.avg_pool2d(images, 2)
    return torch.cat(parts, dim=1)


def mean_pooled(finest: Float[Tensor, "N n C"], grid: Grid) -> Levels:
    """The cascade: every coarser level is the 2 x 2 mean of the level before, and carries no gradient."""
    levels = [finest]
    latents = finest.detach().transpose(1, 2).reshape(len(finest), -1, grid.side, grid.side)
    for _ in range(grid.levels - 1):
        latents = functional.avg_pool2d(latents, 2)
        levels.append(latents.flatten(2).transpose(1, 2))
    return levels


class Encoder(nn.Module):
    """Patches of all levels to latents in (-1, 1)."""

    def __init__(self, size: TransformerSize, config: AutoencoderConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(size.width, size.heads) for _ in range(size.depth))
        self.level_embedding = nn.Embedding(config.levels, size.width)
        self.patchify = nn.Linear(3 * config.patch**2, size.width)
        self.bottleneck = nn.Linear(size.width, config.channels)
        self.address: Tensor
        self.register_buffer("address", config.grid.frame_addresses(), persistent=False)

    def forward(self, patches: Float[Tensor, "N tokens patch"]) -> Float[Tensor, "N tokens C"]:
        """Encode; there is no final norm."""
        x = self.patchify(patches) + image_position_features(self.address, self.patchify.out_features)
        x = x + self.level_embedding(self.address[:, LEVEL])
        for block in self.blocks:
            x = block(x)
        return torch.tanh(self.bottleneck(x))


class Decoder(nn.Module):
    """The latents of one level (zeros elsewhere) to the patches of all levels.

    One table of level embeddings serves twice: added to every token, and, row k, as the condition of the
    image.
    """

    def __init__(self, size: TransformerSize, config: AutoencoderConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AdaLNZeroBlock(size.width, size.heads) for _ in range(size.depth))
        self.level_embedding = nn.Embedding(config.levels, size.width)
        self.unpatchify = nn.Linear(size.width, 3 * config.patch**2)
        self.unbottleneck = nn.Linear(config.channels, size.width)
        self.address: Tensor
        self.register_buffer("address", config.grid.frame_addresses(), persistent=False)

    def forward(
        self, latents: Float[Tensor, "N tokens C"], level: Int64[Tensor, " N"]
    ) -> Float[Tensor, "N tokens patch"]:
        """Decode frame i from its level `level[i]`; there is no final norm and no clamping."""
        kept = self.address[:, LEVEL] == level[:, None]
        x = self.unbottleneck(latents * kept[..., None])
        x = x + image_position_features(self.address, x.shape[-1])
        x = x + self.level_embedding(self.address[:, LEVEL])
        for block in self.blocks:
            x = block(x, self.level_embedding.weight, level[:, None])
        out: Tensor = self.unpatchify(x)
        return out


class Autoencoder(nn.Module):
    """Frames in [0, 1] to latents of all levels, and any one level back to frames."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        size = SIZES[config.size]
        self.encoder = Encoder(size, config)
        self.decoder = Decoder(size, config)

    @property
    def grid(self) -> Grid:
        """The latent grid of one frame."""
        return self.config.grid

    def encode(self, images: Float[Tensor, "N 3 H W"]) -> Levels:
        """The latents of every level."""
        patches = patch_pyramid(images, self.config.patch, self.config.levels)
        levels = list(self.encoder(patches).split(self.grid.tokens_per_level, dim=1))
        return mean_pooled(levels[0], self.grid) if self.config.cascaded else levels

    def decode_patches(self, levels: Levels, level: Int64[Tensor, " N"]) -> Float[Tensor, "N tokens patch"]:
        """The patches of all levels, decoded from level `level[i]` of frame i."""
        out: Tensor = self.decoder(torch.cat(levels, dim=1), level)
        return out

    def decode(self, latents: Float[Tensor, "N n C"], level: int) -> Float[Tensor, "N 3 H W"]:
        """Full-resolution frames from the latents of one level, not clamped."""
        batch = len(latents)
        levels = [latents.new_zeros(batch, n, self.config.channels) for n in self.grid.tokens_per_level]
        levels[level] = latents
        chosen = torch.full((batch,), level, device=latents.device)
        patches = self.decode_patches(levels, chosen)
        return join_patches(patches[:, : self.grid.tokens_at(0)], self.config.patch)
