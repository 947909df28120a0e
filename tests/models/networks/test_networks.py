"""Layers, denoisers and the autoencoder: orders, shortcuts that change nothing, initialisation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.networks.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    cut_patches,
    join_patches,
    mean_pool,
    patch_pyramid,
)
from models.networks.denoiser import Condition, TokenDenoiser, mask_actions
from models.networks.framepack import FramePackDenoiser, FramePackWindow, patches
from models.networks.layers import TransformerSize, sinusoid_pairs, time_features, video_position_features
from models.networks.tokens import FRAME, LEVEL, Grid
from models.sampling.diffusion import NoiseSchedule
from models.train.losses import frame_loss, reconstruction_loss, token_loss
from models.train.optimizers import OptimizerConfig, build_optimizers, set_learning_rate, split_parameters
from tests.models.sampling.test_token_sampler import randomise
from tests.references.conditions import per_frame, per_token

SIZE = TransformerSize(depth=2, width=36, heads=3)


@pytest.fixture(autouse=True)
def one_thread_and_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def network() -> TokenDenoiser:
    return randomise(TokenDenoiser(SIZE, channels=4, num_levels=3))


def window(batch: int = 2, count: int = 9):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(batch, count, 4, generator=generator)
    address = torch.randint(0, 4, (batch, count, 4), generator=generator)
    address[..., LEVEL] %= 3
    action = torch.randint(0, 4, (batch, count), generator=generator)
    return x, address, action


def test_addresses_are_frame_row_column():
    address = Grid(side=4, levels=2).addresses(torch.tensor([5, 7]), 1)
    assert address.tolist() == [[f, 1, r, c] for f in (5, 7) for r in (0, 1) for c in (0, 1)]
    assert Grid(side=4, levels=2).frame_addresses()[:, LEVEL].tolist() == [0] * 16 + [1] * 4
    with pytest.raises(ValueError, match="6 x 6 patches per frame cannot be halved 2 times"):
        Grid(side=6, levels=3)


def test_time_features_match_the_reference_on_every_processor():
    """Frequencies are pinned to the last bit, since processors' exponentials differ."""
    pinned = ["1.000000", "1.dc2eda", "1.badf22", "1.9be3f8", "1.7f13a0", "1.64474e"]
    frequencies = torch.tensor(
        [float.fromhex(f"0x{digits}p{-(index > 0)}") for index, digits in enumerate(pinned)]
    )
    angles = (1000 * frequencies).double()
    features = time_features(torch.tensor(1.0)).double()
    torch.testing.assert_close(features[:6], angles.cos(), atol=2e-6, rtol=0)
    torch.testing.assert_close(features[128:134], angles.sin(), atol=2e-6, rtol=0)


def test_shortest_and_longest_wavelength():
    features = sinusoid_pairs(torch.tensor([[0.5]]), 3)
    frequencies = torch.tensor([1.0, 0.01, 0.0001])
    torch.testing.assert_close(
        features, torch.cat([(0.5 * frequencies).sin(), (0.5 * frequencies).cos()])[None]
    )


def test_width_that_six_does_not_divide_is_padded():
    features = video_position_features(torch.tensor([[9, 3, 2, 1]]), 40)
    assert features.shape == (1, 40)
    assert features[0, 36:].tolist() == [0.0] * 4


def test_rows_by_group_equal_rows_by_token(network):
    x, address, action = window()
    groups = torch.tensor([[0, 1, 1, 0, 1, 0, 0, 1, 1], [2, 3, 3, 3, 2, 2, 3, 2, 2]])
    time = torch.tensor([0.0, 0.7, 1.0, 0.2])
    by_group = Condition.per_group(time, groups, address[..., LEVEL], action, 3)
    by_token = per_token(time[groups], address[..., LEVEL], action)
    positions = network.positions(address)
    torch.testing.assert_close(network(x, positions, by_group), network(x, positions, by_token))


def test_outputs_for_the_last_tokens_equal_the_end_of_all(network):
    x, address, action = window()
    condition = per_token(torch.rand(2, 9), address[..., LEVEL], action)
    positions = network.positions(address)
    whole = network(x, positions, condition)
    torch.testing.assert_close(network(x, positions, condition, 4), whole[:, -4:])


