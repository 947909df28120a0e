"""Eight-bit weights: each row of a matrix is stored as integers from -127 to 127 with its own scale.

A weight changes by at most 1 / 254 of the largest weight in its row. Computation is unaffected, as matrices
are read back as float32. Vectors (biases, gains) are few and stay in float16.
"""

import torch
from jaxtyping import Shaped
from torch import Tensor

SCALE = "::scale"
"""Suffix that turns a matrix's name into the name of its scales."""
LARGEST = 127


def to_int8(weights: dict[str, Shaped[Tensor, "..."]]) -> dict[str, Shaped[Tensor, "..."]]:
    """Quantise the weights for storage in a file."""
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
    """Restore the weights of a file; weights without scales are returned unchanged."""
    return {
        name: value.float() * stored[name + SCALE][:, None] if name + SCALE in stored else value
        for name, value in stored.items()
        if not name.endswith(SCALE)
    }
