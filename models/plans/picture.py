"""Draws a plan as in figures 2, 10 and 11 of the paper: a band per step, line per level, column per frame."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from models.plans.plan import CONTEXT, DENOISED, UNSEEN, Plan

COLORS = {UNSEEN: (238, 238, 238), CONTEXT: (92, 128, 188), DENOISED: (232, 142, 64)}
NAMES = {UNSEEN: "unseen", CONTEXT: "context", DENOISED: "denoised"}
GAP = (255, 255, 255)


def plan_pixels(plan: Plan, max_steps: int) -> UInt8[np.ndarray, "lines frames 3"]:
    """Return one pixel per (step, level, frame), coarse levels on top, with a white line between steps."""
    palette = np.array([*COLORS.values(), GAP], np.uint8)
    steps = plan.steps[:max_steps, ::-1]
    banded = np.pad(steps, ((0, 0), (0, 1), (0, 0)), constant_values=len(COLORS))
    pixels: UInt8[np.ndarray, "lines frames 3"] = palette[banded.reshape(-1, plan.num_frames)]
    return pixels[:-1]


def draw_plan(plan: Plan, out: Path, *, title: str, max_steps: int = 85) -> None:
    """Draw the first `max_steps` steps of a chunk and save the picture."""
    pixels = plan_pixels(plan, max_steps)
    num_steps = min(max_steps, len(plan.steps))
    figure = Figure(figsize=(9, min(11.0, 2.2 + 0.12 * len(pixels))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    first = -plan.denoising_start - 0.5
    axes.imshow(
        pixels,
        aspect="auto",
        interpolation="nearest",
        extent=(first, first + plan.num_frames, num_steps + 0.5, 0.5),
    )
    axes.axvline(-0.5, color="black", linewidth=0.8)
    axes.axvline(plan.width - 0.5, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel("frame, counted from the first generated one (dashed: start of the next chunk)")
    axes.set_ylabel("step (coarsest level on top)")
    more = f" (the first {num_steps} of {len(plan.steps)} steps)" if num_steps < len(plan.steps) else ""
    axes.set_title(title + more)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    handles = [Patch(color=f"#{bytes(color).hex()}", label=NAMES[role]) for role, color in COLORS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.savefig(out, dpi=110)
