"""Dead reckoning: true to the world, independent of the clip's start, the same in training and rollout."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from loopcraft.walks.actions import TICKS_PER_ENTRY, draw_walks
from loopcraft.worlds import make_world
from models.networks.framepack import FramePackDenoiser, FramePackWindow
from models.networks.layers import SIZES
from models.networks.odometry import (
    BLOCKS_PER_TICK,
    KEPT_PER_TICK,
    NUM_POSE_FEATURES,
    dead_reckoning,
    pose_features,
    relative_poses,
    token_poses,
)
from models.networks.tokens import Grid
from models.plans.builders import plan_config
from models.sampling.diffusion import Sampling
from models.sampling.token_sampler import TokenSampler, keyed_noise
from models.train.data.pool import PoolConfig
from models.train.objectives import TokenObjective
from models.zoo.configs import CausalModelConfig, TokenModelConfig

GRID = Grid(side=4, levels=2, channels=4)
PLAN = plan_config("millivid", windows=[2, 8], extra_budget=32)


def make_walks(count: int, ticks: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(draw_walks(np.random.default_rng(seed), count, ticks)).long()


def test_dead_reckoning_sums_ticks_one_by_one() -> None:
    actions = make_walks(3, 200)
    for walk, poses in zip(actions.tolist(), dead_reckoning(actions).double().tolist(), strict=True):
        x = y = yaw_deg = speed_x = speed_y = 0.0
        for action, pose in zip(walk, poses, strict=True):
            yaw_deg += {0: 0, 1: -10, 2: 10}[action]
            push = BLOCKS_PER_TICK * (action == 0)
            sine, cosine = math.sin(math.radians(yaw_deg)), math.cos(math.radians(yaw_deg))
            speed_x = KEPT_PER_TICK * speed_x + (1 - KEPT_PER_TICK) * push * sine
            speed_y = KEPT_PER_TICK * speed_y + (1 - KEPT_PER_TICK) * push * cosine
            x, y = x + speed_x, y + speed_y
            assert pose == pytest.approx([x, y, math.radians(yaw_deg)], abs=0.01)


def test_dead_reckoning_follows_the_block_world() -> None:
    world = make_world("voxel-v1", resolution=16)
    errors = []
    for seed, walk in enumerate(make_walks(8, 128)):
        samples = list(world.play(seed, walk.numpy()))
        true = torch.tensor(
            [[-frame.pose[0], frame.pose[2], math.radians(frame.pose[3])] for frame in samples]
        )
        reckoned_poses = dead_reckoning(walk[None])
        true_path, reckoned_path = (
            relative_poses(poses[:, 20:21], poses[:, 20:])[0] for poses in (true[None], reckoned_poses)
        )
        difference = true_path - reckoned_path
        errors.append(difference[[16, 64], :2].norm(dim=1))
        assert (((difference[:, 2] + math.pi) % (2 * math.pi)) - math.pi).abs().max() < 1e-4
    after_16, after_64 = torch.stack(errors).median(0).values.tolist()
    assert after_16 < 0.4  # of about 2 blocks walked
    assert after_64 < 1.5


def test_the_first_target_is_at_the_origin() -> None:
    actions = make_walks(2, 60)
    frame = torch.tensor([[3, 50, 20, 40], [0, 1, 2, 3]])
    target = torch.tensor([[False, True, False, True], [False, False, True, True]])
    poses = token_poses(actions, frame, target)
    assert poses[0, 3].abs().max() == 0
    assert poses[1, 2].abs().max() == 0
    assert poses[0, 1].abs().max() > 0


def test_the_start_of_a_clip_does_not_matter() -> None:
    actions = make_walks(4, 300)
    frame = torch.tensor([[60, 80, 120, 90]]).expand(4, -1)
    target = torch.tensor([[False, False, False, True]]).expand(4, -1)
    whole = token_poses(actions, frame, target)
    clip = token_poses(actions[:, 10:], frame - 10, target)
    torch.testing.assert_close(clip, whole, atol=1e-2, rtol=0)


def test_features_distinguish_poses_but_not_full_turns() -> None:
    pose = torch.tensor([1.0, 2.0, 0.5])
    features = pose_features(pose)
    assert features.shape == (NUM_POSE_FEATURES,)
    torch.testing.assert_close(
        pose_features(pose + torch.tensor([0, 0, 2 * math.pi])), features, atol=1e-5, rtol=0
    )
    for change in torch.eye(3) * 0.2:
        assert (pose_features(pose + change) - features).abs().max() > 0.05


def make_sampler(kind: type[TokenModelConfig]) -> TokenSampler:
    config = kind(plan=PLAN, size="nano", levels=2, odometry=True)
    torch.manual_seed(0)
    network = config.network(GRID)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.1)
    sampler = config.sampler(network, GRID, Sampling(steps=3))
    assert isinstance(sampler, TokenSampler)
    return sampler


@pytest.mark.parametrize("kind", [TokenModelConfig, CausalModelConfig])
def test_a_rollout_depends_on_where_the_actions_lead(kind: type[TokenModelConfig]) -> None:
    """The two walks differ long before any token's frame, and so only in poses."""
    sampler = make_sampler(kind)
    start = sampler.num_context
    context = [torch.randn(1, 100, n, GRID.channels).tanh() for n in GRID.tokens_per_level]
    actions = make_walks(1, 100 + sampler.num_future(1))
    turned = actions.clone()
    turned[:, : 100 - start - TICKS_PER_ENTRY] = 2  # before everything that is read, so nothing changes
    bent = actions.clone()
    bent[:, 100 + 1] = (bent[:, 100 + 1] + 1) % 3

    def roll_out(walk: Tensor) -> Tensor:
        parts = sampler.rollout(context, walk, keyed_noise([1]))
        return torch.cat([part.latents.flatten() for part in parts])

    torch.testing.assert_close(roll_out(turned), roll_out(actions), atol=0.05, rtol=0)
    assert (roll_out(bent) - roll_out(actions)).abs().max() > 1e-3


