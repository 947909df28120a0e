"""Diffusion: the cosine log-SNR schedule, v-prediction, and deterministic solvers.

The noise level t runs from 0 (data) to 1 (noise). A noisy latent is x_t = alpha x + sigma eps, and the
network predicts v = alpha eps - sigma x (Salimans and Ho 2022). The ends are not exact: sigma(0) = alpha(1) =
5.5e-4. The samplers keep that on purpose, because the published models were trained and evaluated with it.
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
"""The network as a solver sees it: maps the noisy latents and the index of the sampling step to v."""


@dataclass(frozen=True, kw_only=True)
class NoiseSchedule:
    """The signal and noise weights at every t: the shifted cosine schedule of Hoogeboom et al. (2023).

    `shift` is base over target resolution; the paper uses 1.
    """

    shift: float = 1.0

    def log_snr(self, time: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return 2 ln(alpha / sigma) in float64; in float32, the tangent loses five digits near t = 1."""
        low, high = math.atan(math.exp(-MAX_LOG_SNR / 2)), math.atan(math.exp(MAX_LOG_SNR / 2))
        return 2 * math.log(self.shift) - 2 * torch.tan(low + time.double() * (high - low)).log()

    def alpha_sigma(
        self, time: Float[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Return the weights of signal and noise, in the dtype of `time`."""
        log_snr = self.log_snr(time)  # alpha^2 = sigmoid(log_snr), and alpha^2 + sigma^2 = 1
        return log_snr.sigmoid().sqrt().to(time.dtype), (-log_snr).sigmoid().sqrt().to(time.dtype)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings for denoising a window.

    Both ends of t are visited: 50 network calls span 49 intervals, and the last call, at t = 0, yields the
    result.
    """

    steps: int = 50
    solver: Solver = "ddim"
    guidance: float = 1.0
    bfloat16: bool = False
    """Run the network under bfloat16 autocast; latents stay in their own dtype."""
    schedule: NoiseSchedule = NoiseSchedule()
    bound: float | None = None
    """The largest absolute value of a latent, if known; predicted data is clipped to it."""
    context_time: float = 0.0
    """The noise level of the context, for networks trained with noisy context."""

    def __post_init__(self) -> None:
        if type(self.steps) is not int or self.steps < 1:
            raise UserError(f"steps {self.steps}: choose a whole number of network calls, at least 1")
        if not math.isfinite(self.guidance):
            raise UserError(f"guidance {self.guidance}: choose a finite number (1 means no guidance)")
        if not 0 <= self.context_time < 1:
            raise UserError(f"context_time {self.context_time}: choose a number of at least 0 and below 1")
        if self.bound is not None and not self.bound > 0:
            raise UserError(f"bound {self.bound}: choose a number above 0, or leave it out")
        if self.solver not in get_args(Solver):
            raise UserError(f"solver {self.solver!r}: choose one of {', '.join(get_args(Solver))}")

    def changed(self, **changes: Any) -> "Sampling":
        """Return a copy with those `changes` that are not None."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def times(self) -> Float[Tensor, " steps"]:
        """Return the noise level of every network call, from 1 to 0, both included."""
        return torch.linspace(1, 0, self.steps)


def sample(
    velocity: Velocity, x: Float[Tensor, "*shape"], eps: Float[Tensor, "*shape"], sampling: Sampling
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Denoise the pair (x, eps) from t = 1; return the (data, noise) pair that the last call predicts.

    DDIM (Song et al. 2021) is written as re-noising the predicted pair at the next t. DPM-Solver++ 2M (Lu et
    al. 2022) differs only in that it first extrapolates the predicted data linearly in log-SNR from the last
    two calls; the noise is then recomputed from x_t, as it is after clipping. The first interval and the
    last, very long one remain first order.
    """
    times = sampling.times()
    alphas, sigmas = (weights.tolist() for weights in sampling.schedule.alpha_sigma(times))
    log_snr = sampling.schedule.log_snr(times).tolist()
    previous_data: Tensor | None = None
    for i, (alpha, sigma) in enumerate(zip(alphas, sigmas, strict=True)):
        noisy = alpha * x.float() + sigma * eps.float()  # x_t
        v = velocity(noisy, i).float()
        data, noise = alpha * noisy - sigma * v, alpha * v + sigma * noisy  # v-prediction, inverted
        is_last = i == sampling.steps - 1
        if sampling.bound is not None:
            data = data.clamp(-sampling.bound, sampling.bound)
            noise = noise if is_last else (noisy - alpha * data) / sigma
        predicted_data = data
        if sampling.solver == "dpm++2m" and previous_data is not None and i < sampling.steps - 2:
            # (1 + w) x_i - w x_{i-1} with w = h_i / (2 h_{i-1}), where h_i is the next step in log-SNR.
            weight = (log_snr[i + 1] - log_snr[i]) / (log_snr[i] - log_snr[i - 1]) / 2
            data = torch.lerp(previous_data, data, 1 + weight)
            if sampling.bound is not None:
                data = data.clamp(-sampling.bound, sampling.bound)
            noise = (noisy - alpha * data) / sigma
        previous_data = predicted_data
        x, eps = data.to(x.dtype), noise.to(eps.dtype)
    return x, eps
