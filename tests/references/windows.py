"""A plain way to cut the window of one sample, as `models/train/data/windows.py` does for a whole batch."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from models.networks.tokens import Grid
from models.plans.plan import UNSEEN, Plan


@dataclass(frozen=True, kw_only=True)
class Window:
    """Tokens of one sample, level by level; frames count from the start of the chunk."""

    tokens: Float[Tensor, "n C"]
    address: Int64[Tensor, "n 4"]
    actions: Float[Tensor, "n 6"]
    roles: Int64[Tensor, " n"]


def cut_window(
    latents: list[Float[Tensor, "T _ C"]],
    actions: Float32[np.ndarray, "T 6"],
    plan: Plan,
    step: int,
    grid: Grid,
) -> Window:
    """Cut out the tokens that `step` of `plan` reads or denoises in a clip as long as a chunk.

    Steps smaller than the plan's largest are padded at the end with zeros of role UNSEEN, as published.
    """
    parts = []
    for level, roles in enumerate(plan.steps[step]):
        frames = torch.from_numpy(np.flatnonzero(roles != UNSEEN))
        address = grid.addresses(frames, level)
        frame = address[:, 0]
        role = torch.from_numpy(roles).long()[frame]
        parts.append((latents[level][frames].flatten(0, 1), address, torch.from_numpy(actions)[frame], role))
    missing = int(plan.num_tokens(grid).max()) - sum(len(part[0]) for part in parts)
    padded = (
        torch.nn.functional.pad(values, (0, 0) * (values.ndim - 1) + (0, missing))
        for values in (torch.cat(columns) for columns in zip(*parts, strict=True))
    )
    tokens, address, rows, role = padded
    return Window(tokens=tokens, address=address, actions=rows, roles=role)