def test_token_order_does_not_matter(network):
    x, address, action = window()
    time = torch.rand(2, 9)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))

    def predict(order):
        condition = per_token(time[:, order], address[:, order, LEVEL], action[:, order])
        return network(x[:, order], network.positions(address[:, order]), condition)

    torch.testing.assert_close(predict(order), predict(torch.arange(9))[:, order])


def test_a_window_looks_the_same_anywhere(network):
    _, address, _ = window()
    later = address.clone()
    later[..., FRAME] += torch.tensor([[100], [7]])
    assert torch.equal(network.positions(address), network.positions(later))


def test_fresh_networks_predict_zero():
    x, address, action = window()
    network = TokenDenoiser(SIZE, channels=4, num_levels=3)
    condition = per_token(torch.rand(2, 9), address[..., LEVEL], action)
    assert not network(x, network.positions(address), condition).any()
    block = network.trunk.blocks[0]
    bound = (6 / (36 + 3 * 36)) ** 0.5
    assert block.attn.qkv.weight.abs().max().item() == pytest.approx(bound, rel=0.02)
    assert not block.attn.qkv.bias.any()
    assert not block.modulation.linear.weight.any()
    assert network.trunk.time_embedding.mlp[0].weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert network.trunk.time_embedding.mlp[0].bias.any()


