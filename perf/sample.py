"""Measure how fast windows are denoised: `python -m perf.sample`, with `--device cuda` for a GPU.

On the CPU, both implementations denoise the same window with the same weights and noise, in turns, and must
agree to 1e-5. On CUDA, a few rollout steps at the paper's MilliVid setting are time_run and scaled up to the
whole rollout, and their FLOP rate is compared with the matrix-multiply ceiling measured in the same run.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, run
from loopcraft.core.errors import UserError
from models.networks.denoiser import TokenDenoiser
from models.networks.layers import SIZES, TransformerSize
from models.networks.tokens import Grid
from models.plans.builders import NAMED_PLANS
from models.sampling.diffusion import Sampling
from models.sampling.token_sampler import TokenSampler, keyed_noise
from tests.golden.reference import sample_window

TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The workload to measure."""

    device: str = "cpu"
    plan: str = "millivid"
    """One of the paper's plans."""
    size: str = "S"
    """Transformer size: S on a CPU; the paper's is B."""
    videos: int = 1
    frames: int = 768
    """Horizon to scale the CUDA measurement up to."""
    steps: int = 2
    """Network calls per window (the paper: 50)."""
    rollout_steps: int = 1
    """Plan steps to time."""
    repeats: int = 3
    compile: bool = False


class Workload:
    """Random weights, latents and actions for the first steps of a plan."""

    def __init__(self, flags: Flags) -> None:
        self.grid = Grid()
        self.plan = NAMED_PLANS[flags.plan].build(self.grid)
        self.size = SIZES[flags.size]
        self.network = TokenDenoiser(self.size, channels=self.grid.channels, num_levels=self.grid.levels)
        generator = torch.Generator().manual_seed(0)
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)
            if parameter.ndim == 2:
                fan_in = parameter.shape[1]
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
        self.network.to(flags.device)
        if flags.compile:
            self.network.trunk.compile()
        frames = self.plan.denoising_start
        self.context = [
            torch.randn(flags.videos, frames, tokens, self.grid.channels, generator=generator).to(
                flags.device
            )
            for tokens in self.grid.tokens_per_level[: self.plan.num_levels]
        ]
        self.actions = torch.randint(0, 3, (flags.videos, self.plan.num_frames), generator=generator)
        self.actions = self.actions.to(flags.device)
        self.noise = keyed_noise(range(flags.videos))
        bfloat16 = flags.device != "cpu"
        sampling = Sampling(steps=flags.steps, bfloat16=bfloat16)
        self.sampler = TokenSampler(self.network, self.plan, self.grid, sampling)

    def run(self, rollout_steps: int) -> torch.Tensor:
        """Denoise the first windows and return the tokens of the last one."""
        rollout = self.sampler.rollout(self.context, self.actions, self.noise)
        for layout in self.sampler.layouts[:rollout_steps]:
            parts = [next(rollout).latents.flatten(1, 2) for _ in layout.targets]
        return torch.cat(parts, dim=1)

    def run_plainly(self) -> torch.Tensor:
        """Denoise the first window by the plain implementation."""
        layout = self.sampler.layouts[0]
        chunk = [
            torch.cat([level, level.new_zeros(len(level), self.plan.width, *level.shape[2:])], dim=1)
            for level in self.context
        ]
        x = layout.gather(chunk)
        eps = self.noise(0, tuple(x.shape[1:]))
        action = self.actions[:, layout.address[:, 0]]
        weights = dict(self.network.state_dict())
        steps = self.sampler.sampling.steps
        out = sample_window(
            weights, self.size.heads, x, eps, layout.address[None], action, layout.is_target, steps
        )
        return out[:, layout.is_target]


def time_run(work: Callable[[], torch.Tensor], device: str) -> tuple[float, torch.Tensor]:
    """Return the seconds of one run, and its result."""
    start = time.perf_counter()
    result = work()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start, result


