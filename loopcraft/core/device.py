"""Which device of torch a command computes on."""

import torch

from loopcraft.core.errors import UserError


def find_device(name: str) -> torch.device:
    """cpu, cuda, cuda:1 ...; raises `UserError` where torch has no such device."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device {name}: no device of that name; use cpu, cuda or cuda:1") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: torch sees no CUDA GPU here; use --device cpu")
    return device
