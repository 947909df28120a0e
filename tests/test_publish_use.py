"""Published data sets and checkpoints train, encode and score exactly like the folders they came from."""

import shutil
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import loopcraft.publish
from benchmark import run as benchmark_run
from benchmark.contract.protocol import PROTOCOLS, EvaluationProtocol, Window
from benchmark.results.result_file import read_result
from loopcraft.core.files import file_sha256
from loopcraft.generate import generate
from models import demo, encode, publish
from models.train.__main__ import main
from tests.fakes import hub_state, nursery
from tests.fakes.training_runs import QUICK, losses
from tests.fakes.world import FakeWorld, recipe

pytest_plugins = ["tests.fakes.hub_client"]

SHARD = ("--shard-mb", "0.05")
STEPS = 2
SHORT = EvaluationProtocol(
    id="short",
    context=64,
    horizon=32,
    windows=(Window(name="short", first=1, last=8), Window(name="long", first=9, last=32)),
    metrics=("psnr", "ssim"),
)
"""A protocol with fewer generated frames than the project's."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A train and a val split of 256 frames each."""
    root = tmp_path_factory.mktemp("data")
    generate(root / "train", recipe("train", 4, num_frames=256), make_world=FakeWorld)
    generate(root / "val", recipe("val", 2, num_frames=256, candidates=3), make_world=FakeWorld)
    return root


@pytest.fixture(scope="module")
def weights(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An autoencoder and MilliVid trained on the folder."""
    return train_both(tmp_path_factory.mktemp("weights"), str(made / "train"))


def train(out: Path, data: str, *more: str) -> None:
    """Train the autoencoder, or with `more` MilliVid on it, for a few updates on one thread."""
    torch.set_num_threads(1)
    command = ["video", *more] if more else ["autoencoder"]
    assert main([*command, "--data", data, *QUICK, "--steps", str(STEPS), "--out", str(out)]) == 0


def train_both(root: Path, data: str) -> Path:
    train(root, data)
    train(root, data, "--autoencoder", str(root))
    return root


def test_a_published_set_trains_like_its_folder(hub, made, weights, tmp_path) -> None:
    assert loopcraft.publish.main([str(made), "--repo", "lab/walks", *SHARD]) == 0
    here, there = weights, train_both(tmp_path / "there", "hf://lab/walks/train")
    for kind in ("autoencoder", "millivid"):
        assert losses(there, kind) == losses(here, kind)
        assert len(set(losses(here, kind))) == STEPS
        name = f"{kind}.safetensors"  # weights and header, which includes the identity of the data
        assert (there / name).read_bytes() == (here / name).read_bytes()
    other = tmp_path / "other"
    train(other, "hf://lab/walks/val")
    assert losses(other, "autoencoder") != losses(here, "autoencoder")


def test_a_run_started_on_the_folder_continues_from_the_hub(hub, made, weights, tmp_path) -> None:
    assert loopcraft.publish.main([str(made / "train"), "--repo", "lab/onwards", *SHARD]) == 0
    shutil.copytree(weights, tmp_path / "out")
    more = ["--data", "hf://lab/onwards", *QUICK, "--out", str(tmp_path / "out"), "--steps", str(STEPS + 1)]
    assert main(["autoencoder", *more]) == 0
    assert len(losses(tmp_path / "out", "autoencoder")) == STEPS + 1


def test_a_published_set_scores_like_its_folder_and_so_do_published_weights(
    hub, made, weights, tmp_path, monkeypatch
) -> None:
    monkeypatch.setitem(PROTOCOLS, SHORT.id, SHORT)
    assert loopcraft.publish.main([str(made), "--repo", "lab/scored", *SHARD]) == 0
    assert publish.main([str(weights), "--repo", "lab/weights"]) == 0
    results = {}
    for out, data, checkpoint in (
        ("here", str(made / "val"), str(weights)),
        ("there", "hf://lab/scored/val", "hf://lab/weights"),
    ):
        flags = ["--model", "millivid", "--protocol", SHORT.id, "--metrics", "psnr,ssim"]
        command = [*flags, "--data", data, "--checkpoint", checkpoint, "--out", str(tmp_path / out)]
        command += ["--model-args", '{"steps": 1}', "--batch-size", "2"]
        assert benchmark_run.main([*command, "--save-videos", "0"]) == 0
        results[out] = read_result(tmp_path / out / "result.json")
    here, there = results.values()
    assert there.metrics == here.metrics
    assert there.data == here.data
    assert there.model.checkpoint_sha256 == here.model.checkpoint_sha256 is not None
    assert len(set(here.metrics["psnr"].videos["long"])) == 2


def test_latents_and_pictures_come_from_the_hub_too(hub, made, weights, tmp_path) -> None:
    assert loopcraft.publish.main([str(made / "val"), "--repo", "lab/seen", *SHARD]) == 0
    assert publish.main([str(weights), "--repo", "lab/eyes"]) == 0
    for out, data, checkpoint in (
        ("a", str(made / "val"), str(weights)),
        ("b", "hf://lab/seen", "hf://lab/eyes"),
    ):
        assert encode.main([data, "--out", str(tmp_path / out), "--checkpoint", checkpoint]) == 0
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(names) == 4
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    on_hub = ["--data", "hf://lab/seen", "--autoencoder", "hf://lab/eyes", "--steps", "2"]
    assert main(["video", *on_hub, *QUICK, "--out", str(tmp_path / "c")]) == 0
    assert file_sha256(tmp_path / "c/autoencoder.safetensors") == file_sha256(
        weights / "autoencoder.safetensors"
    )
    frames = ["--num-videos", "1", "--context", "64", "--horizon", "4", "--steps", "2"]
    assert (
        demo.main(["hf://lab/seen", "--out", str(tmp_path / "d"), "--checkpoint", "hf://lab/eyes", *frames])
        == 0
    )
    assert list((tmp_path / "d").glob("*.mp4"))


def test_workers_read_from_the_hub(hub, made, weights, tmp_path) -> None:
    """The workers are processes that find the Hub through the client's environment variables."""
    assert loopcraft.publish.main([str(made / "train"), "--repo", "lab/set", *SHARD]) == 0
    account = {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub_state.WRITER, "HF_HOME": str(tmp_path / "hf")}
    quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    out = tmp_path / "out"
    quick = ["1" if flag == "--workers" else value for flag, value in pairwise(("", *QUICK))]
    flags = ["autoencoder", *quick, "--steps", str(STEPS), "--out", str(out), "--data", "hf://lab/set"]
    command = nursery.start(tmp_path, "models.train.__main__", *flags, **account, **quiet)
    assert command.wait() == 0, command.err
    assert hub_state.WRITER not in command.out + command.err
    assert losses(out, "autoencoder") == pytest.approx(losses(weights, "autoencoder"), rel=1e-5)