def test_training_and_rollout_place_tokens_equally() -> None:
    sampler = make_sampler(TokenModelConfig)
    plan = PLAN.build(GRID)
    objective = TokenObjective(sampler.network, plan, GRID, context_dropout=0.0)

    class OneClip:
        values = torch.zeros(1, plan.num_frames, sum(GRID.tokens_per_level), GRID.channels)
        actions = make_walks(1, plan.num_frames)
        config = PoolConfig()

        def draw(self, rng: np.random.Generator, count: int, clip_length: int) -> tuple[Tensor, Tensor]:
            return torch.zeros(count, dtype=torch.long), torch.zeros(count, dtype=torch.long)

    batch = objective.draw(OneClip(), 6, np.random.default_rng(0), torch.Generator())  # type: ignore[arg-type]
    for address, target, poses in zip(batch["address"], batch["target"], batch["poses"], strict=True):
        of_frame = token_poses(OneClip.actions, address[None, :, 0], target[None])[0]
        torch.testing.assert_close(poses, of_frame)
        assert poses[target][0].abs().max() == 0


def test_samples_without_context_have_no_pose() -> None:
    network = make_sampler(TokenModelConfig).network
    address = GRID.addresses(torch.arange(3), 0)
    assert torch.equal(
        network.positions(address[None], torch.zeros(1, len(address), 3))[0], network.positions(address)
    )


def test_framepack_uses_the_actions_of_its_window() -> None:
    window = FramePackWindow(context_frames=(2, 4), denoised_frames=2)
    torch.manual_seed(0)
    network = FramePackDenoiser(SIZES["nano"], window, GRID, odometry=True)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.1)
    latents = torch.randn(1, window.num_frames, GRID.channels, GRID.side, GRID.side)
    actions = make_walks(1, window.num_frames)
    condition = network.condition_by_role(torch.tensor([[0.0, 0.5]]), actions)
    bent = (actions + 1) % 3
    expected = network(latents, condition, actions)
    assert (network(latents, condition, bent) - expected).abs().max() > 1e-3
    assert torch.equal(network(latents, condition, actions), expected)
    with pytest.raises(AssertionError, match="needs the actions of its window"):
        network(latents, condition)