@torch.no_grad()
def compare_on_cpu(flags: Flags) -> int:
    """Run both implementations in turns; print the ratio of the best times and check that they agree."""
    torch.set_num_threads(1)
    workload = Workload(flags)
    optimised, plain = [], []
    for _ in range(flags.repeats):
        seconds, fast = time_run(lambda: workload.run(1), "cpu")
        optimised.append(seconds)
        seconds, slow = time_run(workload.run_plainly, "cpu")
        plain.append(seconds)
    difference = (fast - slow).abs().max().item()
    tokens = workload.sampler.layouts[0].address.shape[0]
    print(
        f"{flags.plan}, DiT-{flags.size}, {tokens} tokens, {flags.steps} calls, one thread: "
        f"plain {min(plain):.2f} s, optimised {min(optimised):.2f} s, "
        f"ratio {min(plain) / min(optimised):.3f}; "
        f"largest difference {difference:.1e} (of {slow.abs().max():.1f})"
    )
    return EXIT_OK if difference <= TOLERANCE * max(1.0, slow.abs().max().item()) else EXIT_FAILED


def flops_per_call(size: TransformerSize, num_tokens: int, num_targets: int) -> float:
    """Return the FLOPs of one network call on one video: matrix products and attention."""
    width = size.width
    linear = 2 * 12 * width**2  # per token and block: qkv 3, proj 1, mlp 8
    attention = 4 * num_tokens * width
    last = 2 * 2 * width**2 * num_tokens + num_targets * (2 * 10 * width**2 + attention)
    return (size.depth - 1) * num_tokens * (linear + attention) + last


def measure_ceiling(device: str, size: int = 8192) -> float:
    """Return the FLOP/s of a large bfloat16 matrix product."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    seconds, _ = time_run(lambda: [a @ a for _ in range(10)][-1], device)
    return 10 * 2 * size**3 / seconds


@torch.no_grad()
def measure_on_cuda(flags: Flags) -> int:
    """Time a few plan steps and scale up."""
    if not torch.cuda.is_available():
        raise UserError(f"--device {flags.device}: this machine has no CUDA GPU; use --device cpu")
    workload = Workload(flags)
    workload.run(flags.rollout_steps)
    seconds = min(
        time_run(lambda: workload.run(flags.rollout_steps), flags.device)[0] for _ in range(flags.repeats)
    )
    layouts = workload.sampler.layouts[: flags.rollout_steps]
    timed_steps = len(layouts)  # a plan may have fewer steps than requested
    flops = (
        flags.videos
        * flags.steps
        * sum(flops_per_call(workload.size, len(layout.address), layout.num_targets) for layout in layouts)
    )
    whole = workload.plan.num_chunks(flags.frames) * len(workload.plan.steps)
    ceiling = measure_ceiling(flags.device)
    compiled = "compiled" if flags.compile else "not compiled"
    print(
        f"{torch.cuda.get_device_name(flags.device)}, torch {torch.__version__}, {compiled}: "
        f"{flags.plan}, DiT-{flags.size}, {flags.videos} videos, {flags.steps} calls: "
        f"{timed_steps} of {whole} plan steps took {seconds:.2f} s; "
        f"scaled up to {flags.frames} frames: {seconds * whole / timed_steps / 60:.1f} min; "
        f"{flops / seconds / 1e12:.0f} of {ceiling / 1e12:.0f} TFLOP/s ({flops / seconds / ceiling:.0%})"
    )
    return EXIT_OK


def measure(flags: Flags) -> int:
    """Measure on the requested device."""
    if flags.plan not in NAMED_PLANS or flags.size not in SIZES:
        raise UserError(f"choose --plan from {', '.join(NAMED_PLANS)} and --size from {', '.join(SIZES)}")
    return compare_on_cpu(flags) if flags.device == "cpu" else measure_on_cuda(flags)


if __name__ == "__main__":
    raise SystemExit(run(Flags, measure))
