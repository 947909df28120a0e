"""A rollout plan: the tokens that a network reads and denoises in every step of a chunk.

A plan covers one chunk of frames and is repeated, shifted by `width`, until the horizon is complete. Every
step is an integer matrix (level, frame) of UNSEEN, CONTEXT and DENOISED.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int8, Int64

from loopcraft.core.errors import UserError
from models.networks.tokens import Grid

UNSEEN, CONTEXT, DENOISED = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """The steps of one chunk in order, each with a sampling group (training draws groups equally often).

    Construction checks that every finest token is denoised exactly once, and that every context token is
    given or was denoised before.
    """

    steps: Int8[np.ndarray, "steps levels frames"]
    groups: tuple[int, ...]

    def __post_init__(self) -> None:
        check_order(self)

    @property
    def num_levels(self) -> int:
        """Number of levels that the plan uses, counted from the finest."""
        return int(self.steps.shape[1])

    @property
    def num_frames(self) -> int:
        """Number of frames of a chunk, context included."""
        return int(self.steps.shape[2])

    @cached_property
    def denoising_start(self) -> int:
        """First frame of a chunk that is denoised, which is the number of context frames."""
        return int(np.flatnonzero((self.steps == DENOISED).any((0, 1)))[0])

    @cached_property
    def num_drafts(self) -> int:
        """Number of final frames denoised only at coarse levels, and denoised again by later chunks."""
        return self.num_frames - 1 - int(np.flatnonzero((self.steps[:, 0] == DENOISED).any(0))[-1])

    @property
    def width(self) -> int:
        """Number of frames that a chunk finishes."""
        return self.num_frames - self.denoising_start - self.num_drafts

    def num_chunks(self, num_frames: int) -> int:
        """Return how many chunks it takes to finish `num_frames` frames."""
        return -(-num_frames // self.width)

    def num_chunks_within(self, num_frames: int) -> int:
        """Return how many chunks, drafts included, fit into `num_frames` frames."""
        return (num_frames - self.num_drafts) // self.width

    def num_tokens(self, grid: Grid) -> Int64[np.ndarray, " steps"]:
        """Return the number of tokens of every step."""
        per_level = np.array(grid.tokens_per_level[: self.num_levels])
        tokens: Int64[np.ndarray, " steps"] = (self.steps != UNSEEN).sum(2) @ per_level
        return tokens

    def step_cdf(self) -> Float64[np.ndarray, " steps"]:
        """Return the CDF from which training draws a step: uniform over groups, then over a group's steps."""
        sizes = {group: self.groups.count(group) for group in self.groups}
        return np.cumsum([1 / len(sizes) / sizes[group] for group in self.groups])


def check_order(plan: Plan) -> None:
    """Simulate two chunks; raise `UserError` for gaps, finest tokens denoised twice and missing context."""
    width, start = plan.width, plan.denoising_start
    known = np.zeros((plan.num_levels, plan.num_frames + width), bool)
    known[:, :start] = True
    written = np.zeros(plan.num_frames + width, int)
    for first, (index, step) in itertools.product((0, width), enumerate(plan.steps)):
        window = known[:, first : first + plan.num_frames]
        if (missing := np.argwhere((step == CONTEXT) & ~window)).size:
            level, frame = missing[0]
            raise UserError(f"step {index} reads frame {frame} of level {level} before it is denoised")
        window |= step == DENOISED
        written[first : first + plan.num_frames] += step[0] == DENOISED
    finished = written[start : start + 2 * width]
    if (finished != 1).any():
        frame = int(np.flatnonzero(finished != 1)[0])
        raise UserError(f"level 0 of frame {start + frame} is denoised {finished[frame]} times, not once")
