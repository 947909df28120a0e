"""A rollout plan: which tokens a network reads, and which it denoises, in every step of a chunk.

A plan covers one chunk of frames and is repeated, shifted by `width`, until the horizon is full. Every step
is an integer matrix (level, frame) of UNSEEN, CONTEXT and DENOISED.
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
    """The steps of one chunk, in order, and the sampling group of each (training draws all groups equally).

    A plan is checked once, when it is made: every finest token is denoised exactly once, and every context
    token is given or was denoised before.
    """

    steps: Int8[np.ndarray, "steps levels frames"]
    groups: tuple[int, ...]

    def __post_init__(self) -> None:
        check_order(self)

    @property
    def num_levels(self) -> int:
        """Levels that the plan uses, from the finest."""
        return int(self.steps.shape[1])

    @property
    def num_frames(self) -> int:
        """Frames of a chunk, context included."""
        return int(self.steps.shape[2])

    @cached_property
    def denoising_start(self) -> int:
        """The first frame of a chunk that is denoised: how many context frames the plan needs."""
        return int(np.flatnonzero((self.steps == DENOISED).any((0, 1)))[0])

    @cached_property
    def num_drafts(self) -> int:
        """Frames at the end of a chunk that are denoised at coarse levels only, and again by later chunks."""
        return self.num_frames - 1 - int(np.flatnonzero((self.steps[:, 0] == DENOISED).any(0))[-1])

    @property
    def width(self) -> int:
        """Frames that a chunk finishes."""
        return self.num_frames - self.denoising_start - self.num_drafts

    def num_chunks(self, num_frames: int) -> int:
        """Chunks that finish at least `num_frames` frames."""
        return -(-num_frames // self.width)

    def num_chunks_within(self, num_frames: int) -> int:
        """Chunks that touch, drafts included, at most `num_frames` frames."""
        return (num_frames - self.num_drafts) // self.width

    def num_tokens(self, grid: Grid) -> Int64[np.ndarray, " steps"]:
        """Tokens of every step."""
        per_level = np.array(grid.tokens_per_level[: self.num_levels])
        tokens: Int64[np.ndarray, " steps"] = (self.steps != UNSEEN).sum(2) @ per_level
        return tokens

    def step_cdf(self) -> Float64[np.ndarray, " steps"]:
        """The distribution from which training draws a step: groups, then steps within, equally likely."""
        sizes = {group: self.groups.count(group) for group in self.groups}
        return np.cumsum([1 / len(sizes) / sizes[group] for group in self.groups])


def check_order(plan: Plan) -> None:
    """Play two chunks; refuse gaps, finest tokens denoised twice, and context that is not there yet."""
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
