"""What training reads: the tokens of one plan step, cut out of clips of latents."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.networks.tokens import Grid
from models.plans.plan import UNSEEN, Plan


def choose_step(plan: Plan, uniform: float) -> int:
    """The step that a uniform draw from [0, 1) stands for, by the plan's distribution."""
    return min(int(np.searchsorted(plan.step_cdf(), uniform)), len(plan.steps) - 1)


class WindowTable:
    """The windows of all steps of a plan as index tables: a whole batch is cut by one gather."""

    def __init__(self, plan: Plan, grid: Grid) -> None:
        num_tokens = int(plan.num_tokens(grid).max())
        shape = len(plan.steps), num_tokens
        self.address = torch.zeros(*shape, 4, dtype=torch.int64)
        self.token = torch.zeros(*shape, dtype=torch.int64)  # place among a frame's tokens of all levels
        self.roles = torch.full(shape, UNSEEN)
        first_token = np.cumsum([0, *grid.tokens_per_level])
        for step, roles in enumerate(plan.steps):
            frames = [torch.from_numpy(np.flatnonzero(row != UNSEEN)) for row in roles]
            address = torch.cat([grid.addresses(seen, level) for level, seen in enumerate(frames)])
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
        """The tokens that each `step` reads or denoises in the clip that begins at `start` of `video`.

        Steps smaller than the plan's largest are padded at the end with zeros of role UNSEEN, as published.
        """
        self._follow(step.device)
        address, roles = self.address[step], self.roles[step]
        where = (video[:, None].expand_as(roles), start[:, None] + address[..., 0])
        seen = roles != UNSEEN
        return WindowBatch(
            tokens=latents[(*where, self.token[step])].float() * seen[..., None],
            address=address,
            actions=actions[where] * seen,
            roles=roles,
        )

    def _follow(self, device: torch.device) -> None:
        """Keep the tables where they are used."""
        self.address, self.token, self.roles = (
            table.to(device) for table in (self.address, self.token, self.roles)
        )


@dataclass(frozen=True, kw_only=True)
class WindowBatch:
    """Windows of several clips, level by level; frames count from the clip's start, each action is an id."""

    tokens: Float[Tensor, "B n C"]
    address: Int64[Tensor, "B n 4"]
    actions: Int64[Tensor, "B n"]
    roles: Int64[Tensor, "B n"]
