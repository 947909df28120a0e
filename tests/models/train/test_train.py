"""Training runs: golden losses, resumed and killed runs, signals, NaN, full disks, and mistakes."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.sources.loading import load_model
from loopcraft.core.files import file_sha256
from loopcraft.core.seeding import generator, integer_seed
from loopcraft.drawing.grid import GAP, MARGIN
from models.checkpoints.format import read_checkpoint, save_checkpoint
from models.latents.store import open_latents
from models.train import checkpoint
from models.train.__main__ import main
from models.train.data import episodes, played
from models.train.data.pool import EpisodePool, PoolConfig
from models.train.objectives import TokenObjective
from models.train.optimizers import OptimizerConfig, build_optimizers, set_learning_rate
from models.train.trainer import Trainer
from models.zoo.loading import WeightSource, load_autoencoder, seeded
from models.zoo.presets import PRESETS
from tests.fakes.training_runs import GOLDEN, QUICK, WORLD, losses, train, use_fake_world, write_latents

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _fake_world(monkeypatch):
    monkeypatch.setattr(played, "make_world", played.make_world)  # restored afterwards
    use_fake_world()


@pytest.fixture(scope="module")
def latents(tmp_path_factory) -> Path:
    return write_latents(tmp_path_factory.mktemp("latents"))


class Killed(BaseException):
    """Ends a run as abruptly as possible within one process."""


def before_step(monkeypatch, number: int, act) -> None:
    """Call `act` (trainer) just before update `number`."""
    update = Trainer.update

    def update_after_act(self, step, pool):
        if step == number:
            act(self)
        return update(self, step, pool)

    monkeypatch.setattr(Trainer, "update", update_after_act)


def kill(_: Trainer) -> None:
    raise Killed


@pytest.mark.parametrize(("kind", "more"), [("autoencoder", ()), ("millivid", ("--ema", "0.9"))])
def test_a_killed_run_continues_to_the_same_losses_and_weights(tmp_path, latents, monkeypatch, kind, more):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(kind, latents, whole, "--steps", "15", *more) == 0
    flags = ("--steps", "15", "--save-every", "9", "--log-every", "4", *more)
    with monkeypatch.context() as patch:
        before_step(patch, 13, kill)
        with pytest.raises(Killed):
            train(kind, latents, broken, *flags)
    assert len(losses(broken, kind)) == 12
    assert train(kind, latents, broken, "--steps", "15", *more) == 0
    assert losses(broken, kind) == losses(whole, kind)  # bitwise
    resumed, expected = (read_checkpoint(out / f"{kind}.safetensors") for out in (broken, whole))
    assert resumed[0] == expected[0]
    assert all(torch.equal(value, expected[1][name]) for name, value in resumed[1].items())
    assert train(kind, latents, broken, "--steps", "30", *more) == 0
    assert losses(broken, kind) == pytest.approx(json.loads(GOLDEN.read_text())[kind][:30], rel=1e-3)


def test_framepack_reproduces_its_golden_losses(tmp_path, latents):
    assert train("framepack", latents, tmp_path, "--steps", "12") == 0
    assert losses(tmp_path, "framepack") == pytest.approx(
        json.loads(GOLDEN.read_text())["framepack"][:12], rel=1e-3
    )


def picture_rows(path: Path) -> list[np.ndarray]:
    """Cut the rows of eight frames out of a picture of a run, without labels."""
    picture = np.asarray(Image.open(path))[MARGIN:-MARGIN, -MARGIN - 8 * (64 + GAP) + GAP : -MARGIN]
    return [picture[top : top + 64] for top in range(0, len(picture), 64 + GAP)]


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory, latents) -> Path:
    """The folder of an autoencoder trained for two steps, with a picture of the second."""
    folder = tmp_path_factory.mktemp("autoencoder")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(played, "make_world", played.make_world)
        use_fake_world()
        assert train("autoencoder", latents, folder, "--steps", "2", "--picture-every", "2") == 0
    return folder


@pytest.mark.parametrize("name", ["millivid", "millivid-causal"])
def test_trained_models_run_in_the_benchmark(tmp_path, autoencoder, name):
    shutil.copytree(autoencoder, tmp_path, dirs_exist_ok=True)
    header, _ = read_checkpoint(tmp_path / "autoencoder.safetensors")
    assert (header["training"]["detail"], header["training"]["step"]) == ("gradient", 2)
    flags = ("video", *WORLD[:2], "--episode-frames", "120", *QUICK, "--autoencoder", str(tmp_path))
    flags = (*flags, "--out", str(tmp_path), "--steps", "1", "--picture-every", "1", "--pool", "1")
    assert main([*flags, "--model", name]) == 0
    factory = f"models.zoo.world_models:{name.replace('-', '_')}"
    model = load_model(factory, {"checkpoint": str(tmp_path), "steps": 2})
    assert (model.name, len(model.checkpoint_sha256)) == (name, 64)
    context = torch.zeros(1, model.max_context, 3, 16, 16, dtype=torch.uint8)
    walk = torch.zeros(1, model.max_context + 3, dtype=torch.int64)
    assert torch.cat(list(model.rollout(context, walk, seeds=[0])), dim=1).shape == (1, 3, 3, 16, 16)
    rows = picture_rows(tmp_path / "autoencoder-pictures" / "0000002.png")
    assert len(rows) == 4  # the frames and three levels
    assert rows[0].std() > 10
    assert len(picture_rows(tmp_path / f"{name}-pictures" / "0000001.png")) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_saves_and_ends_cleanly(tmp_path, latents, monkeypatch, capsys, number):
    previous = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    before_step(monkeypatch, 2, lambda _: os.kill(os.getpid(), number))
    assert train("millivid", latents, tmp_path, "--steps", "9") == 0
    assert "stopped on request: saved step 3" in capsys.readouterr().out
    state = torch.load(tmp_path / "millivid.training.pt", weights_only=True)
    assert (state["step"], len(losses(tmp_path, "millivid"))) == (3, 3)
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == previous


def test_nan_stops_and_names_the_last_good_checkpoint(tmp_path, latents, monkeypatch, capsys):
    def poison(trainer: Trainer) -> None:
        next(trainer.network.parameters()).data.fill_(float("nan"))

    before_step(monkeypatch, 5, poison)
    flags = ("--steps", "9", "--save-every", "2", "--log-every", "3")
    assert train("millivid", latents, tmp_path, *flags) == 2
    error = capsys.readouterr().err
    assert "step 5 has loss nan" in error
    assert "millivid.training.pt, of step 4; start over" in error
    assert torch.load(tmp_path / "millivid.training.pt", weights_only=True)["step"] == 4
    _, weights = read_checkpoint(tmp_path / "millivid.safetensors")
    assert all(value.isfinite().all() for value in weights.values())


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path, latents, monkeypatch, capsys):
    assert train("millivid", latents, tmp_path, "--steps", "1") == 0
    before = (tmp_path / "millivid.training.pt").read_bytes()

    def full(_, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint.torch, "save", full)
    assert train("millivid", latents, tmp_path, "--steps", "2") == 2
    error = capsys.readouterr().err
    assert "step 2 could not be saved" in error
    assert "No space left on device" in error
    assert "of step 1; free up space" in error
    assert (tmp_path / "millivid.training.pt").read_bytes() == before
    assert not list(tmp_path.rglob("*.partial"))


def test_gradients_are_really_clipped(tmp_path, latents, monkeypatch):
    norms = []

    def record_norms(trainer: Trainer) -> None:
        step = trainer.optimizers[0].step

        def step_and_record():
            gradients = [value.grad.norm() for value in trainer.network.parameters()]
            norms.append(torch.stack(gradients).norm().item())
            step()

        trainer.optimizers[0].step = step_and_record

    before_step(monkeypatch, 0, record_norms)
    assert train("autoencoder", latents, tmp_path, "--steps", "3", "--clip-norm", "0.05") == 0
    assert norms == pytest.approx([0.05] * 3, rel=1e-3)
    lines = (tmp_path / "autoencoder.jsonl").read_text().splitlines()
    assert all(json.loads(line)["gradient_norm"] > 0.05 for line in lines)


def test_accumulated_batches_have_the_mean_gradient(tmp_path, latents):
    flags = ("--steps", "2", "--accumulate", "2", "--batch-size", "4")
    assert train("millivid", latents, tmp_path, *flags) == 0
    stored = torch.load(tmp_path / "millivid.training.pt", weights_only=True)["model"]
    expected, _ = train_plainly(latents, [(0, 0), (0, 1)], processes=1, steps=2)
    assert all(torch.allclose(value, stored[name], atol=1e-5) for name, value in expected.items())


def train_plainly(latents: Path, parts, *, processes: int, steps: int):
    """Train plainly on (rank, micro) batches of two samples; return weights and losses."""
    preset = PRESETS["trial"].model("millivid", 32)
    grid = preset.autoencoder.grid
    with seeded(0):
        network = preset.video.network(grid)
    objective = TokenObjective(network, preset.video.plan.build(grid), grid, 0.1)
    pools = [make_pool(latents, rank, processes, objective.clip_length) for rank in range(processes)]
    optimizers = build_optimizers(network, OptimizerConfig())
    logged = []
    for step in range(steps):
        logged.append(0.0)
        for rank, micro in parts:
            pools[rank].advance(step, lambda: False)
            key = step, rank, micro
            noise = torch.Generator().manual_seed(integer_seed(0, "training noise", *key))
            batch = objective.draw(pools[rank], 2, generator(0, "training samples", *key), noise)
            loss = objective(**batch) / len(parts)
            loss.backward()
            logged[-1] += loss.item()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        set_learning_rate(optimizers, 1e-3 * step / 10)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return network.state_dict(), logged


def make_pool(latents: Path, rank: int, processes: int, clip_length: int) -> EpisodePool:
    source = episodes.LatentEpisodes(open_latents(latents), min_frames=clip_length, seed=0)
    config = PoolConfig(episodes=4, fresh=0.25)
    return EpisodePool(
        source, config, convert=lambda x: x, first_step=0, workers=0, rank=rank, processes=processes
    )


@pytest.mark.torchrun
def test_two_processes_train_as_one(tmp_path, latents):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    flags = ["video", "--data", str(latents), *QUICK[:-1], "4", "--out", str(tmp_path), "--steps", "3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [*command, "-m", "models.train", *flags], env=environment, capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stderr
    weights, logged = train_plainly(latents, [(0, 0), (1, 0)], processes=2, steps=3)
    assert losses(tmp_path, "millivid") == pytest.approx(logged, rel=1e-5)
    stored = torch.load(tmp_path / "millivid.training.pt", weights_only=True)["model"]
    assert all(torch.allclose(value, stored[name], atol=1e-5) for name, value in weights.items())


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--episode-frames", "32"), "a sample of millivid spans 58 frames, but an episode has 32; raise"),
        (("--batch-size", "3", "--accumulate", "2"), "choose a multiple of 2"),
        (("--learning-rate", "0"), "--learning-rate 0.0: choose a number above 0"),
        (("--save-every", "0"), "--save-every 0: choose 1 or more"),
        (("--device", "surprise"), "--device surprise: no such device; use cpu, cuda or cuda:1"),
        (("--model", "surprise"), "there is no model 'surprise'; choose one of millivid"),
        (("--preset", "gpu-hour"), "but the preset gpu-hour takes 4 of 16; choose the autoencoder's preset"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, flags, sentence, capsys, trained):
    flags = ("--data", "voxel-v1", *QUICK, "--autoencoder", str(trained), "--out", str(tmp_path), *flags)
    assert main(["video", *flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with an untrained autoencoder for 16 x 16 frames."""
    folder = tmp_path_factory.mktemp("trained")
    autoencoder, _ = load_autoencoder("millivid", WeightSource(preset="trial", frame_size=16))
    save_checkpoint(folder / "autoencoder.safetensors", autoencoder.state_dict(), autoencoder.config)
    return folder


