"""The models in the box: light, really trained, and the ones whose results are committed beside them."""

import json

import numpy as np
import pytest
import torch

from benchmark.results import read_result
from benchmark.statistics import bootstrap_interval
from loopcraft.plan import plan_train_episode
from loopcraft.recipe import Recipe
from loopcraft.worlds import make_world
from models.box import PRETRAINED_FOLDER
from models.checkpoints import read_checkpoint
from models.diffusion import Sampling
from models.rollouts import build_rollout
from models.weights import Source, load_autoencoder

RESULTS = PRETRAINED_FOLDER / "results"
MODELS = ("millivid", "framepack", "full-resolution", "millivid-causal")
BASELINES = ("framepack", "full-resolution")
BOUNDS = ("copy-last", "other-video")
MILLIVID = PRETRAINED_FOLDER / "millivid.safetensors"
SEED = 1_000_003  # of no committed data


@pytest.fixture(scope="module")
def episode():
    """Frames (T, 3, 64, 64) and actions that nobody has trained on."""
    recipe = Recipe(world="voxel-v1", split="train", num_episodes=1, num_frames=80, resolution=64, seed=SEED)
    world = make_world(recipe.world, resolution=recipe.resolution, quality=recipe.quality)
    plan = plan_train_episode(world, recipe, 0)
    frames = np.stack([seen.frame for seen in world.play(plan.world_seed, plan.actions)])
    return torch.from_numpy(frames).movedim(-1, 1), torch.from_numpy(plan.actions.astype(np.int64))


def psnr(a, b):
    return -10 * (a - b).square().mean(dim=(-3, -2, -1)).log10()


def mean(name, metric, window):
    return read_result(RESULTS / name / "result.json").metrics[metric].windows[window].mean


def test_the_box_is_light():
    files = sorted(PRETRAINED_FOLDER.glob("*.safetensors"))
    assert {path.stem for path in files} == {"autoencoder", *MODELS}
    assert sum(path.stat().st_size for path in files) < 12e6


def test_every_level_gives_the_frame_back_and_finer_ones_better(episode):
    frames, _ = episode
    images = frames[::8].float() / 255
    autoencoder, _ = load_autoencoder("millivid", Source())
    with torch.no_grad():
        levels = autoencoder.encode(images)
        quality = [
            psnr(autoencoder.decode(latents, level).clamp(0, 1), images).mean().item()
            for level, latents in enumerate(levels)
        ]
    assert quality[0] > 23
    assert quality[0] > quality[1] + 1 > quality[2] + 2


@pytest.mark.parametrize("name", MODELS)
def test_a_model_without_named_weights_is_the_one_in_the_box(name, episode):
    frames, actions = episode
    model = build_rollout(name)
    assert model.name == name
    assert model._sampling == Sampling(steps=4, solver="dpm++2m")
    context = frames[None, :64]
    generated = next(model.rollout(context, actions[None, :68], seeds=[0]))[0]
    truth = frames[64 : 64 + len(generated)].float() / 255
    noise = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0))
    assert psnr(generated, truth).mean() > psnr(noise, truth).mean() + 4


@pytest.mark.parametrize("name", MODELS)
def test_results_are_of_the_models_in_the_box(name):
    result = read_result(RESULTS / name / "result.json")
    assert result.model.checkpoint_sha256 == build_rollout(name).checkpoint_sha256
    assert len(result.data.keys) >= 64


def test_all_results_are_of_the_same_test_videos():
    results = [read_result(RESULTS / name / "result.json") for name in (*MODELS, *BOUNDS)]
    assert len({result.data.fingerprint for result in results}) == 1
    assert {result.data.frame_shape for result in results} == {(3, 64, 64)}


@pytest.mark.parametrize("window", ["short", "medium", "long"])
@pytest.mark.parametrize("metric", ["psnr", "ssim"])
@pytest.mark.parametrize("name", MODELS)
def test_models_beat_the_bounds(name, metric, window):
    chance = 0.01 if (metric, window) == ("ssim", "short") else 0.0  # there the last frame is hard to beat
    assert mean(name, metric, window) > max(mean(bound, metric, window) for bound in BOUNDS) - chance


@pytest.mark.parametrize("window", ["medium", "long"])
@pytest.mark.parametrize("name", ["millivid", "millivid-causal"])
def test_millivid_is_ahead_where_memory_counts(name, window):
    """By more than chance: the interval of the difference a video lies above zero."""
    results = {name: read_result(RESULTS / name / "result.json") for name in MODELS}
    ours = np.array(results[name].metrics["psnr"].videos[window])
    for baseline in BASELINES:
        low, _ = bootstrap_interval(ours - results[baseline].metrics["psnr"].videos[window])
        assert low > 0


@pytest.mark.parametrize("stem", ["autoencoder", *MODELS])
def test_checkpoints_say_how_they_were_trained_and_logs_agree(stem):
    header, _ = read_checkpoint(PRETRAINED_FOLDER / f"{stem}.safetensors")
    log = losses_of(stem)
    assert log[-1]["step"] + 1 == header["training"]["step"]
    begins = log
    if header["training"].get("initial"):  # with what another run ended
        assert header["training"]["initial"] == read_checkpoint(MILLIVID)[0]["packed_from"]
        begins = losses_of("millivid")
    first, last = (np.mean([record["loss"] for record in part]) for part in (begins[:5], log[-20:]))
    assert last < 0.4 * first


def losses_of(stem):
    return [json.loads(line) for line in (PRETRAINED_FOLDER / f"{stem}.jsonl").read_text().splitlines()]
