"""Copies from the processor's memory to a device that the processor does not wait for."""

import torch
from jaxtyping import Shaped
from torch import Tensor


def send(values: Shaped[Tensor, "*shape"], device: torch.device) -> Shaped[Tensor, "*shape"]:
    """The values on the device; a GPU gets them when it has done what was asked of it before."""
    if device.type != "cuda" or values.is_cuda:
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
