"""Pictures of a network's output, drawn during training."""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.latents.codec import FrameCodec
from models.networks.autoencoder import Autoencoder
from models.sampling.diffusion import Sampling
from models.sampling.token_sampler import keyed_noise
from models.zoo.configs import VideoConfig, VideoNetwork

COLUMNS = 8
"""Number of frames in a row."""
SMALLEST_TILE = 64
"""Smaller frames are enlarged by an integer factor to at least this many pixels a side."""

Frames = Mapping[str, Float[Tensor, "N 3 H W"]]
"""Rows of frames in [0, 1] by name."""


def save_picture(path: Path, frames: Frames) -> None:
    """Write rows of frames, clipped, as a PNG; raise `ImportError` if Pillow or OpenCV is missing."""
    from loopcraft.drawing.canvas import enlarged  # training alone needs neither OpenCV nor Pillow
    from loopcraft.drawing.grid import Row, draw_rows

    rows = []
    for name, row in frames.items():
        pixels = (row.float().clamp(0, 1) * 255).round().byte().movedim(1, -1)
        rows.append(Row(label=name, frames=list(pixels.cpu().numpy())))
    draw_rows(rows, tile=enlarged(rows[0].frames[0].shape[0], SMALLEST_TILE)).save(path)


@torch.no_grad()
def reconstructions(network: Autoencoder, images: Float[Tensor, "N 3 H W"]) -> Frames:
    """Return the frames and, below them, their reconstruction from each level."""
    levels = enumerate(network.encode(images))
    decoded = {f"level {level}": network.decode(latents, level) for level, latents in levels}
    return {"truth": images, **decoded}


@torch.no_grad()
def rollout(
    video: VideoConfig,
    network: VideoNetwork,
    codec: FrameCodec,
    sampling: Sampling,
    latents: Float[Tensor, "T tokens C"],
    actions: Int64[Tensor, " T"],
) -> Frames:
    """Return true frames, decoded, and below them generated ones, spread evenly over the horizon."""
    full_grid = codec.autoencoder.grid
    grid = full_grid.coarser(video.space.finest)
    sampler = video.sampler(network, full_grid, sampling)
    levels = [part[None] for part in torch.split(latents.float(), grid.tokens_per_level, dim=1)]
    actions = actions[: sampler.num_context + sampler.num_future(COLUMNS)]
    context = [level[:, : sampler.num_context] for level in levels]
    finest = [
        part.latents[0]
        for part in sampler.rollout(context, actions[None], keyed_noise([0]))
        if part.level == 0
    ]
    generated = torch.cat(finest)
    shown = torch.linspace(0, len(generated) - 1, COLUMNS).long()
    decoded = {"truth": levels[0][0, sampler.num_context :][shown], "generated": generated[shown]}
    return {name: codec.decode(part[None])[0] for name, part in decoded.items()}
