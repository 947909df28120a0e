"""The included models: small, really trained, and the source of the leaderboard's entries."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.results.bootstrap import bootstrap_interval
from benchmark.results.recall import recall_gain
from benchmark.results.result_file import read_result
from leaderboard.entry.shipped import ENTRIES
from loopcraft.core.errors import UserError
from loopcraft.generation.plan import plan_train_episode
from loopcraft.generation.recipe import Recipe
from loopcraft.worlds import make_world
from models.checkpoints.format import read_checkpoint
from models.sampling.diffusion import Sampling
from models.zoo.box import PRETRAINED_FOLDER, boxed_worlds, world_mismatch
from models.zoo.loading import WeightSource, load_autoencoder
from models.zoo.world_models import build_rollout, load

SETS = {
    "plaza-v1": ("millivid", "framepack", "full-resolution", "millivid-causal"),
    "voxel-v1": ("millivid", "framepack", "full-resolution"),
}
BASELINES = ("framepack", "full-resolution")
REFERENCES = ("copy-last", "other-video")
SAMPLING = {
    "plaza-v1": Sampling(steps=6, solver="dpm++2m", bound=2.0),
    "voxel-v1": Sampling(steps=12, solver="dpm++2m", bound=2.0),
}
CONTEXT = 64
SEED = 1_000_003  # not used by any committed data
ALL = [(world, name) for world, names in SETS.items() for name in names]


@cache
def episode(world_id: str):
    """Make frames (T, 3, 64, 64) and actions of an episode no model was trained on."""
    recipe = Recipe(world=world_id, split="train", num_episodes=1, num_frames=80, resolution=64, seed=SEED)
    world = make_world(recipe.world, resolution=recipe.resolution, quality=recipe.quality)
    plan = plan_train_episode(world, recipe, 0)
    frames = np.stack([sample.frame for sample in world.play(plan.world_seed, plan.actions)])
    return torch.from_numpy(frames).movedim(-1, 1), torch.from_numpy(plan.actions.astype(np.int64))


@cache
def read_entry(world: str, name: str):
    return read_result(ENTRIES / "loopcraft-mini" / world / name / "result.json")


@cache
def build_included(world: str, name: str):
    """Build the model as without named weights."""
    return build_rollout(name, world=world)


def psnr(a, b):
    return -10 * (a - b).square().mean(dim=(-3, -2, -1)).log10()


def mean(world, name, metric, window):
    return read_entry(world, name).metrics[metric].windows[window].mean


def test_the_included_models_are_small():
    assert boxed_worlds() == tuple(sorted(SETS))
    for world, names in SETS.items():
        files = (PRETRAINED_FOLDER / world).glob("*.safetensors")
        assert {path.stem for path in files} == {"autoencoder", *names}
    assert sum(path.stat().st_size for path in PRETRAINED_FOLDER.glob("*/*.safetensors")) < 24e6


@pytest.mark.parametrize(("world", "finest", "step"), [("plaza-v1", 30, 2), ("voxel-v1", 23, 1)])
def test_every_level_reconstructs_the_frame_and_finer_levels_do_better(world, finest, step):
    frames, _ = episode(world)
    images = frames[::8].float() / 255
    autoencoder, _ = load_autoencoder("millivid", WeightSource(world=world))
    with torch.no_grad():
        levels = autoencoder.encode(images)
        quality = [
            psnr(autoencoder.decode(latents, level).clamp(0, 1), images).mean().item()
            for level, latents in enumerate(levels)
        ]
    assert quality[0] > finest
    assert quality[0] > quality[1] + step > quality[2] + 2 * step


@pytest.mark.parametrize(("world", "name"), ALL)
def test_a_model_without_named_weights_is_the_included_one(world, name):
    frames, actions = episode(world)
    model = build_included(world, name)
    assert model.name == name
    assert model.notes == ()
    assert model._sampling == SAMPLING[world]
    model._sampling = replace(SAMPLING[world], steps=4)  # enough to be nowhere near noise
    first = CONTEXT - model.max_context
    generated = next(
        model.rollout(frames[None, first:CONTEXT], actions[None, first : CONTEXT + 4], seeds=[0])
    )
    truth = frames[CONTEXT : CONTEXT + generated.shape[1]].float() / 255
    noise = torch.rand(truth.shape, generator=torch.Generator().manual_seed(0))
    assert psnr(generated[0], truth).mean() > psnr(noise, truth).mean() + 10


@pytest.mark.parametrize(("world", "name"), ALL)
def test_results_are_of_the_included_models(world, name):
    result = read_entry(world, name)
    assert result.model.checkpoint_sha256 == build_included(world, name).checkpoint_sha256
    assert result.data.world_id == world
    assert len(result.data.keys) >= 64


@pytest.mark.parametrize("world", SETS)
def test_all_results_use_the_same_test_videos(world):
    results = [read_entry(world, name) for name in (*SETS[world], *REFERENCES)]
    assert len({result.data.fingerprint for result in results}) == 1
    assert {result.data.frame_shape for result in results} == {(3, 64, 64)}


@pytest.mark.parametrize("window", ["short", "medium", "long"])
@pytest.mark.parametrize("metric", ["psnr", "ssim"])
@pytest.mark.parametrize(("world", "name"), ALL)
def test_models_beat_the_bounds(world, name, metric, window):
    chance = 0.01 if (metric, window) == ("ssim", "short") else 0.0  # the last frame is hard to beat there
    assert (
        mean(world, name, metric, window)
        > max(mean(world, bound, metric, window) for bound in REFERENCES) - chance
    )


@pytest.mark.parametrize("window", ["medium", "long"])
@pytest.mark.parametrize("world", SETS)
def test_millivid_is_ahead_if_memory_counts(world, window):
    """The interval of the per-video difference excludes zero."""
    for metric, sign in (("psnr", 1), ("lpips", -1)):
        scores = np.array(read_entry(world, "millivid").metrics[metric].videos[window])
        for other in (*BASELINES, "copy-last"):
            other_scores = np.array(read_entry(world, other).metrics[metric].videos[window])
            low, _ = bootstrap_interval(sign * (scores - other_scores))
            assert low > 0


@pytest.mark.parametrize("metric", ["psnr", "lpips"])
def test_millivid_has_the_largest_recall_gain(metric):
    """On voxel-v1 its interval lies above all others."""
    gains = {
        name: recall_gain(read_entry("voxel-v1", name), metric).estimate
        for name in ("millivid", *BASELINES, *REFERENCES)
    }
    millivid_gain = gains.pop("millivid")
    assert all(millivid_gain.interval[0] > other.interval[1] for other in gains.values())


def test_data_of_another_world_gets_the_default_set_and_a_note():
    assert world_mismatch("pretrained", "plaza-v1") is None
    assert world_mismatch("pretrained", None) is None
    assert world_mismatch("some/folder", "minerl") is None
    note = "the weights were trained on world 'voxel-v1', and the data is of 'minerl'"
    assert world_mismatch("pretrained", "minerl") == note
    model = build_rollout("millivid", world="minerl")
    assert model.notes == (note,)
    assert (
        model.checkpoint_sha256
        == build_rollout("millivid", checkpoint="pretrained/voxel-v1").checkpoint_sha256
    )
    assert build_rollout("millivid", checkpoint="pretrained/plaza-v1", world="voxel-v1").notes


def test_a_misspelt_world_is_refused_in_a_sentence():
    with pytest.raises(UserError, match=r"^unknown world 'plaza': choose one of voxel-v1, plaza-v1, minerl"):
        load("millivid", world="plaza")
    assert load("millivid", world="minerl").notes


def test_a_missing_set_is_refused_in_a_sentence():
    with pytest.raises(
        UserError, match="no models for world 'moon' come with the project, only for plaza-v1, "
    ):
        build_rollout("millivid", checkpoint="pretrained/moon")
    with pytest.raises(
        UserError, match="no weights of upscale for plaza-v1 come with the project, only autoenc"
    ):
        build_rollout("upscale", world="plaza-v1")
    with pytest.raises(UserError, match=r"for voxel-v1 come .* 'published', 'pretrained/plaza-v1'"):
        build_rollout("millivid-causal", world="voxel-v1")


@pytest.mark.parametrize(
    ("world", "stem"), [(world, stem) for world, names in SETS.items() for stem in ("autoencoder", *names)]
)
def test_checkpoints_and_logs_agree_on_the_training(world, stem):
    folder = PRETRAINED_FOLDER / world
    header, _ = read_checkpoint(folder / f"{stem}.safetensors")
    log = read_log(folder, stem)
    assert log[-1]["step"] + 1 == header["training"]["step"]
    begins = log
    if header["training"].get("initial"):  # the final weights of another run
        assert (
            header["training"]["initial"]
            == read_checkpoint(folder / "millivid.safetensors")[0]["packed_from"]
        )
        begins = read_log(folder, "millivid")
    first, last = (np.mean([record["loss"] for record in part]) for part in (begins[:5], log[-20:]))
    assert last < 0.4 * first


def read_log(folder: Path, stem):
    return [json.loads(line) for line in (folder / f"{stem}.jsonl").read_text().splitlines()]