def test_unsuitable_data_are_refused(tmp_path, latents, capsys):
    short = write_latents(tmp_path / "short")
    (short / "SHA256SUMS").unlink()
    (short / "index.json").write_text('{"000/000": 40}')
    assert train("millivid", short, tmp_path / "out") == 2
    assert "longest episode has 40 frames, but a sample needs 58" in capsys.readouterr().err
    (short / "index.json").write_text("{}")
    assert train("millivid", short, tmp_path / "out") == 2
    assert "longest episode has 0 frames" in capsys.readouterr().err
    assert train("millivid", latents, tmp_path / "out", "--resolution", "64") == 2
    assert "--resolution is only for worlds" in capsys.readouterr().err
    flags = ("--data", str(latents), *QUICK, "--out", str(tmp_path / "out"))
    assert main(["autoencoder", *flags]) == 2
    assert "holds latents, but an autoencoder needs frames" in capsys.readouterr().err
    assert main(["autoencoder", *WORLD[:2], "--resolution", "60", "--out", str(tmp_path / "out")]) == 2
    assert (
        "frames of 60 x 60 cannot be cut into 8 x 8 patches; choose a resolution that 8 divides"
        in capsys.readouterr().err
    )
    assert main(["video", *WORLD, *QUICK, "--out", str(tmp_path / "out")]) == 2
    assert "holds frames: give the --autoencoder" in capsys.readouterr().err
    assert main(["autoencoder", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_configuration_is_not_resumed(tmp_path, latents, capsys):
    assert train("millivid", latents, tmp_path, "--steps", "1") == 0
    assert train("millivid", latents, tmp_path, "--steps", "2", "--seed", "1") == 2
    assert "another configuration (seed is 1 here and 0 there)" in capsys.readouterr().err
    assert train("millivid", latents, tmp_path, "--steps", "2", "--clip-norm", "2") == 2
    assert "clip_norm is 2.0 here and 1.0 there" in capsys.readouterr().err
    (tmp_path / "millivid.training.pt").write_bytes(b"cut")
    assert train("millivid", latents, tmp_path, "--steps", "2") == 2
    assert "not a whole training state" in capsys.readouterr().err


def test_a_run_may_start_from_the_weights_of_another(tmp_path, latents, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert train("millivid", latents, first, "--steps", "3") == 0
    begin = ("--begin-with", str(first / "millivid.safetensors"))
    assert (
        train("millivid-causal", latents, second, "--steps", "1", *begin) == 0
    )  # the first update has rate 0
    _, first_weights = read_checkpoint(first / "millivid.safetensors")
    header, second_weights = read_checkpoint(second / "millivid-causal.safetensors")
    assert all(torch.equal(second_weights[name], value) for name, value in first_weights.items())
    assert header["training"]["initial"] == file_sha256(first / "millivid.safetensors")
    assert train("millivid-causal", latents, second, "--steps", "2") == 2
    assert "initial is None here and" in capsys.readouterr().err
    assert train("framepack", latents, second, "--steps", "1", *begin) == 2
    assert "weights do not fit this model" in capsys.readouterr().err
    assert train("framepack", latents, second, "--steps", "1", "--begin-with", str(tmp_path / "none")) == 2
    assert "not a whole safetensors file" in capsys.readouterr().err


def test_unknown_flags_fail(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["autoencoder", "--data", "voxel-v1", "--out", str(tmp_path), "--context-dropout", "0.2"])
    with pytest.raises(SystemExit):
        main(["video", "--data", "voxel-v1", "--out", str(tmp_path), "--vgg", "x"])
    capsys.readouterr()


def test_the_lpips_term_replaces_the_gradient_term(tmp_path, latents):
    from torchvision.models import vgg

    with seeded(0):
        features = vgg.make_layers(vgg.cfgs["D"])
    weights = {f"features.{name}": value for name, value in features.state_dict().items()}
    torch.save(weights, tmp_path / "vgg16.pth")
    more = ("--steps", "1", "--vgg", str(tmp_path / "vgg16.pth"))
    assert train("autoencoder", latents, tmp_path / "lpips", *more) == 0
    header, _ = read_checkpoint(tmp_path / "lpips" / "autoencoder.safetensors")
    assert header["training"]["detail"] == "lpips"
    with_lpips = losses(tmp_path / "lpips", "autoencoder")
    plain = json.loads(GOLDEN.read_text())["autoencoder"]
    # The squared error is the same; 0.05 of the distance of random features is added.
    assert with_lpips[0] != pytest.approx(plain[0], rel=1e-3)
    assert abs(with_lpips[0] - plain[0]) < 0.1


def test_scalars_are_logged_to_tensorboard(tmp_path, latents):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert train("millivid", latents, tmp_path, "--steps", "3", "--tensorboard") == 0
    accumulator = events.EventAccumulator(str(tmp_path / "millivid.tensorboard"))
    accumulator.Reload()
    logged = [event.value for event in accumulator.Scalars("loss")]
    assert logged == pytest.approx(losses(tmp_path, "millivid"))


def test_pico_models_have_equal_budgets():
    grid = PRESETS["cpu-evening"].model("millivid").autoencoder.grid
    assert grid.tokens_per_level == [16, 4, 1]
    plan = PRESETS["cpu-evening"].model("millivid").video.plan.build(grid)
    window = PRESETS["cpu-evening"].model("framepack").video.window
    full = PRESETS["cpu-evening"].model("full-resolution").video.plan.build(grid)
    assert {*plan.num_tokens(grid), len(window.addresses(grid)), *full.num_tokens(grid)} == {352}
    assert plan.denoising_start == 56
    assert window.num_context == 64
    assert plan.width == 192  # the whole horizon of the mini protocol


def test_nano_models_have_equal_budgets():
    grid = PRESETS["gpu-hour"].model("millivid").autoencoder.grid
    assert grid.tokens_per_level == [64, 16, 4, 1]
    plan = PRESETS["gpu-hour"].model("millivid").video.plan.build(grid)
    window = PRESETS["gpu-hour"].model("framepack").video.window
    assert plan.num_tokens(grid).max() == len(window.addresses(grid)) == 288
    assert plan.denoising_start == window.num_context == 53
