"""Diffusion: the cosine schedule in log-SNR, v-prediction, and the deterministic solvers.

Noise level t runs from 0 (data) to 1 (noise). A noisy latent is alpha x + sigma eps and the network predicts
v = alpha eps - sigma x. Neither end is exact: sigma(0) = alpha(1) = 5.5e-4. The samplers keep that on
purpose, because the published models were trained and evaluated with it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from loopcraft.core.errors import UserError

MAX_LOG_SNR = 15.0

Solver = Literal["ddim", "dpm++2m"]

Velocity = Callable[[Float[Tensor, "*shape"], int], Float[Tensor, "*shape"]]
"""The network as the solver sees it: from the noisy latents and the index of the sampling step to v."""


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """How much signal and noise there is at every t; `shift` is base over target resolution."""

    shift: float = 1.0

    def log_snr(self, time: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """2 ln(alpha / sigma), in float64: in float32 the tangent loses five digits near t = 1."""
        low, high = math.atan(math.exp(-MAX_LOG_SNR / 2)), math.atan(math.exp(MAX_LOG_SNR / 2))
        return 2 * math.log(self.shift) - 2 * torch.tan(low + time.double() * (high - low)).log()

    def alpha_sigma(
        self, time: Float[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """The weights of signal and noise, in the dtype of `time`."""
        log_snr = self.log_snr(time)
        return log_snr.sigmoid().sqrt().to(time.dtype), (-log_snr).sigmoid().sqrt().to(time.dtype)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a window is denoised: network calls, solver and guidance.

    Both ends of t are visited: 50 calls are 49 intervals, and the last call, at t = 0, gives the result.
    """

    steps: int = 50
    solver: Solver = "ddim"
    guidance: float = 1.0
    bfloat16: bool = False
    """Run the network under bfloat16 autocast; latents stay in their own dtype."""
    schedule: NoiseSchedule = NoiseSchedule()
    bound: float | None = None
    """The largest absolute value of a latent, where it is known: predicted data is clipped to it."""
    context_time: float = 0.0
    """The noise level at which context is shown, for networks that were trained with noise on it."""

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 1:
            raise UserError(f"steps {self.steps}: a window takes a whole number of network calls, 1 at least")
        if not math.isfinite(self.guidance):
            raise UserError(f"guidance {self.guidance}: choose a finite number, 1 for none")
        if not 0 <= self.context_time < 1:
            raise UserError(f"context_time {self.context_time}: choose a number from 0 up to, but not, 1")
        if self.bound is not None and not self.bound > 0:
            raise UserError(f"bound {self.bound}: choose a number above 0, or leave it out")
        if self.solver not in get_args(Solver):
            raise UserError(f"solver {self.solver!r}: choose one of {', '.join(get_args(Solver))}")

    def changed(self, **changes: Any) -> "Sampling":
        """The same, but for what is not None."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def times(self) -> Float[Tensor, " steps"]:
        """The noise level of every network call, from 1 to 0."""
        return torch.linspace(1, 0, self.steps)


def sample(
    velocity: Velocity, x: Float[Tensor, "*shape"], eps: Float[Tensor, "*shape"], sampling: Sampling
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Denoise from the pair (x, eps) at t = 1; return the predicted pair (data, noise) of the last call.

    DDIM is written as re-noising the predicted pair at the next t. DPM-Solver++ 2M (Lu et al. 2022) differs
    only in that it first extrapolates the predicted data linearly in log-SNR from the two latest calls; the
    noise of the pair follows from x_t, as it does wherever data was clipped. The first interval, and the
    last, very long one, stay first order.
    """
    times = sampling.times()
    alphas, sigmas = (weights.tolist() for weights in sampling.schedule.alpha_sigma(times))
    log_snr = sampling.schedule.log_snr(times).tolist()
    last_data: Tensor | None = None
    for i, (alpha, sigma) in enumerate(zip(alphas, sigmas, strict=True)):
        noisy = alpha * x.float() + sigma * eps.float()
        v = velocity(noisy, i).float()
        data, noise = alpha * noisy - sigma * v, alpha * v + sigma * noisy
        is_last = i == sampling.steps - 1
        if sampling.bound is not None:
            data = data.clamp(-sampling.bound, sampling.bound)
            noise = noise if is_last else (noisy - alpha * data) / sigma
        x_hat = data
        if sampling.solver == "dpm++2m" and last_data is not None and i < sampling.steps - 2:
            weight = (log_snr[i + 1] - log_snr[i]) / (log_snr[i] - log_snr[i - 1]) / 2
            data = torch.lerp(last_data, data, 1 + weight)
            if sampling.bound is not None:
                data = data.clamp(-sampling.bound, sampling.bound)
            noise = (noisy - alpha * data) / sigma
        last_data = x_hat
        x, eps = data.to(x.dtype), noise.to(eps.dtype)
    return x, eps
