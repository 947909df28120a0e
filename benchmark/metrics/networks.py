"""Helpers for metrics with pretrained networks: frames as tensors, and batches of bounded size."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def prepare(model: Any, device: torch.device) -> Any:
    """Prepare a network for inference on a device."""
    return model.to(device).eval()


def unit_frames(
    frames: UInt8[np.ndarray, "*batch H W 3"], device: torch.device
) -> Float[Tensor, "*batch 3 H W"]:
    """Convert frames to [0, 1], channels first."""
    levels = torch.from_numpy(np.ascontiguousarray(frames)).to(device)
    return levels.movedim(-1, -3).float() / 255.0


def in_batches(
    function: Callable[..., Tensor], *arrays: UInt8[np.ndarray, "N ..."], size: int
) -> Float[np.ndarray, "N ..."]:
    """Apply `function` to `size` items at a time, so that memory use does not grow with N."""
    with torch.inference_mode():
        parts = [
            function(*(array[start : start + size] for array in arrays)).float().cpu()
            for start in range(0, len(arrays[0]), size)
        ]
    return torch.cat(parts).numpy()
