"""The models in the box: light, really trained, and the ones whose results are the leaderboard's entries."""

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
SEED = 1_000_003  # of no committed data
ALL = [(world, name) for world, names in SETS.items() for name in names]


@cache
def episode(world_id: str):
    """Frames (T, 3, 64, 64) and actions that nobody has trained on."""
    recipe = Recipe(world=world_id, split="train", num_episodes=1, num_frames=80, resolution=64, seed=SEED)
    world = make_world(recipe.world, resolution=recipe.resolution, quality=recipe.quality)
    plan = plan_train_episode(world, recipe, 0)
    frames = np.stack([seen.frame for seen in world.play(plan.world_seed, plan.actions)])
    return torch.from_numpy(frames).movedim(-1, 1), torch.from_numpy(plan.actions.astype(np.int64))


@cache
def result_of(world: str, name: str):
    return read_result(ENTRIES / "loopcraft-mini" / world / name / "result.json")


@cache
def boxed(world: str, name: str):
    """The model as whoever names no weights gets it."""
    return build_rollout(name, world=world)


def psnr(a, b):
    return -10 * (a - b).square().mean(dim=(-3, -2, -1)).log10()


def mean(world, name, metric, window):
    return result_of(world, name).metrics[metric].windows[window].mean


def test_the_box_is_light():
    assert boxed_worlds() == tuple(sorted(SETS))
    for world, names in SETS.items():
        files = (PRETRAINED_FOLDER / world).glob("*.safetensors")
        assert {path.stem for path in files} == {"autoencoder", *names}
    assert sum(path.stat().st_size for path in PRETRAINED_FOLDER.glob("*/*.safetensors")) < 24e6


@pytest.mark.parametrize(("world", "finest", "step"), [("plaza-v1", 30, 2), ("voxel-v1", 23, 1)])
def test_every_level_gives_the_frame_back_and_finer_ones_better(world, finest, step):
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
def test_a_model_without_named_weights_is_the_one_in_the_box(world, name):
    frames, actions = episode(world)
    model = boxed(world, name)
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
def test_results_are_of_the_models_in_the_box(world, name):
    result = result_of(world, name)
    assert result.model.checkpoint_sha256 == boxed(world, name).checkpoint_sha256
    assert result.data.world_id == world
    assert len(result.data.keys) >= 64


@pytest.mark.parametrize("world", SETS)
def test_all_results_are_of_the_same_test_videos(world):
    results = [result_of(world, name) for name in (*SETS[world], *REFERENCES)]
    assert len({result.data.fingerprint for result in results}) == 1
    assert {result.data.frame_shape for result in results} == {(3, 64, 64)}


@pytest.mark.parametrize("window", ["short", "medium", "long"])
@pytest.mark.parametrize("metric", ["psnr", "ssim"])
@pytest.mark.parametrize(("world", "name"), ALL)
def test_models_beat_the_bounds(world, name, metric, window):
    chance = 0.01 if (metric, window) == ("ssim", "short") else 0.0  # there the last frame is hard to beat
    assert (
        mean(world, name, metric, window)
        > max(mean(world, bound, metric, window) for bound in REFERENCES) - chance
    )


@pytest.mark.parametrize("window", ["medium", "long"])
@pytest.mark.parametrize("world", SETS)
def test_millivid_is_ahead_where_memory_counts(world, window):
    """By more than chance: the interval of the difference a video leaves out zero."""
    for metric, sign in (("psnr", 1), ("lpips", -1)):
        ours = np.array(result_of(world, "millivid").metrics[metric].videos[window])
        for other in (*BASELINES, "copy-last"):
            theirs = np.array(result_of(world, other).metrics[metric].videos[window])
            low, _ = bootstrap_interval(sign * (ours - theirs))
            assert low > 0


@pytest.mark.parametrize("metric", ["psnr", "lpips"])
def test_what_returns_gains_millivid_more_than_anybody(metric):
    """On voxel-v1: its interval lies above those of all others."""
    gains = {
        name: recall_gain(result_of("voxel-v1", name), metric).estimate
        for name in ("millivid", *BASELINES, *REFERENCES)
    }
    ours = gains.pop("millivid")
    assert all(ours.interval[0] > other.interval[1] for other in gains.values())


def test_data_of_another_world_gets_the_natural_set_and_a_note():
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


def test_a_misspelt_world_is_a_sentence():
    with pytest.raises(UserError, match=r"^unknown world 'plaza': choose one of voxel-v1, plaza-v1, minerl"):
        load("millivid", world="plaza")
    assert load("millivid", world="minerl").notes


def test_a_set_that_is_not_there_is_a_sentence():
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
def test_checkpoints_say_how_they_were_trained_and_logs_agree(world, stem):
    folder = PRETRAINED_FOLDER / world
    header, _ = read_checkpoint(folder / f"{stem}.safetensors")
    log = losses_of(folder, stem)
    assert log[-1]["step"] + 1 == header["training"]["step"]
    begins = log
    if header["training"].get("initial"):  # with what another run ended
        assert (
            header["training"]["initial"]
            == read_checkpoint(folder / "millivid.safetensors")[0]["packed_from"]
        )
        begins = losses_of(folder, "millivid")
    first, last = (np.mean([record["loss"] for record in part]) for part in (begins[:5], log[-20:]))
    assert last < 0.4 * first


def losses_of(folder: Path, stem):
    return [json.loads(line) for line in (folder / f"{stem}.jsonl").read_text().splitlines()]
