"""The causal denoiser: its context sees no target, and its cached context changes no value."""

from collections import Counter

import pytest
import torch

from loopcraft.core.errors import UserError
from models.networks.denoiser import TokenDenoiser, causal_mask, mask_actions
from models.networks.tokens import LEVEL
from models.sampling.diffusion import NoiseSchedule, Sampling
from models.sampling.token_sampler import TokenSampler, keyed_noise
from models.train import losses
from models.train.losses import token_loss
from models.zoo.presets import PRESETS
from tests.golden import reference
from tests.models.sampling.test_token_sampler import GRID, SIZE, inputs, latents_of, randomise, token_sampler
from tests.references.conditions import per_token

TARGET = torch.tensor([[1, 0, 0, 1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1, 1, 0, 0]], dtype=torch.bool)


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def network() -> TokenDenoiser:
    return randomise(TokenDenoiser(SIZE, channels=GRID.channels, num_levels=GRID.levels, causal=True))


def window():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(*TARGET.shape, GRID.channels, generator=generator)
    address = torch.randint(0, 3, (*TARGET.shape, 4), generator=generator)
    action = torch.randint(0, 3, TARGET.shape, generator=generator)
    return x, address, action


def influence(network: TokenDenoiser, mask: torch.Tensor | None, *, of_targets: bool) -> float:
    """Measure how far the context's outputs move with the targets' inputs, or the other way round."""
    x, address, action = window()
    moving = TARGET if of_targets else ~TARGET
    moved = torch.where(moving[..., None], x + 1, x)
    condition = per_token(torch.rand(TARGET.shape), address[..., LEVEL], action)
    first, second = (
        network(tokens, network.positions(address), condition, mask=mask) for tokens in (x, moved)
    )
    return (first - second)[~moving].abs().max().item()


def test_context_does_not_depend_on_targets_and_targets_do_on_context(network):
    mask = causal_mask(TARGET)
    assert influence(network, mask, of_targets=True) == 0
    assert influence(network, mask, of_targets=False) > 0.1
    for mutant in (None, mask.transpose(1, 2), torch.ones_like(mask)):
        assert influence(network, mutant, of_targets=True) > 0.1


def loss_of(network: TokenDenoiser) -> torch.Tensor:
    x, address, action = window()
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(4))
    return token_loss(
        network, x, address, action, TARGET, eps=eps, time=torch.tensor([0.3, 0.9]),
        conditioned=torch.tensor([True, False]), schedule=NoiseSchedule(),
    )  # fmt: skip


def test_the_loss_matches_the_plain_implementation_with_a_mask(network, monkeypatch):
    x, address, action = window()
    eps = torch.randn(x.shape, generator=torch.Generator().manual_seed(4))
    time = torch.where(TARGET, torch.tensor([[0.3], [0.9]]), torch.tensor([[0.0], [1.0]]))
    alpha, sigma = (weight[..., None] for weight in reference.alpha_sigma(time))
    known = mask_actions(action, torch.tensor([True, False]))
    visible = torch.tensor([[[[q or not k for k in row] for q in row]] for row in TARGET.tolist()])
    weights = dict(network.state_dict())
    noisy = alpha * x + sigma * eps
    v = reference.predict(weights, SIZE.heads, noisy, address, time, known, visible)
    expected = (v - alpha * eps + sigma * x)[TARGET].square().mean()
    torch.testing.assert_close(loss_of(network), expected)
    monkeypatch.setattr(losses, "causal_mask", lambda target: torch.ones(2, 9, 9, dtype=torch.bool))
    assert (loss_of(network) - expected).abs() > 1e-3


def test_every_weight_learns(network):
    network.requires_grad_(True)
    loss_of(network).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


class MaskedInEveryCall(TokenDenoiser):
    """Reads the context again in every call, as in training; to the sampler it is an ordinary denoiser."""

    def forward(self, x, positions, condition, num_outputs=None):
        is_target = torch.arange(x.shape[1]) >= x.shape[1] - num_outputs
        mask = causal_mask(is_target.expand(len(x), -1))
        return super().forward(x, positions, condition, mask=mask)[:, -num_outputs:]


@pytest.mark.parametrize(
    ("plan", "solver", "guidance"),
    [
        ("millivid with padding", "ddim", 1.0),
        ("millivid with padding", "dpm++2m", 1.5),
        ("framepack-mirrored", "ddim", 1.5),
        ("framepack-mirrored", "dpm++2m", 1.0),
    ],
)
def test_cached_context_changes_nothing(plan, solver, guidance):
    sampler = token_sampler(plan, causal=True, steps=5, solver=solver, guidance=guidance)
    context, actions = inputs(sampler.num_context, sampler.num_future(8))

    def roll_out(network: TokenDenoiser) -> torch.Tensor:
        other = TokenSampler(randomise(network), sampler.plan, GRID, sampler.sampling)
        return latents_of(other, context, actions, [1, 2], 8)

    actual = latents_of(sampler, context, actions, [1, 2], 8)
    shape = {"channels": GRID.channels, "num_levels": GRID.levels}
    torch.testing.assert_close(roll_out(MaskedInEveryCall(SIZE, **shape)), actual, atol=1e-5, rtol=1e-5)
    assert (roll_out(TokenDenoiser(SIZE, **shape)) - actual).abs().max() > 0.1


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_context_is_read_once_per_plan_step(monkeypatch, guidance):
    sampler = token_sampler("millivid", causal=True, steps=3, guidance=guidance)
    calls = Counter()

    def count(name: str) -> None:
        original = getattr(TokenDenoiser, name)

        def counting(*args, **kwargs):
            calls[name] += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(TokenDenoiser, name, counting)

    count("prefill")
    count("forward")
    chunks = 2
    context, actions = inputs(sampler.num_context, sampler.num_future(chunks * sampler.plan.width))
    for _ in sampler.rollout(context, actions, keyed_noise([1, 2])):
        pass
    passes = chunks * len(sampler.plan.steps) * (1 if guidance == 1 else 2)
    assert calls == {"prefill": passes, "forward": 3 * passes}


def test_bfloat16_is_close(network):
    sampler = token_sampler("millivid", causal=True)
    context, actions = inputs(sampler.num_context, 4)
    exact = latents_of(sampler, context, actions, [1, 2], 4)
    rounding = TokenSampler(network, sampler.plan, GRID, Sampling(steps=3, bfloat16=True))
    assert 0 < (latents_of(rounding, context, actions, [1, 2], 4) - exact).abs().mean() < 0.05


@pytest.mark.parametrize("preset", ["cpu-evening", "gpu-hour", "trial", "paper-ablation"])
def test_the_causal_model_has_millivids_size_and_plan(preset):
    plain, causal = (PRESETS[preset].model(name, 256) for name in ("millivid", "millivid-causal"))
    assert causal.autoencoder == plain.autoencoder
    assert causal.sampling == plain.sampling
    assert vars(causal.video) == vars(plain.video)
    with torch.device("meta"):
        shapes, causal_shapes = (
            {name: value.shape for name, value in network.state_dict().items()}
            for network in (p.video.network(p.autoencoder.grid) for p in (plain, causal))
        )
    assert causal_shapes == shapes


def test_the_paper_preset_has_no_causal_model():
    with pytest.raises(UserError, match="the preset paper has no millivid-causal"):
        PRESETS["paper"].model("millivid-causal", 256)
