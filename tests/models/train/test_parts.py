"""The parts of training: samples, sources of episodes, and packages that must not be imported."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from loopcraft.core.errors import UserError
from loopcraft.core.files import write_json
from loopcraft.dataset import open_dataset
from loopcraft.generation.plan import plan_train_episode
from loopcraft.generation.recipe import Recipe
from loopcraft.video.h264 import video_writer
from loopcraft.worlds import make_world
from models.latents.store import MANIFEST, make_manifest, open_latents
from models.train.config import SCHEDULES, differences
from models.train.data.episodes import DatasetEpisodes, LatentEpisodes
from models.train.data.played import WorldEpisodes
from models.train.data.pool import EpisodePool, PoolConfig
from models.train.data.windows import WindowTable
from models.train.detail_loss import gradient_difference, load_vgg
from models.zoo.presets import PRESETS
from tests.fakes.benchmark_data import NUM_FRAMES, make_frames, write_dataset
from tests.fakes.training_runs import write_latents
from tests.fakes.world import FakeWorld
from tests.references.windows import cut_window

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", ["millivid", "framepack-mirrored", "full-resolution", "upscale"])
def test_a_batch_of_windows_equals_single_windows(name):
    preset = PRESETS["trial"].model(name, 16)
    grid = preset.autoencoder.grid
    plan = preset.video.plan.build(grid)
    draws = torch.Generator().manual_seed(0)
    frames = plan.num_frames + 5
    pool = torch.rand(2, frames, sum(grid.tokens_per_level), grid.channels, generator=draws)
    actions = torch.randint(3, (2, frames), generator=draws)
    steps = torch.arange(len(plan.steps))
    video, start = steps % 2, steps % 5
    batch = WindowTable(plan, grid).cut(pool, actions, video, start, steps)
    for i in range(len(steps)):
        clip = slice(int(start[i]), int(start[i]) + plan.num_frames)
        levels = [*pool[video[i], clip].split(grid.tokens_per_level, dim=1)]
        states = np.zeros((plan.num_frames, 6), np.float32)
        states[:, 0] = actions[video[i], clip]
        window = cut_window(levels, states, plan, i, grid)
        assert torch.equal(batch.tokens[i], window.tokens)
        assert torch.equal(batch.address[i], window.address)
        assert torch.equal(batch.actions[i], window.actions[:, 0].long())
        assert torch.equal(batch.roles[i], window.roles)


def make_pool(latents: Path, first_step: int, **more) -> EpisodePool:
    source = LatentEpisodes(open_latents(latents), min_frames=1, seed=0)
    config = PoolConfig(episodes=2, fresh=0.5)
    more = {"workers": 0, **more}
    return EpisodePool(source, config, convert=lambda values: values, first_step=first_step, **more)


def test_the_pool_depends_only_on_the_step(tmp_path):
    latents = write_latents(tmp_path)
    advanced, resumed = make_pool(latents, 0), make_pool(latents, 7, workers=1)
    for step in range(8):
        advanced.advance(step, lambda: False)
    resumed.advance(7, lambda: False)
    assert advanced.next_episode == resumed.next_episode == 5
    assert torch.equal(advanced.values, resumed.values)
    assert torch.equal(advanced.actions, resumed.actions)
    drawn = [pool.draw(np.random.default_rng(1), 6, 100) for pool in (advanced, resumed)]
    assert all(
        torch.equal(advanced_part, resumed_part) for advanced_part, resumed_part in zip(*drawn, strict=True)
    )
    assert int(drawn[0][1].max()) <= 20


def test_processes_share_the_episodes(tmp_path):
    latents = write_latents(tmp_path)
    pools = [make_pool(latents, 0, rank=rank, processes=2) for rank in range(2)]
    for pool in pools:
        pool.advance(0, lambda: False)
    source = LatentEpisodes(open_latents(latents), min_frames=1, seed=0)
    expected = [source[number].values for number in range(4)]
    actual = [pools[number % 2].values[number // 2].numpy() for number in range(4)]
    assert all(
        np.array_equal(episode, expected_episode)
        for episode, expected_episode in zip(actual, expected, strict=True)
    )


def test_every_clip_is_equally_likely(tmp_path):
    pool = make_pool(write_latents(tmp_path), 0)
    pool.lengths[:] = 5, 8
    slot, start = pool.draw(np.random.default_rng(0), 7000, 4)
    pairs, counts = torch.unique(torch.stack([slot, start]), dim=1, return_counts=True)
    assert pairs.T.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [1, 3], [1, 4]]
    assert counts.min() > 880


def test_simulated_episodes_match_the_train_split():
    recipe = Recipe(world="voxel-v1", split="train", num_episodes=9, num_frames=24, resolution=16, seed=3)
    world = make_world("voxel-v1", resolution=16)
    plan = plan_train_episode(world, recipe, 5)
    expected = [sample.frame for sample in islice(world.play(plan.world_seed, plan.actions), 24)]
    episode = WorldEpisodes(recipe=recipe)[5]
    assert np.array_equal(episode.values, np.stack(expected))
    assert episode.actions.tolist() == plan.actions.tolist()
    assert episode.seconds > 0


def test_stuck_walks_are_drawn_again():
    recipe = Recipe(world="voxel-v1", split="train", num_episodes=1, num_frames=40, resolution=16)
    episodes = [WorldEpisodes(recipe=recipe, world=FakeWorld(16))[i] for i in range(20)]
    assert all(len(episode.values) == 40 for episode in episodes)


def test_training_from_the_world_needs_few_packages(tmp_path):
    code = (
        "import sys\n"
        "for name in ('pandas', 'pyarrow', 'av', 'cv2', 'matplotlib', 'PIL', 'torchvision', 'lpips',\n"
        "             'huggingface_hub', 'torchmetrics'):\n"
        "    sys.modules[name] = None\n"
        "from models.train.__main__ import main\n"
        "flags = '--data voxel-v1 --preset trial --resolution 16 --episode-frames 8 --pool 1 --steps 1'\n"
        "more = ['--workers', '0', '--device', 'cpu', '--out', sys.argv[1]]\n"
        "raise SystemExit(main(['autoencoder', *flags.split(), *more]))\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert "trained 1 steps" in process.stdout


def test_gradient_difference_on_a_simple_case():
    flat = torch.zeros(1, 3, 4, 4)
    assert gradient_difference(flat + 0.3, flat) == pytest.approx(0, abs=1e-6)
    step = flat.clone()
    step[..., 2:] = 1  # one of three horizontal differences is 1
    assert gradient_difference(step, flat) == pytest.approx(1 / 3)


def test_vgg_weights_are_checked(tmp_path):
    network = torch.nn.ModuleDict({"slice1": torch.nn.ModuleDict({"0": torch.nn.Conv2d(3, 4, 3)})})
    weight, bias = torch.rand(4, 3, 3, 3), torch.rand(4)
    path = tmp_path / "vgg.pth"
    with pytest.raises(UserError, match="no such file"):
        load_vgg(network, path)
    torch.save({"features.0.weight": weight}, path)
    with pytest.raises(UserError, match=r"lacks features\.0\.bias"):
        load_vgg(network, path)
    torch.save({"features.0.weight": weight, "features.0.bias": bias, "classifier.0.bias": bias}, path)
    load_vgg(network, path)
    assert torch.equal(network["slice1"]["0"].weight, weight)
    path.write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"vgg.pth: not a file of weights"):
        load_vgg(network, path)


def test_vgg_is_found_in_a_folder_of_fetched_weights(tmp_path):
    network = torch.nn.ModuleDict({"slice1": torch.nn.ModuleDict({"0": torch.nn.Conv2d(3, 4, 3)})})
    with pytest.raises(UserError, match=r"vgg16.safetensors: no such file; .* fetch --only vgg16"):
        load_vgg(network, tmp_path)
    weight, bias = torch.rand(4, 3, 3, 3), torch.rand(4)
    path = tmp_path / "vgg16" / "vgg16.safetensors"
    path.parent.mkdir()
    features = {"features.0.weight": weight, "features.0.bias": bias}
    save_file(features | {"lin0.model.1.weight": torch.ones(4)}, path)
    load_vgg(network, tmp_path)
    assert torch.equal(network["slice1"]["0"].weight, weight)
    path.write_bytes(b"short")
    with pytest.raises(UserError, match=r"vgg16.safetensors: not a file of weights"):
        load_vgg(network, tmp_path)


def test_schedules_match_the_paper():
    assert (SCHEDULES["paper"].autoencoder.batch_size, SCHEDULES["paper"].video.batch_size) == (1792, 384)
    assert SCHEDULES["paper"].autoencoder.steps == 128_000
    assert [SCHEDULES[preset].video.steps for preset in ("paper", "paper-ablation")] == [192_000, 256_000]


def test_differences_are_found_at_any_depth():
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 4}) == [
        "a.c is 2 here and 3 there",
        "d is None here and 4 there",
    ]


def test_data_sets_of_equal_lengths_but_other_pixels_are_different_data(tmp_path):
    root = write_dataset(tmp_path / "data", num_videos=2)
    copy = write_dataset(tmp_path / "copy", num_videos=2)
    first, same = (DatasetEpisodes(path, min_frames=1, seed=0).identity for path in (root, copy))
    assert first == same == open_dataset(root).fingerprint
    with video_writer(copy / "000/001.mp4", height=16, width=16, lossless=True) as writer:
        for frame in 255 - make_frames(1):
            writer.write(frame)
    assert open_dataset(copy).num_frames("000/001") == NUM_FRAMES
    assert DatasetEpisodes(copy, min_frames=1, seed=0).identity != first


@pytest.mark.parametrize("other", [{"data_fingerprint": "b"}, {"autoencoder_sha256": "b"}])
def test_latents_of_other_frames_or_autoencoders_are_different_data(tmp_path, other):
    folder = write_latents(tmp_path / "latents")
    (folder / "SHA256SUMS").unlink()
    grid = open_latents(folder).grid
    origin = {"autoencoder_sha256": "a", "data_fingerprint": "a"}
    identities = []
    for changes in ({}, {}, other):
        write_json(folder / MANIFEST, make_manifest(grid, torch.float32, **{**origin, **changes}))
        identities.append(LatentEpisodes(open_latents(folder), min_frames=1, seed=0).identity)
    assert identities[0] == identities[1] != identities[2]
