"""The torch device named by --device."""

import torch

from loopcraft.core.errors import UserError


def find_device(name: str) -> torch.device:
    """Return the torch device `name` (cpu, cuda, cuda:1, ...); raises `UserError` if torch has none."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device {name}: no such device; use cpu, cuda or cuda:1") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: torch finds no CUDA GPU; use --device cpu")
    return device
