"""The models' way through a GPU, traced on tensors without numbers: no tensor is left behind on the CPU."""

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
"""The schedule's weight of noise at t = 0; the trace needs a number, not this one."""


def until_frames_are_there(plan: Plan) -> Plan:
    """The plan without what follows its first step at the finest level: nobody takes it here."""
    last = np.flatnonzero((plan.steps[:, 0] == DENOISED).any(1))[0]
    assert plan.width > 0  # known before, and remembered
    object.__setattr__(plan, "steps", plan.steps[: last + 1])
    return plan


class Weight(float):
    """A number where the schedule gives a tensor of one."""

    def item(self) -> float:
        return float(self)


@pytest.fixture
def imagined(monkeypatch):
    """A mode in which tensors have a device and no numbers; the schedule, host work, keeps its numbers."""
    build = PlanConfig.build
    monkeypatch.setattr(PlanConfig, "build", lambda config, grid: until_frames_are_there(build(config, grid)))
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
    """Encode, roll out until finest latents are there, and decode, all on a GPU that is not there."""
    settings = PRESETS[preset].model(name, size)
    with torch.device("cuda"):
        autoencoder = Autoencoder(settings.autoencoder)
        network = settings.video.network(autoencoder.grid).requires_grad_(False)
    for stack in (autoencoder.encoder, autoencoder.decoder, network.trunk):
        del stack.blocks[1:-1]  # they do what the first does; the last one may do less
    sampling = replace(settings.sampling, **{"steps": 2, "bfloat16": True, **changes})
    sampler = settings.video.sampler(network, autoencoder.grid, sampling)
    codec = FrameCodec(autoencoder, "auto")
    shape = (VIDEOS, sampler.num_context, 3, size, size)
    latents = codec.encode(torch.empty(shape, dtype=torch.uint8, device="cuda"))
    total = sampler.num_context + sampler.num_future(1)
    actions = torch.zeros(VIDEOS, total, dtype=torch.int64, device="cuda")

    def noise(step: int, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.empty(VIDEOS, *shape)  # on the CPU, as `keyed_noise` draws it

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
def test_nothing_is_left_on_the_cpu(imagined, name, preset, size):
    with imagined:
        frames = first_frames(name, preset, size)
    assert frames.device.type == "cuda"
    assert frames.dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "steps"),
    [("millivid", 4), ("millivid-causal", 2)],  # four are the fewest of which one extrapolates
)
def test_nor_is_it_with_guidance(imagined, name, steps):
    changes = {"steps": steps, "guidance": 1.5, "solver": "dpm++2m", "bound": 2.0}
    with imagined:
        assert first_frames(name, "trial", SIZE, **changes).device.type == "cuda"


def test_a_tensor_on_the_cpu_is_caught(imagined, monkeypatch):
    """A mutant whose windows keep their addresses on the CPU."""
    layout = samplers.Layout

    def on_the_cpu(step, grid, num_tokens, device):
        return layout(step, grid, num_tokens, torch.device("cpu"))

    monkeypatch.setattr(samplers, "Layout", on_the_cpu)
    with imagined, pytest.raises(RuntimeError, match=r"cuda.*cpu|cpu.*cuda|two different devices"):
        first_frames("millivid", "trial", SIZE)
