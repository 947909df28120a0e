"""Rollouts: equal to a plain second implementation, the same in any batch, with bounded memory."""

import itertools

import numpy as np
import pytest
import torch

from loopcraft.core.errors import UserError
from models.networks.denoiser import NO_ACTION, TokenDenoiser
from models.networks.framepack import FramePackDenoiser, FramePackWindow
from models.networks.layers import TransformerSize
from models.networks.tokens import Grid
from models.plans.builders import (
    framepack,
    framepack_mirrored,
    full_resolution,
    millivid,
    rollout_upscale,
    upscale,
)
from models.plans.plan import CONTEXT, DENOISED, UNSEEN
from models.sampling.diffusion import Sampling
from models.sampling.frame_sampler import FrameSampler
from models.sampling.token_sampler import TokenSampler, consecutive_runs, keyed_noise
from tests.golden import reference
from tests.references.conditions import per_frame, per_token

SIZE = TransformerSize(depth=3, width=48, heads=3)
GRID = Grid(side=4, levels=3, channels=5)
PLANS = {
    "millivid": lambda: millivid([1, 2, 4], 16, 16),
    "millivid with padding": lambda: millivid([1, 2, 4], 20, 16),
    "framepack": lambda: framepack([1, 2, 3], 2),
    "framepack-mirrored": lambda: framepack_mirrored([1, 2, 2], [1, 1, 2]),
    "full-resolution": lambda: full_resolution(5),
    "rollout-upscale": lambda: rollout_upscale(2, 2),
    "upscale": lambda: upscale(1, 3),
}


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def randomise(network: torch.nn.Module) -> torch.nn.Module:
    """Draw weights large enough that every part of the network matters."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in network.named_parameters():
        scale = parameter.shape[1] ** -0.5 if parameter.ndim == 2 else 0.2
        mean = 1.0 if "_norm" in name else 0.0
        parameter.data = mean + scale * torch.randn(parameter.shape, generator=generator)
    return network.requires_grad_(False)


def token_sampler(name: str, *, causal: bool = False, **sampling) -> TokenSampler:
    network = randomise(TokenDenoiser(SIZE, channels=GRID.channels, num_levels=GRID.levels, causal=causal))
    return TokenSampler(network, PLANS[name](), GRID, Sampling(**{"steps": 3, **sampling}))


def inputs(num_context: int, num_future: int, batch: int = 2):
    generator = torch.Generator().manual_seed(7)
    context = [
        torch.randn(batch, num_context, n, GRID.channels, generator=generator) for n in GRID.tokens_per_level
    ]
    return context, torch.randint(0, 3, (batch, num_context + num_future), generator=generator)


def plain_rollout(sampler: TokenSampler, context, actions, noise, num_chunks: int) -> dict:
    """Map (level, frame) to tokens in a rollout that keeps the whole video and shares nothing."""
    plan, weights = sampler.plan, dict(sampler.network.state_dict())
    start, largest = context[0].shape[1], int(plan.num_tokens(GRID).max())
    video = {}
    for level in range(plan.num_levels):
        for frame in range(actions.shape[1]):
            known = context[level][:, frame] if frame < start else torch.zeros_like(context[level][:, 0])
            video[level, frame] = known.clone()
    for index, (chunk, step) in enumerate(itertools.product(range(num_chunks), plan.steps)):
        first = start - plan.denoising_start + chunk * plan.width
        addresses = [
            (level, frame + first)
            for role in (CONTEXT, DENOISED)
            for level, frame in np.argwhere(step == role).tolist()
        ]
        roles = [role for role in (CONTEXT, DENOISED) for _ in np.argwhere(step == role)]
        address = [
            [frame, level, cell // GRID.side_at(level), cell % GRID.side_at(level)]
            for level, frame in addresses
            for cell in range(GRID.tokens_at(level))
        ]
        target = [
            r == DENOISED
            for (level, _), r in zip(addresses, roles, strict=True)
            for _ in range(GRID.tokens_at(level))
        ]
        x = torch.cat([video[position] for position in addresses], dim=1)
        padding = largest - len(address)
        split = target.index(True)
        address[split:split] = [[0, 0, 0, 0]] * padding
        target[split:split] = [False] * padding
        x = torch.cat([x[:, :split], x.new_zeros(len(x), padding, GRID.channels), x[:, split:]], dim=1)
        action = actions[:, [entry[0] for entry in address]]
        action[:, split : split + padding] = 0
        out = reference.sample_window(
            weights, SIZE.heads, x, noise(index, tuple(x.shape[1:])), torch.tensor([address]), action,
            torch.tensor(target), sampler.sampling.steps, causal=sampler.network.causal,
        )  # fmt: skip
        offset = split + padding
        for position, role in zip(addresses, roles, strict=True):
            if role == DENOISED:
                count = GRID.tokens_at(position[0])
                video[position] = out[:, offset : offset + count]
                offset += count
    return video


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", PLANS)
def test_rollouts_match_the_plain_implementation(name, causal):
    sampler = token_sampler(name, causal=causal)
    chunks = 1 if name == "upscale" else 2  # a chunk of upscale takes 27 steps
    start = sampler.num_context + 3  # more context than is needed
    context, actions = inputs(start, sampler.num_future(chunks * sampler.plan.width))
    noise = keyed_noise([11, 12])
    expected = plain_rollout(sampler, context, actions, noise, chunks)
    actual, finest = {}, []
    for generated in sampler.rollout(context, actions, noise):
        for i in range(generated.latents.shape[1]):
            actual[generated.level, generated.first_frame + i] = generated.latents[:, i]
            finest += [generated.first_frame + i] * (generated.level == 0)
    assert finest == list(range(start, start + chunks * sampler.plan.width))
    assert len({frame for _, frame in actual}) > 2
    for position, latents in actual.items():
        torch.testing.assert_close(latents, expected[position], atol=2e-5, rtol=1e-5)


def latents_of(sampler, context, actions, seeds, frames) -> torch.Tensor:
    """Generate the first `frames` frames at level 0."""
    parts, num_frames = [], 0
    for generated in sampler.rollout(context, actions, keyed_noise(seeds)):
        if generated.level == 0 and num_frames < frames:
            parts.append(generated.latents)
            num_frames += generated.latents.shape[1]
    return torch.cat(parts, dim=1)[:, :frames]


@pytest.mark.parametrize("name", ["millivid", "framepack-mirrored"])
def test_a_video_does_not_depend_on_its_batch(name):
    sampler = token_sampler(name)
    context, actions = inputs(sampler.num_context, sampler.num_future(8))
    both = latents_of(sampler, context, actions, [3, 4], 8)
    alone = latents_of(sampler, [level[1:] for level in context], actions[1:], [4], 8)
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)
    other = latents_of(sampler, [level[1:] for level in context], actions[1:], [5], 8)
    assert (other - alone).abs().max() > 0.1


def test_a_short_horizon_is_the_beginning_of_a_long_one():
    sampler = token_sampler("millivid")
    context, actions = inputs(sampler.num_context, 12)
    long = latents_of(sampler, context, actions, [1, 2], 12)
    short = latents_of(sampler, context, actions[:, : sampler.num_context + 4], [1, 2], 4)
    assert torch.equal(long[:, :4], short)


def test_memory_holds_one_chunk():
    sampler = token_sampler("full-resolution", steps=1)
    context, actions = inputs(sampler.num_context, 60, batch=1)
    rollout = sampler.rollout(context, actions, keyed_noise([0]))
    sizes = set()
    for _ in rollout:
        held = rollout.gi_frame.f_locals["chunk"]
        sizes.add(sum(latents.untyped_storage().nbytes() for latents in held))
    assert sizes == {4 * GRID.channels * GRID.tokens_at(0) * sampler.plan.num_frames}


def test_the_far_past_does_not_matter():
    sampler = token_sampler("full-resolution")
    context, actions = inputs(sampler.num_context + 5, sampler.num_future(3))
    changed = [level.clone() for level in context]
    for level in changed:
        level[:, :5] += 1
    first, second = (latents_of(sampler, history, actions, [1, 2], 3) for history in (context, changed))
    assert torch.equal(first, second)


def test_guidance_is_linear_in_its_scale():
    """With one network call the result is linear in v, hence in the scale."""
    results = []
    for guidance in (1.0, 2.0, 3.0):
        sampler = token_sampler("millivid", steps=1, guidance=guidance)
        context, actions = inputs(sampler.num_context, 4)
        results.append(next(sampler.rollout(context, actions, keyed_noise([1, 2]))).latents)
    torch.testing.assert_close(results[2] - results[1], results[1] - results[0], atol=1e-4, rtol=1e-4)
    assert (results[1] - results[0]).abs().max() > 0.05


def test_guidance_zero_ignores_actions_and_context():
    sampler = token_sampler("framepack", steps=2, guidance=0.0)
    context, actions = inputs(sampler.num_context, 2)
    first = latents_of(sampler, context, actions, [1, 2], 2)
    second = latents_of(sampler, context, (actions + 1) % 3, [1, 2], 2)
    assert torch.equal(first, second)
    third = latents_of(sampler, [2 * level for level in context], actions, [1, 2], 2)
    assert 0 < (third - first).abs().max() < 0.05  # alpha(1) = 5.5e-4 of the context leaks


def test_too_little_context_is_refused_in_one_sentence():
    sampler = token_sampler("millivid")
    context, actions = inputs(sampler.num_context - 1, 4)
    with pytest.raises(UserError, match=f"needs {sampler.num_context} context frames, but got"):
        next(sampler.rollout(context, actions, keyed_noise([1, 2])))


def test_runs_are_consecutive():
    step = np.array([[2, 2, 0, 2], [1, 1, 1, 1], [0, 0, 0, 0]], np.int8)
    assert consecutive_runs(step, DENOISED) == [(0, 0, 2), (0, 3, 4)]
    assert consecutive_runs(step, CONTEXT) == [(1, 0, 4)]
    assert consecutive_runs(step[:1] * 0 + UNSEEN, CONTEXT) == []


WINDOW = FramePackWindow(context_frames=(2, 1, 2), denoised_frames=2)


def frame_sampler(**sampling) -> FrameSampler:
    network = randomise(FramePackDenoiser(SIZE, WINDOW, GRID, bottleneck=7))
    return FrameSampler(network, Sampling(**{"steps": 3, **sampling}))


def test_a_frame_rollout_matches_a_plain_loop():
    sampler = frame_sampler()
    context, actions = inputs(WINDOW.num_context, 4)
    noise = keyed_noise([1, 2])
    x = context[0].unflatten(2, (GRID.side, GRID.side)).movedim(-1, 2)
    x = torch.cat([x, torch.zeros_like(x[:, :4])], dim=1)
    shape = tuple(x.shape[2:])
    eps = torch.cat([noise(0, (5, *shape)), noise(1, (2, *shape)), noise(2, (2, *shape))], dim=1)
    for first in (0, 2):
        frames = slice(first, first + WINDOW.num_frames)
        for t in torch.linspace(1, 0, 3):
            time = torch.tensor([0.0] * 5 + [t] * 2).expand(2, -1)
            alpha, sigma = (w[..., None, None, None] for w in reference.alpha_sigma(time))
            noisy = alpha * x[:, frames] + sigma * eps[:, frames]
            v = sampler.network(noisy, per_frame(sampler.network, time, actions[:, frames]))
            new = slice(first + 5, first + 7)
            x[:, new] = (alpha * noisy)[:, -2:] - sigma[:, -2:] * v
            eps[:, new] = alpha[:, -2:] * v + (sigma * noisy)[:, -2:]
    actual = latents_of(sampler, context, actions, [1, 2], 4)
    expected = x[:, 5:].movedim(2, -1).flatten(2, 3)
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_framepack_refuses_guidance():
    with pytest.raises(UserError, match=r"set guidance to 1, not 1\.5"):
        frame_sampler(guidance=1.5)


def test_no_action_is_a_row_of_zeros():
    network = randomise(TokenDenoiser(SIZE, channels=5, num_levels=3))

    def embed(action):
        condition = per_token(torch.zeros(1, 1), torch.zeros(1, 1).long(), torch.tensor([[action]]))
        return network.trunk.embed(condition)

    torch.testing.assert_close(embed(1) - embed(NO_ACTION), network.trunk.action_embedding.weight[1:2])
