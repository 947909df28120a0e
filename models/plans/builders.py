"""Builders of the paper's plans: MilliVid, FramePack, full-resolution rollout and the ablations.

`python -m models.plans NAME --out PNG` draws a plan.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int8

from loopcraft.core.errors import UserError
from models.networks.tokens import Grid
from models.plans.plan import CONTEXT, DENOISED, UNSEEN, Plan


def full_resolution(num_frames: int) -> Plan:
    """Build full-resolution rollout: a single level; the older half of the window is context."""
    step = np.full((1, 1, num_frames), DENOISED, np.int8)
    step[..., : num_frames // 2] = CONTEXT
    return Plan(steps=step, groups=(0,))


def _coarse_to_fine_context(step: Int8[np.ndarray, "levels frames"], frames: Sequence[int]) -> int:
    """Mark context frames, the oldest at the coarsest level, each at one level; return their end frame."""
    first = 0
    for level in reversed(range(len(frames))):
        step[level, first : first + frames[level]] = CONTEXT
        first += frames[level]
    return first


def framepack(context: Sequence[int], denoised: int) -> Plan:
    """Build FramePack in latent space: older context is coarser; new frames are denoised at all levels."""
    step = np.full((len(context), sum(context) + denoised), UNSEEN, np.int8)
    step[:, _coarse_to_fine_context(step, context) :] = DENOISED
    return Plan(steps=step[None], groups=(0,))


def framepack_mirrored(context: Sequence[int], denoised: Sequence[int]) -> Plan:
    """Build FramePack with ever coarser drafts of later frames, which later chunks denoise again."""
    step = np.full((len(context), sum(context) + sum(denoised)), UNSEEN, np.int8)
    first = _coarse_to_fine_context(step, context)
    step[:, first : first + denoised[0]] = DENOISED
    for level, count in enumerate(denoised):
        step[level, first : first + count] = DENOISED
        first += count
    return Plan(steps=step[None], groups=(0,))


def millivid(windows: Sequence[int], extra_budget: int, tokens_at_0: int = 256, nested: bool = False) -> Plan:
    """Build MilliVid: denoise a long coarse window, then refine it in parts, depth first, down to level 0.

    `windows` are the window lengths in frames, finest level first; `extra_budget` tokens of older context per
    level give all steps the same size. In a `nested` plan (not in the paper), every frame that is read at one
    level is also read at all coarser levels.

    Raises `UserError` if a window does not divide the next one.
    """
    levels = len(windows)
    if any(coarse % fine for fine, coarse in itertools.pairwise(windows)):
        raise UserError(f"window lengths {list(windows)} must each divide the next, finest first")
    extra = [extra_budget // (tokens_at_0 // 4**level) for level in range(levels)]  # frames of older context
    num_frames = sum(windows) + extra[-1]
    start = [num_frames - windows[-1] - window for window in windows]  # first frame of each level's window
    steps, groups = [], []

    def visit(target: int) -> None:
        start[target] += windows[target]
        steps.append(_millivid_step(windows, extra, start, target, num_frames))
        groups.append(target)
        if target > 0:
            for _ in range(windows[target] // windows[target - 1]):
                visit(target - 1)

    visit(levels - 1)
    if nested:
        _nest(steps, [tokens_at_0 // 4**level for level in range(levels)])
    return Plan(steps=np.stack(steps), groups=tuple(groups))


def _nest(steps: list[Int8[np.ndarray, "levels frames"]], tokens_per_level: Sequence[int]) -> None:
    """Add, in place, coarser copies of all tokens, and older context until all steps have the same size.

    A network then sees past and future at the same levels and need not learn to translate between levels.
    """
    for step in steps:
        for finer, coarser in itertools.pairwise(step):
            coarser[(finer != UNSEEN) & (coarser == UNSEEN)] = CONTEXT
    tokens = [int((step != UNSEEN).sum(1) @ tokens_per_level) for step in steps]
    for step, count in zip(steps, tokens, strict=True):
        oldest = int(np.flatnonzero(step[-1])[0])
        step[-1, max(0, oldest - (max(tokens) - count) // tokens_per_level[-1]) : oldest] = CONTEXT


def _millivid_step(
    windows: Sequence[int], extra: Sequence[int], start: Sequence[int], target: int, num_frames: int
) -> Int8[np.ndarray, "levels frames"]:
    """Build one step: the target level's window is denoised, with context that gets coarser with distance.

    Frames [left, right) are already covered at finer levels. The part of a coarser window that overlaps them
    is replaced by the same number of older frames.
    """
    step = np.full((len(windows), num_frames), UNSEEN, np.int8)
    left = right = start[0]
    for level, window in enumerate(windows):
        end = start[level] + window
        if level == target:
            step[level, start[level] : end] = DENOISED
            older = extra[level]
        else:
            later = max(0, end - max(right, start[level]))
            step[level, right : right + later] = CONTEXT
            right += later
            older = window - later
        step[level, left - older : left] = CONTEXT
        left -= older
    return step


def rollout_upscale(base_frames: int, num_levels: int) -> Plan:
    """Build a rollout of each level in half-overlapping windows, given the next coarser level as context."""
    widths = [base_frames * 4**level for level in range(num_levels)]
    widths[-1] = widths[-1] * 9 // 8
    total = widths[-1] * 3 // 2
    windows = [
        (level, first, first + widths[level] // 2, first + widths[level])
        for level in reversed(range(num_levels))
        for first in range((widths[-1] - widths[level]) // 2, total - widths[level] + 1, widths[level] // 2)
    ]
    return _window_plan(windows, num_levels, total)


def upscale(base_frames: int, num_levels: int) -> Plan:
    """Build a rollout of the coarsest level; each finer level is upscaled from the next coarser, in parts."""
    widths = [base_frames * 4**level for level in range(num_levels)]
    widths[-1] = widths[-1] * 5 // 4
    total = widths[-1] * 3 // 2
    windows = [
        (num_levels - 1, first, first + widths[-1] // 2, first + widths[-1])
        for first in range(0, total - widths[-1] + 1, widths[-1] // 2)
    ] + [
        (level, first, first, first + widths[level])
        for level in reversed(range(num_levels - 1))
        for first in range(widths[-1] // 2, total - widths[level] + 1, widths[level])
    ]
    return _window_plan(windows, num_levels, total)


def _window_plan(windows: Sequence[tuple[int, int, int, int]], num_levels: int, num_frames: int) -> Plan:
    """Make a step per window (level, first, middle, end): context up to the middle, then denoised frames."""
    steps = np.full((len(windows), num_levels, num_frames), UNSEEN, np.int8)
    for step, (level, first, middle, end) in zip(steps, windows, strict=True):
        step[level, first:middle] = CONTEXT
        step[level, middle:end] = DENOISED
        if level + 1 < num_levels:
            step[level + 1, middle:end] = CONTEXT
    return Plan(steps=steps, groups=tuple(level for level, *_ in windows))


BUILDERS: dict[str, Callable[..., Plan]] = {
    "millivid": millivid,
    "framepack": framepack,
    "framepack-mirrored": framepack_mirrored,
    "full-resolution": full_resolution,
    "rollout-upscale": rollout_upscale,
    "upscale": upscale,
}


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """A plan as data: its kind and the arguments of its builder."""

    kind: str
    arguments: Mapping[str, Any]

    def build(self, grid: Grid) -> Plan:
        """Build the plan for latents of this shape."""
        tokens = {"tokens_at_0": grid.tokens_at(0)} if self.kind == "millivid" else {}
        return BUILDERS[self.kind](**self.arguments, **tokens)


def plan_config(kind: str, **arguments: Any) -> PlanConfig:
    """Make a `PlanConfig` from keyword arguments."""
    return PlanConfig(kind=kind, arguments=arguments)


NAMED_PLANS = {
    "millivid": plan_config("millivid", windows=[3, 12, 48, 192], extra_budget=768),
    "millivid-ablation": plan_config("millivid", windows=[1, 4, 16, 64], extra_budget=256),
    "millivid-3-level": plan_config("millivid", windows=[1, 4, 16], extra_budget=256),
    "millivid-nested": plan_config("millivid", windows=[1, 4, 16], extra_budget=256, nested=True),
    "framepack": plan_config("framepack", context=[3, 12, 48, 192], denoised=3),
    "framepack-ablation": plan_config("framepack", context=[1, 4, 16, 64], denoised=1),
    "framepack-mirrored": plan_config("framepack-mirrored", context=[1, 2, 8, 32], denoised=[1, 2, 8, 32]),
    "full-resolution": plan_config("full-resolution", num_frames=14),
    "full-resolution-ablation": plan_config("full-resolution", num_frames=4),
    "rollout-upscale": plan_config("rollout-upscale", base_frames=4, num_levels=4),
    "upscale": plan_config("upscale", base_frames=4, num_levels=4),
}
"""The paper's plans and a nested one, by the names that `python -m models.plans` accepts."""
