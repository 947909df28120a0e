"""What a network makes of its data, drawn while it trains."""

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
"""Frames in a row."""
SMALLEST_TILE = 64
"""Frames of fewer pixels a side are enlarged by a whole factor to at least this."""


Frames = Mapping[str, Float[Tensor, "N 3 H W"]]
"""Frames in [0, 1], a row a name."""


def save_picture(path: Path, frames: Frames) -> None:
    """Write rows of frames, clipped, as a PNG; raises `ImportError` where Pillow or OpenCV is missing."""
    from loopcraft.drawing.canvas import enlarged  # machines that only train have no OpenCV and no Pillow
    from loopcraft.drawing.grid import Row, draw_rows

    rows = []
    for name, row in frames.items():
        pixels = (row.float().clamp(0, 1) * 255).round().byte().movedim(1, -1)
        rows.append(Row(label=name, frames=list(pixels.cpu().numpy())))
    draw_rows(rows, tile=enlarged(rows[0].frames[0].shape[0], SMALLEST_TILE)).save(path)


@torch.no_grad()
def reconstructions(network: Autoencoder, images: Float[Tensor, "N 3 H W"]) -> Frames:
    """The frames, and below them what each level gives back."""
    levels = network.encode(images)
    given_back = {f"level {level}": network.decode(latents, level) for level, latents in enumerate(levels)}
    return {"truth": images, **given_back}


@torch.no_grad()
def rollout(
    video: VideoConfig,
    network: VideoNetwork,
    codec: FrameCodec,
    sampling: Sampling,
    latents: Float[Tensor, "T tokens C"],
    actions: Int64[Tensor, " T"],
) -> Frames:
    """True frames, decoded, above those generated from the same context; evenly spread over the horizon."""
    whole = codec.autoencoder.grid
    grid = whole.coarser(video.space.finest)
    sampler = video.sampler(network, whole, sampling)
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
