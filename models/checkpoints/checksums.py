"""The checksum of tensors, as the header of their file holds it."""

from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from loopcraft.core.checksums import arrays_sha256


def tensors_sha256(said: Any, tensors: dict[str, Shaped[Tensor, "..."]]) -> str:
    """The SHA-256 of contiguous tensors on the CPU, and of the JSON value `said` that stands beside them."""
    return arrays_sha256(
        said,
        {name: (str(value.dtype), value.shape, bytes_of(value)) for name, value in tensors.items()},
    )


def bytes_of(value: Shaped[Tensor, "..."]) -> memoryview:
    """A contiguous tensor's memory."""
    content: memoryview = value.reshape(-1).view(torch.uint8).numpy().data
    return content
