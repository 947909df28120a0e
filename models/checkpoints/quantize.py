"""Weights in eight bits: every row of a matrix as integers from -127 to 127 with a scale of its own.

A weight moves by at most 1 / 254 of the largest of its row. Networks compute as ever: files are read back as
float32. Vectors (biases, gains), which are few, stay in float16.
"""

import torch
from jaxtyping import Shaped
from torch import Tensor

SCALE = "::scale"
"""Added to a matrix's name, the name of its scales in a file."""
LARGEST = 127


def to_int8(weights: dict[str, Shaped[Tensor, "..."]]) -> dict[str, Shaped[Tensor, "..."]]:
    """The weights as a file holds them."""
    stored: dict[str, Tensor] = {}
    for name, value in weights.items():
        if value.ndim != 2:
            stored[name] = value.half()
            continue
        scale = value.float().abs().amax(dim=1) / LARGEST
        rounded = (value.float() / scale.clamp_min(torch.finfo(torch.float32).tiny)[:, None]).round()
        stored[name] = rounded.to(torch.int8)
        stored[name + SCALE] = scale
    return stored


def from_int8(stored: dict[str, Shaped[Tensor, "..."]]) -> dict[str, Shaped[Tensor, "..."]]:
    """The weights of a file; those that have no scales are handed on as they are."""
    return {
        name: value.float() * stored[name + SCALE][:, None] if name + SCALE in stored else value
        for name, value in stored.items()
        if not name.endswith(SCALE)
    }
