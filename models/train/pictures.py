"""What a network makes of its data, as PNG files; written with the standard library alone."""

import struct
import zlib
from pathlib import Path

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from loopcraft.core.files import whole_file
from models.latents.codec import FrameCodec
from models.networks.autoencoder import Autoencoder
from models.sampling.diffusion import Sampling
from models.sampling.token_sampler import keyed_noise
from models.zoo.configs import VideoConfig, VideoNetwork

COLUMNS = 8
"""Frames in a row."""


def write_png(path: Path, image: UInt8[Tensor, "H W 3"]) -> None:
    """Write an RGB picture."""
    height, width, _ = image.shape
    rows = torch.cat([torch.zeros(height, 1, dtype=torch.uint8), image.reshape(height, -1).cpu()], dim=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.numpy().tobytes())), (b"IEND", b"")]
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in parts:
            file.write(
                struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            )


def tile(rows: list[Float[Tensor, "N 3 H W"]]) -> UInt8[Tensor, "height width 3"]:
    """Rows of frames in [0, 1] (clipped) as one picture."""
    lines = [torch.cat(list(row.float().cpu()), dim=2) for row in rows]
    return (torch.cat(lines, dim=1).clamp(0, 1) * 255).round().byte().movedim(0, -1)


@torch.no_grad()
def reconstructions(
    network: Autoencoder, images: Float[Tensor, "N 3 H W"]
) -> UInt8[Tensor, "height width 3"]:
    """The frames, and below them what each level gives back."""
    levels = network.encode(images)
    return tile([images, *(network.decode(latents, level) for level, latents in enumerate(levels))])


@torch.no_grad()
def rollout(
    video: VideoConfig,
    network: VideoNetwork,
    codec: FrameCodec,
    sampling: Sampling,
    latents: Float[Tensor, "T tokens C"],
    actions: Int64[Tensor, " T"],
) -> UInt8[Tensor, "height width 3"]:
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
    true = levels[0][0, sampler.num_context :][shown]
    return tile([codec.decode(part[None])[0] for part in (true, generated[shown])])
