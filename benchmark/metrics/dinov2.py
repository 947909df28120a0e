"""DINOv2 similarity: the cosine similarity of two frames' class tokens, ViT-L/14, as in the paper.

Frames are centre-cropped to whole patches (256 -> 252) and normalised with ImageNet's statistics.
"""

import math
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from benchmark.metrics.base import Frames, PairedFunction, PairedMetric, Resources
from benchmark.metrics.networks import in_batches, prepare, unit_frames

PATCH = 14
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

_BATCH = 16
_GRID_OFFSET = 0.1


def load_dinov2(resources: Resources) -> PairedFunction:
    """Load the metric with the bundle's network; 1 means the same direction."""
    folder = resources.network("dinov2")
    from transformers import Dinov2Model  # slow to import

    model = prepare(Dinov2Model.from_pretrained(folder, local_files_only=True), resources.device)
    trained_positions = model.embeddings.position_embeddings.detach().clone()

    def similarity(predicted: Frames, target: Frames) -> Tensor:
        inputs = crop_and_normalize(unit_frames(np.concatenate([predicted, target]), resources.device))
        rows, columns = inputs.shape[-2] // PATCH, inputs.shape[-1] // PATCH
        model.embeddings.interpolate_pos_encoding = lambda *arguments: resize_positions(
            trained_positions, rows, columns
        )
        first, second = model(inputs).pooler_output.chunk(2)
        return functional.cosine_similarity(first, second, dim=-1)

    return partial(in_batches, similarity, size=_BATCH)


def crop_and_normalize(frames: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 h w"]:
    """Centre-crop to the largest multiples of the patch and normalise with ImageNet's statistics."""
    height, width = (side // PATCH * PATCH for side in frames.shape[-2:])
    top, left = (frames.shape[-2] - height) // 2, (frames.shape[-1] - width) // 2
    mean, deviation = (frames.new_tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (frames[..., top : top + height, left : left + width] - mean) / deviation


def resize_positions(
    positions: Float[Tensor, "1 1+G*G D"], rows: int, columns: int
) -> Float[Tensor, "1 1+R*C D"]:
    """Resample position embeddings to another grid as the original code does.

    It uses the scale (rows + 0.1) / G, with 0.1 against rounding. transformers uses rows / G, which shifts
    the embeddings and thus the class token.
    """
    side = math.isqrt(positions.shape[1] - 1)
    grid = positions[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if (rows, columns) != (side, side):
        scale = ((rows + _GRID_OFFSET) / side, (columns + _GRID_OFFSET) / side)
        grid = functional.interpolate(grid, scale_factor=scale, mode="bicubic")
    return torch.cat([positions[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


DINOV2 = PairedMetric(
    name="dinov2",
    version=1,
    title="DINOv2",
    higher_is_better=True,
    decimals=4,
    networks=("dinov2",),
    load=load_dinov2,
    smallest_side=PATCH,
)
