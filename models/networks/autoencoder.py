"""The hierarchical autoencoder: encodes a frame as four grids of tokens, each of which decodes to the frame.

The encoder reads all levels of the frame's image pyramid as one sequence, so tokens attend across levels. The
decoder receives the tokens of a single level and the index of that level.
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
"""The latents of N frames, finest level first; the number of tokens differs between levels."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """The shape of an autoencoder; the defaults are the published model's."""

    frame_size: int = 256
    """Height and width of a frame in pixels."""
    patch: int = 16
    """Side of a patch in pixels, at every level."""
    levels: int = 4
    channels: int = 32
    size: str = "B"
    cascaded: bool = False
    """Replace the encoder's coarse levels with 2 x 2 means of the next finer latents (an ablation)."""

    @property
    def grid(self) -> Grid:
        """The latent grid of one frame."""
        return Grid(side=self.frame_size // self.patch, levels=self.levels, channels=self.channels)


def cut_patches(images: Float[Tensor, "N 3 H W"], patch: int) -> Float[Tensor, "N n patch"]:
    """Cut images into patches in raster order, each flattened as (channel, row, column)."""
    return functional.pixel_unshuffle(images, patch).flatten(2).transpose(1, 2)


def join_patches(patches: Float[Tensor, "N n patch"], patch: int) -> Float[Tensor, "N 3 H W"]:
    """Invert `cut_patches` for square images."""
    side = round(patches.shape[1] ** 0.5)
    return functional.pixel_shuffle(patches.transpose(1, 2).reshape(len(patches), -1, side, side), patch)


def patch_pyramid(
    images: Float[Tensor, "N 3 H W"], patch: int, levels: int
) -> Float[Tensor, "N tokens patch"]:
    """Return the patches of the image and of its successive 2 x 2 mean poolings, finest level first."""
    parts = []
    for _ in range(levels):
        parts.append(cut_patches(images, patch))
        images = functional.avg_pool2d(images, 2)
    return torch.cat(parts, dim=1)


def mean_pool(finest: Float[Tensor, "N n C"], grid: Grid) -> Levels:
    """Build the cascaded levels: each coarser level is the 2 x 2 mean of the next finer, without gradient."""
    levels = [finest]
    latents = finest.detach().transpose(1, 2).reshape(len(finest), -1, grid.side, grid.side)
    for _ in range(grid.levels - 1):
        latents = functional.avg_pool2d(latents, 2)
        levels.append(latents.flatten(2).transpose(1, 2))
    return levels


class Encoder(nn.Module):
    """A ViT that maps the patches of all levels to latents in (-1, 1)."""

    def __init__(self, size: TransformerSize, config: AutoencoderConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(size.width, size.heads) for _ in range(size.depth))
        self.level_embedding = nn.Embedding(config.levels, size.width)
        self.patchify = nn.Linear(3 * config.patch**2, size.width)
        self.bottleneck = nn.Linear(size.width, config.channels)
        self.address: Tensor
        self.register_buffer("address", config.grid.frame_addresses(), persistent=False)

    def forward(self, patches: Float[Tensor, "N tokens patch"]) -> Float[Tensor, "N tokens C"]:
        """Encode all patches of N frames; as published, there is no final norm."""
        x = self.patchify(patches) + image_position_features(self.address, self.patchify.out_features)
        x = x + self.level_embedding(self.address[:, LEVEL])
        for block in self.blocks:
            x = block(x)
        return torch.tanh(self.bottleneck(x))


class Decoder(nn.Module):
    """A ViT that maps the latents of one level, with zeros at the others, to the patches of all levels.

    The level embedding table has two uses: each token adds the row of its own level, and the row of the
    decoded level is the condition of the adaLN-zero blocks.
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
        """Decode frame i from its level `level[i]`; as published, without final norm or clamping."""
        is_input = self.address[:, LEVEL] == level[:, None]
        x = self.unbottleneck(latents * is_input[..., None])
        x = x + image_position_features(self.address, x.shape[-1])
        x = x + self.level_embedding(self.address[:, LEVEL])
        for block in self.blocks:
            x = block(x, self.level_embedding.weight, level[:, None])
        out: Tensor = self.unpatchify(x)
        return out


class Autoencoder(nn.Module):
    """Encodes frames in [0, 1] to latents of all levels; decodes frames from any single level."""

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
        """Return the latents of every level."""
        patches = patch_pyramid(images, self.config.patch, self.config.levels)
        levels = list(self.encoder(patches).split(self.grid.tokens_per_level, dim=1))
        return mean_pool(levels[0], self.grid) if self.config.cascaded else levels

    def decode_patches(self, levels: Levels, level: Int64[Tensor, " N"]) -> Float[Tensor, "N tokens patch"]:
        """Decode the patches of all levels, for frame i from level `level[i]`."""
        out: Tensor = self.decoder(torch.cat(levels, dim=1), level)
        return out

    def decode(self, latents: Float[Tensor, "N n C"], level: int) -> Float[Tensor, "N 3 H W"]:
        """Decode full-resolution frames, not clamped, from the latents of one level."""
        batch = len(latents)
        levels = [latents.new_zeros(batch, n, self.config.channels) for n in self.grid.tokens_per_level]
        levels[level] = latents
        patches = self.decode_patches(levels, torch.full((batch,), level, device=latents.device))
        return join_patches(patches[:, : self.grid.tokens_at(0)], self.config.patch)
