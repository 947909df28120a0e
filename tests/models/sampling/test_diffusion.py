"""NoiseSchedule and solvers, compared with closed-form answers."""

import math

import pytest
import torch

from models.sampling.diffusion import NoiseSchedule, Sampling, sample


def test_both_ends_of_the_schedule():
    alpha, sigma = NoiseSchedule().alpha_sigma(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    assert sigma[0].item() == pytest.approx(5.5308e-4, rel=1e-4)
    assert alpha[2].item() == pytest.approx(5.5308e-4, rel=1e-4)
    assert alpha[1].item() == pytest.approx(math.sqrt(0.5))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(3, dtype=torch.float64))


def test_shift_adds_to_the_log_snr():
    time = torch.linspace(0, 1, 5)
    difference = NoiseSchedule(shift=0.5).log_snr(time) - NoiseSchedule().log_snr(time)
    torch.testing.assert_close(difference, torch.full((5,), 2 * math.log(0.5), dtype=torch.float64))


MEAN, SPREAD = 0.7, 0.4


def make_velocity(sampling: Sampling):
    """Return the exact v for data drawn from N(MEAN, SPREAD^2)."""
    alphas, sigmas = sampling.schedule.alpha_sigma(sampling.times().double())

    def velocity(noisy, index):
        alpha, sigma = alphas[index], sigmas[index]
        variance = alpha**2 * SPREAD**2 + sigma**2
        score = (noisy - alpha * MEAN) / variance
        data = MEAN + alpha * SPREAD**2 * score
        return alpha * sigma * score - sigma * data

    return velocity


def solve_exactly(x, eps):
    """Return the closed-form end of the probability-flow ODE from the state at t = 1."""
    alpha, sigma = NoiseSchedule().alpha_sigma(torch.tensor([1.0, 0.0], dtype=torch.float64))
    start = alpha[0] * x + sigma[0] * eps
    z = (start - alpha[0] * MEAN) / (alpha[0] ** 2 * SPREAD**2 + sigma[0] ** 2).sqrt()
    end = alpha[1] * MEAN + (alpha[1] ** 2 * SPREAD**2 + sigma[1] ** 2).sqrt() * z
    return MEAN + alpha[1] * SPREAD**2 * (end - alpha[1] * MEAN) / (alpha[1] ** 2 * SPREAD**2 + sigma[1] ** 2)


def error(solver: str, steps: int) -> float:
    sampling = Sampling(steps=steps, solver=solver)
    eps = torch.linspace(-2, 2, 41)
    actual, _ = sample(make_velocity(sampling), torch.zeros(41), eps, sampling)
    return (actual - solve_exactly(torch.zeros(41), eps)).abs().max().item()


def test_solvers_converge_at_their_order():
    assert error("ddim", 200) < 0.02
    assert error("ddim", 50) / error("ddim", 200) == pytest.approx(4, rel=0.25)  # first order
    assert error("dpm++2m", 40) / error("dpm++2m", 160) > 5  # above first order; both ends are first order


def test_multistep_matches_the_published_update():
    """Algorithm 2 of DPM-Solver++ (Lu et al. 2022), first order in the first and last intervals."""
    sampling = Sampling(steps=8, solver="dpm++2m")
    velocity = make_velocity(sampling)
    x, eps = torch.zeros(5), torch.linspace(-2, 2, 5)
    actual, _ = sample(velocity, x, eps, sampling)
    alpha, sigma = NoiseSchedule().alpha_sigma(sampling.times().double())
    half_log_snr = (alpha / sigma).log()
    noisy, last = sigma[0] * eps.double(), None
    for i in range(8):
        data = alpha[i] * noisy - sigma[i] * velocity(noisy, i)
        if i == 7:
            break
        h = half_log_snr[i + 1] - half_log_snr[i]
        mixed = data
        if 0 < i < 6:
            r = (half_log_snr[i] - half_log_snr[i - 1]) / h
            mixed = (1 + 1 / (2 * r)) * data - 1 / (2 * r) * last
        noisy = sigma[i + 1] / sigma[i] * noisy - alpha[i + 1] * torch.expm1(-h) * mixed
        last = data
    torch.testing.assert_close(actual.double(), data, atol=2e-5, rtol=0)


@pytest.mark.parametrize("steps", [10, 15, 20, 50])
def test_multistep_is_better_at_every_budget(steps):
    assert error("dpm++2m", steps) < error("ddim", steps) / 2


def test_ddim_matches_the_textbook_update():
    """x_t -> x_s through the predicted noise, written out for three calls."""
    sampling = Sampling(steps=3)
    generator = torch.Generator().manual_seed(0)
    x, eps = torch.randn(2, 5, generator=generator)
    matrix = torch.randn(5, 5, generator=generator)
    actual_x, actual_eps = sample(lambda noisy, index: torch.tanh(noisy @ matrix) + index, x, eps, sampling)
    alpha, sigma = (w.tolist() for w in NoiseSchedule().alpha_sigma(sampling.times()))
    noisy = alpha[0] * x + sigma[0] * eps
    for index in range(3):
        v = torch.tanh(noisy @ matrix) + index
        data, noise = alpha[index] * noisy - sigma[index] * v, alpha[index] * v + sigma[index] * noisy
        if index < 2:
            noisy = alpha[index + 1] * data + sigma[index + 1] * noise
    torch.testing.assert_close(actual_x, data)
    torch.testing.assert_close(actual_eps, noise)


def test_state_keeps_its_dtype_between_calls():
    dtypes = []

    def velocity(noisy, index):
        dtypes.append(noisy.dtype)
        return 0 * noisy

    x, eps = sample(velocity, torch.ones(3).bfloat16(), torch.ones(3).bfloat16(), Sampling(steps=2))
    assert (x.dtype, eps.dtype, set(dtypes)) == (torch.bfloat16, torch.bfloat16, {torch.float32})
