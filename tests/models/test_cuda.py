"""Models traced on a GPU with tensors without data: no tensor is left on the CPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from models.latents.codec import FrameCodec
from models.networks.autoencoder import Autoencoder
from models.plans.builders import PlanConfig
from models.plans.plan import DENOISED, Plan
from models.sampling import token_sampler as samplers
from models.sampling.diffusion import NoiseSchedule, Sampling
from models.zoo.presets import MODELS, PRESETS

SIZE = 32
VIDEOS = 2
END = 5.5e-4
"""The schedule's weight of noise at t = 0; the trace would accept any number."""


def cut_plan_after_first_frames(plan: Plan) -> Plan:
    """Drop the plan's steps after the first at the finest level, which the trace never takes."""
    last = np.flatnonzero((plan.steps[:, 0] == DENOISED).any(1))[0]
    assert plan.width > 0  # cached before the steps are cut
    object.__setattr__(plan, "steps", plan.steps[: last + 1])
    return plan


class Weight(float):
    """A number in place of the schedule's single-element tensor."""

    def item(self) -> float:
        return float(self)


@pytest.fixture
def fake_gpu(monkeypatch):
    """A mode in which tensors have a device but no data; the schedule, host work, keeps its numbers."""
    build = PlanConfig.build
    monkeypatch.setattr(
        PlanConfig, "build", lambda config, grid: cut_plan_after_first_frames(build(config, grid))
    )
    times, alpha_sigma, log_snr = Sampling.times, NoiseSchedule.alpha_sigma, NoiseSchedule.log_snr

    def with_numbers(function):
        def call(self, *values):
            with unset_fake_temporarily():
                return function(self, *values)

        return call

    def weights(self, time):
        if time.ndim == 0:
            return Weight(1), Weight(END)
        return with_numbers(alpha_sigma)(self, time)

    monkeypatch.setattr(Sampling, "times", with_numbers(times))
    monkeypatch.setattr(NoiseSchedule, "log_snr", with_numbers(log_snr))
    monkeypatch.setattr(NoiseSchedule, "alpha_sigma", weights)
    return FakeTensorMode(allow_non_fake_inputs=True)


def first_frames(name: str, preset: str, size: int, **changes: object) -> torch.Tensor:
    """Encode, roll out until the finest latents exist, and decode, all on an absent GPU."""
    settings = PRESETS[preset].model(name, size)
    with torch.device("cuda"):
        autoencoder = Autoencoder(settings.autoencoder)
        network = settings.video.network(autoencoder.grid).requires_grad_(False)
    for stack in (autoencoder.encoder, autoencoder.decoder, network.trunk):
        del stack.blocks[1:-1]  # they do what the first does; the last may do less
    sampling = replace(settings.sampling, **{"steps": 2, "bfloat16": True, **changes})
    sampler = settings.video.sampler(network, autoencoder.grid, sampling)
    codec = FrameCodec(autoencoder, "auto")
    shape = (VIDEOS, sampler.num_context, 3, size, size)
    latents = codec.encode(torch.empty(shape, dtype=torch.uint8, device="cuda"))
    total = sampler.num_context + sampler.num_future(1)
    actions = torch.zeros(VIDEOS, total, dtype=torch.int64, device="cuda")

    def noise(step: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.empty(VIDEOS, *shape)  # on the CPU, like `keyed_noise`

    for generated in sampler.rollout(latents, actions, noise):
        assert generated.latents.device.type == "cuda"
        if generated.level == 0:
            return codec.decode(generated.latents)
    raise AssertionError("no finest latents came")


@pytest.mark.parametrize(
    ("name", "preset", "size"),
    [
        *((name, "trial", SIZE) for name in MODELS),
        *((name, "cpu-evening", 64) for name in ("millivid", "millivid-causal", "framepack")),  # odometry
        *((name, "paper", 256) for name in ("millivid", "framepack", "full-resolution")),
    ],
)
def test_nothing_is_left_on_the_cpu(fake_gpu, name, preset, size):
    with fake_gpu:
        frames = first_frames(name, preset, size)
    assert frames.device.type == "cuda"
    assert frames.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "steps"),
    [("millivid", 4), ("millivid-causal", 2)],  # four is the minimum with an extrapolating step
)
def test_nothing_is_left_on_the_cpu_with_guidance(fake_gpu, name, steps):
    changes = {"steps": steps, "guidance": 1.5, "solver": "dpm++2m", "bound": 2.0}
    with fake_gpu:
        assert first_frames(name, "trial", SIZE, **changes).device.type == "cuda"


def test_a_tensor_on_the_cpu_is_caught(fake_gpu, monkeypatch):
    """The windows of the mutant keep their addresses on the CPU."""
    layout = samplers.Layout

    def on_the_cpu(step, grid, num_tokens, device):
        return layout(step, grid, num_tokens, torch.device("cpu"))

    monkeypatch.setattr(samplers, "Layout", on_the_cpu)
    with fake_gpu, pytest.raises(RuntimeError, match=r"cuda.*cpu|cpu.*cuda|two different devices"):
        first_frames("millivid", "trial", SIZE)
