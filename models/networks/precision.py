"""The precision of the networks: float32 or bfloat16 autocast."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch


def autocast(device: torch.device, bfloat16: bool) -> AbstractContextManager[object]:
    """Return the context in which networks run: bfloat16 autocast if requested, else the caller's own."""
    return torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()


Precision = Literal["auto", "float32", "bfloat16"]
"""auto: bfloat16 autocast on CUDA; elsewhere float32, unless the caller has set an autocast."""


def uses_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Return whether networks run under bfloat16 autocast on `device`."""
    return precision == "bfloat16" or (precision == "auto" and device.type == "cuda")