@given(st.integers(1, 3), st.integers(0, 2))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_framepack_patches_hold_their_cells(frames, level):
    side, size = 8, 2**level
    latents = torch.arange(frames * 3 * side * side).view(1, frames, 3, side, side).float()
    cut = patches(latents, level).view(frames, side // size, side // size, 3, size, size)
    for frame, row, column in [(0, 0, 0), (frames - 1, side // size - 1, 0)]:
        part = latents[0, frame, :, row * size : (row + 1) * size, column * size : (column + 1) * size]
        assert torch.equal(cut[frame, row, column], part)


def test_framepack_window_is_old_to_new():
    framepack = FramePackWindow(context_frames=(2, 0, 4), denoised_frames=1)
    assert framepack.runs() == [(2, 0, 4), (0, 4, 2), (0, 6, 1)]
    address = framepack.addresses(Grid(side=4, levels=3))
    assert len(address) == 4 * 1 + 2 * 16 + 16
    assert address[-1].tolist() == [6, 0, 3, 3]


def test_framepack_conditions_agree():
    framepack = FramePackWindow(context_frames=(1, 2), denoised_frames=1)
    network = randomise(FramePackDenoiser(SIZE, framepack, Grid(side=4, levels=2, channels=4)))
    latents, action = torch.randn(2, 4, 4, 4, 4), torch.tensor([[0, 1, 2, 0], [2, 2, 1, 1]])
    time = torch.tensor([[0.0, 0.3], [1.0, 0.8]])
    by_frame = per_frame(network, time[:, [0, 0, 0, 1]], action)
    torch.testing.assert_close(
        network(latents, network.condition_by_role(time, action)), network(latents, by_frame)
    )


@given(st.sampled_from([2, 4, 8]), st.integers(1, 3))
@settings(max_examples=10, deadline=None, derandomize=True)
def test_patches_round_trip(patch, cells):
    images = torch.rand(2, 3, patch * cells, patch * cells)
    assert torch.equal(join_patches(cut_patches(images, patch), patch), images)


def test_patches_are_channel_row_column():
    image = torch.arange(3 * 4 * 4).view(1, 3, 4, 4).float()
    assert torch.equal(cut_patches(image, 2)[0, 1], image[0, :, :2, 2:].flatten())


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    config = AutoencoderConfig(frame_size=32, patch=4, levels=3, channels=5, size="nano")
    return randomise(Autoencoder(config))


def test_pyramid_halves_and_means():
    images = torch.rand(1, 3, 16, 16)
    parts = patch_pyramid(images, 4, 3).split([16, 4, 1], dim=1)
    torch.testing.assert_close(join_patches(parts[2], 4), torch.nn.functional.avg_pool2d(images, 4))


def test_latents_lie_in_the_open_cube_and_levels_decode_separately(autoencoder):
    images = torch.rand(2, 3, 32, 32)
    levels = autoencoder.encode(images)
    assert [tuple(level.shape) for level in levels] == [(2, 64, 5), (2, 16, 5), (2, 4, 5)]
    assert all(level.abs().max() < 1 for level in levels)
    decoded = autoencoder.decode_patches(levels, torch.tensor([1, 2]))
    for image, level in ((0, 1), (1, 2)):
        alone = autoencoder.decode(levels[level][image : image + 1], level)
        torch.testing.assert_close(join_patches(decoded[image : image + 1, :64], 4), alone)


def test_cascade_pools_and_stops_gradients():
    finest = torch.rand(1, 16, 2, requires_grad=True)
    levels = mean_pool(finest, Grid(side=4, levels=3, channels=2))
    torch.testing.assert_close(levels[2][0, 0], finest[0].mean(0))
    torch.testing.assert_close(levels[1][0, 1], finest[0, [2, 3, 6, 7]].mean(0))
    assert levels[0].requires_grad
    assert not levels[1].requires_grad


def test_reconstruction_loss_weights_levels_equally(autoencoder):
    images, level = torch.rand(2, 3, 32, 32), torch.tensor([0, 2])
    loss, predicted = reconstruction_loss(autoencoder, images, level)
    target = patch_pyramid(images, 4, 3)
    parts = [
        (a - b).square().mean()
        for a, b in zip(predicted.split([64, 16, 4], 1), target.split([64, 16, 4], 1), strict=True)
    ]
    torch.testing.assert_close(loss, sum(parts) * 64 / 84)


def test_token_loss_counts_only_targets(network):
    x, address, action = window()
    target = torch.zeros(2, 9, dtype=torch.bool)
    target[0, :2] = target[1, 3:] = True
    eps, time = torch.randn(2, 9, 4), torch.tensor([0.3, 0.9])
    conditioned = torch.tensor([True, False])
    loss = token_loss(
        network, x, address, action.clamp(max=2), target,
        eps=eps, time=time, conditioned=conditioned, schedule=NoiseSchedule(),
    )  # fmt: skip
    times = torch.where(target, time[:, None], torch.tensor([[0.0], [1.0]]))
    alpha, sigma = (w[..., None] for w in NoiseSchedule().alpha_sigma(times))
    condition = per_token(times, address[..., LEVEL], mask_actions(action.clamp(max=2), conditioned))
    v = network(alpha * x + sigma * eps, network.positions(address), condition)
    error = (v - alpha * eps + sigma * x).square()
    torch.testing.assert_close(loss, (error[0, :2].sum() + error[1, 3:].sum()) / (8 * 4))


def test_frame_loss_of_a_fresh_network_is_the_loss_of_zero():
    framepack = FramePackWindow(context_frames=(1, 2), denoised_frames=2)
    network = FramePackDenoiser(SIZE, framepack, Grid(side=4, levels=2, channels=4))
    latents, eps = torch.randn(2, 2, 5, 4, 4, 4)
    time = torch.tensor([0.2, 0.6])
    loss = frame_loss(
        network, latents, torch.zeros(2, 5, dtype=torch.long),
        eps=eps, time=time, conditioned=torch.tensor([True, False]), schedule=NoiseSchedule(),
    )  # fmt: skip
    alpha, sigma = (w[:, None, None, None, None] for w in NoiseSchedule().alpha_sigma(time))
    torch.testing.assert_close(loss, (alpha * eps - sigma * latents)[:, -2:].square().mean())


def test_optimisers_share_all_parameters_and_warm_up(network):
    matrices, others = split_parameters(network)
    assert {*matrices, *others} == {name for name, _ in network.named_parameters()}
    assert "trunk.level_embedding.weight" in others
    assert "trunk.blocks.0.modulation.linear.weight" in matrices
    config = OptimizerConfig(warmup_steps=4)
    optimizers = build_optimizers(network.requires_grad_(True), config)
    assert [config.rate_at(step) for step in (0, 1, 4, 9)] == [0, 2.5e-4, 1e-3, 1e-3]
    set_learning_rate(optimizers, 0.5)
    assert [group["lr"] for optimizer in optimizers for group in optimizer.param_groups] == [0.5, 0.5]
