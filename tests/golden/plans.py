"""Golden checks of plans (exact) and of the noise schedule."""

import numpy as np
import torch

from models.networks.tokens import Grid
from models.plans import builders as plans
from models.plans.plan import Plan
from models.sampling.diffusion import NoiseSchedule
from tests.golden.folder import Folder


def plan_from(strategy: dict, tokens_at_0: int) -> Plan:
    """The plan that a manifest describes."""
    match strategy["name"]:
        case "millivid":
            return plans.millivid(strategy["num_frames_per_level"], strategy["extra_budget"], tokens_at_0)
        case "framepack":
            return plans.framepack(strategy["num_context_frames"], strategy["num_denoised_frames"])
        case "framepack_mirrored":
            return plans.framepack_mirrored(strategy["num_context_frames"], strategy["num_denoised_frames"])
        case "baseline":
            return plans.full_resolution(strategy["num_frames"])
        case "rollout_upscale":
            return plans.rollout_upscale(strategy["base_num_frames"], strategy["num_levels"])
        case "upscale":
            return plans.upscale(strategy["base_num_frames"], strategy["num_levels"])
    raise ValueError(f"unknown strategy {strategy}")


def check_plans(folder: Folder) -> None:
    """Check steps, counts, the training distribution and the sequence of (step, window start)."""
    golden = folder.arrays("plans.npz")
    for name, expected in folder.json("plans.json").items():
        base = expected["base_num_tokens"]
        plan = plan_from(expected["cfg"], base)
        folder.equal(f"plan {name}: steps", plan.steps, golden[f"{name}/selections"])
        folder.equal(f"plan {name}: groups", list(plan.groups), [g or 0 for g in expected["sampling_groups"]])
        side = round(base**0.5)
        grid = Grid(side=side, levels=plan.num_levels)
        folder.equal(f"plan {name}: tokens", plan.num_tokens(grid), golden[f"{name}/num_tokens"])
        difference = np.abs(plan.step_cdf() - golden[f"{name}/cdf"]).max()
        folder.record(f"plan {name}: cdf", float(difference), 1e-12)
        numbers = {
            "chunk_num_frames": plan.num_frames,
            "chunk_denoising_start": plan.denoising_start,
            "num_clipped_frames": plan.num_drafts,
            "denoised_width": plan.width,
        }
        folder.equal(f"plan {name}: numbers", numbers, {key: expected[key] for key in numbers})
        for index, request in enumerate(expected["generate"]):
            check_sequence(
                folder, f"plan {name}: rollout {index}", plan, request, golden[f"{name}/sequence_{index}"]
            )


def check_sequence(folder: Folder, name: str, plan: Plan, request: dict, expected: np.ndarray) -> None:
    """Check the order of steps of a whole rollout, to an end or within a limit."""
    start = request["start"]
    if "end" in request:
        count = plan.num_chunks(request["end"] - start)
    else:
        count = plan.num_chunks_within(request["limit"] - start)
    starts = start - plan.denoising_start + plan.width * np.arange(count)
    sequence = [(step, first) for first in starts for step in range(len(plan.steps))]
    folder.equal(name, np.array(sequence), expected)
    end = start + count * plan.width
    folder.equal(f"{name}: ends", [end, end + plan.num_drafts], [request["video_end"], request["buffer_end"]])


def check_schedule(folder: Folder) -> None:
    """Check the log-SNR and the weights of signal and noise, in both precisions."""
    golden = folder.tensors("noise_schedule.npz")
    for shift in sorted(
        key.removeprefix("alpha_shift_") for key in golden if key.startswith("alpha") and "_f64" not in key
    ):
        schedule = NoiseSchedule(shift=float(shift))
        for suffix, time, tolerance in (("", golden["t"], 3e-7), ("_f64", golden["t"].double(), 1e-12)):
            alpha, sigma = schedule.alpha_sigma(time)
            folder.close(
                f"alpha, shift {shift}{suffix}", alpha, golden[f"alpha_shift_{shift}{suffix}"], tolerance
            )
            folder.close(
                f"sigma, shift {shift}{suffix}", sigma, golden[f"sigma_shift_{shift}{suffix}"], tolerance
            )
            log_snr = schedule.log_snr(time).to(time.dtype)
            folder.close(
                f"log SNR, shift {shift}{suffix}",
                log_snr,
                golden[f"log_snr_shift_{shift}{suffix}"],
                100 * tolerance,
            )
    times = torch.linspace(1, 0, 50)
    assert times[-1] == 0


CHECKS = [check_plans, check_schedule]
