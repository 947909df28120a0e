"""Asynchronous copies from CPU memory to a device."""

import torch
from jaxtyping import Shaped
from torch import Tensor


def send(values: Shaped[Tensor, "*shape"], device: torch.device) -> Shaped[Tensor, "*shape"]:
    """Copy values to the device; on a GPU the copy is queued after earlier work and the CPU does not wait."""
    if device.type != "cuda" or values.is_cuda:
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
