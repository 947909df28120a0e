"""Training windows: the tokens of one plan step, cut out of clips of latents."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.networks.tokens import Grid
from models.plans.plan import UNSEEN, Plan


def choose_step(plan: Plan, uniform: float) -> int:
    """Map a uniform draw from [0, 1) to a step by the plan's distribution."""
    return min(int(np.searchsorted(plan.step_cdf(), uniform)), len(plan.steps) - 1)


class WindowTable:
    """The windows of all steps of a plan as index tables, so that a batch is cut by a single gather."""

    def __init__(self, plan: Plan, grid: Grid) -> None:
        num_tokens = int(plan.num_tokens(grid).max())
        shape = len(plan.steps), num_tokens
        self.address = torch.zeros(*shape, 4, dtype=torch.int64)
        self.token = torch.zeros(*shape, dtype=torch.int64)  # index among a frame's tokens of all levels
        self.roles = torch.full(shape, UNSEEN)
        first_token = np.cumsum([0, *grid.tokens_per_level])
        for step, roles in enumerate(plan.steps):
            frames_per_level = [torch.from_numpy(np.flatnonzero(row != UNSEEN)) for row in roles]
            address = torch.cat(
                [grid.addresses(frames, level) for level, frames in enumerate(frames_per_level)]
            )
            frame, level, row, column = address.unbind(1)
            self.address[step, : len(address)] = address
            start, side = torch.from_numpy(first_token)[level], grid.side >> level
            self.token[step, : len(address)] = start + row * side + column
            self.roles[step, : len(address)] = torch.from_numpy(roles).long()[level, frame]

    def cut(
        self,
        latents: Float[Tensor, "P T tokens C"],
        actions: Int64[Tensor, "P T"],
        video: Int64[Tensor, " B"],
        start: Int64[Tensor, " B"],
        step: Int64[Tensor, " B"],
    ) -> "WindowBatch":
        """Cut the tokens that each `step` reads or denoises out of the clip at `start` of `video`.

        Steps smaller than the plan's largest are padded at the end with zeros of role UNSEEN, as published.
        """
        self.address, self.token, self.roles = (
            table.to(step.device) for table in (self.address, self.token, self.roles)
        )
        address, roles = self.address[step], self.roles[step]
        index = (video[:, None].expand_as(roles), start[:, None] + address[..., 0])
        is_token = roles != UNSEEN
        return WindowBatch(
            tokens=latents[(*index, self.token[step])].float() * is_token[..., None],
            address=address,
            actions=actions[index] * is_token,
            roles=roles,
        )


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """Windows of several clips, level by level, with frames counted from the clip's start and action ids."""

    tokens: Float[Tensor, "B n C"]
    address: Int64[Tensor, "B n 4"]
    actions: Int64[Tensor, "B n"]
    roles: Int64[Tensor, "B n"]
