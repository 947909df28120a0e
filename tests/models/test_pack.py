import json

import pytest
import torch

from loopcraft.core.files import file_sha256
from models.checkpoints.format import read_checkpoint, save_checkpoint
from models.pack import _thin, main, training_minutes
from models.sampling.diffusion import Sampling
from models.zoo.loading import WeightSource, find_weights, load_model
from models.zoo.presets import PRESETS
from models.zoo.world_models import build_rollout

SIZE = 32
STEPS = 25


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    model = load_model("millivid", WeightSource(preset="trial", frame_size=SIZE))
    preset = PRESETS["trial"].model("millivid", SIZE)
    for stem, module, config in (
        ("autoencoder", model.autoencoder, preset.autoencoder),
        ("millivid", model.network, preset.video),
    ):
        torch.nn.init.normal_(next(module.parameters()))
        training = {"step": STEPS, "seed": 7}
        save_checkpoint(folder / f"{stem}.safetensors", module.state_dict(), config, training=training)
        lines = [json.dumps({"step": step, "loss": 1 / (1 + step)}) for step in range(STEPS)]
        (folder / f"{stem}.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "millivid.training.pt").write_bytes(b"state")
    return folder


def test_packed_models_load_with_the_same_weights_in_half_the_bits(trained, tmp_path):
    out = tmp_path / "packed"
    assert main([str(trained), "--out", str(out), "--steps", "7", "--solver", "dpm++2m"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "autoencoder.jsonl",
        "autoencoder.safetensors",
        "millivid.jsonl",
        "millivid.safetensors",
    ]
    full = load_model("millivid", WeightSource(checkpoint=str(trained)))
    packed = load_model("millivid", WeightSource(checkpoint=str(out)))
    assert packed.config.video == full.config.video
    assert full.config.sampling == Sampling()
    assert packed.config.sampling == Sampling(steps=7, solver="dpm++2m")
    for name, value in full.network.state_dict().items():
        assert torch.equal(packed.network.state_dict()[name], value.half().float()), name
    assert (out / "millivid.safetensors").stat().st_size < 0.65 * (
        trained / "millivid.safetensors"
    ).stat().st_size
    header, weights = read_checkpoint(out / "autoencoder.safetensors")
    assert "sampling" not in header
    assert header["training"] == {"step": STEPS, "seed": 7}
    assert {value.dtype for value in weights.values()} == {torch.float16}
    assert build_rollout("millivid", checkpoint=str(out), steps=3)._sampling == Sampling(
        steps=3, solver="dpm++2m"
    )


def test_every_tenth_log_line_and_the_last_are_kept(trained, tmp_path):
    out = tmp_path / "packed"
    assert main([str(trained), "--out", str(out)]) == 0
    steps = [json.loads(line)["step"] for line in (out / "millivid.jsonl").read_text().splitlines()]
    assert steps == [0, 10, 20, 24]


def test_a_torn_last_line_is_left_out(trained, tmp_path):
    with (trained / "millivid.jsonl").open("a") as file:
        file.write('{"step": 25, "lo')
    assert main([str(trained), "--out", str(tmp_path / "packed")]) == 0
    lines = (tmp_path / "packed" / "millivid.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]) == {"step": 24, "loss": 1 / 25}


def test_twice_packed_models_name_the_original(trained, tmp_path):
    once, twice = tmp_path / "once", tmp_path / "twice"
    assert main([str(trained), "--out", str(once), "--dtype", "float32"]) == 0
    assert main([str(once), "--out", str(twice)]) == 0
    for stem in ("autoencoder", "millivid"):
        header, _ = read_checkpoint(twice / f"{stem}.safetensors")
        assert header["packed_from"] == file_sha256(trained / f"{stem}.safetensors")


@pytest.mark.parametrize("value", [1e6, float("inf"), float("nan")])
def test_weights_not_finite_when_packed_are_refused(value, trained, tmp_path, capsys):
    path = trained / "millivid.safetensors"
    stored = find_weights("millivid", str(trained))
    stored.weights["patchify.bias"][0] = value
    save_checkpoint(path, stored.weights, stored.config)
    assert main([str(trained), "--out", str(tmp_path / "packed")]) == 2
    assert f"error: {path}: patchify.bias is not finite in float16" in capsys.readouterr().err
    assert not (tmp_path / "packed" / path.name).exists()
    in_range = 2 if value != 1e6 else 0
    assert main([str(trained), "--out", str(tmp_path / "packed"), "--dtype", "bfloat16"]) == in_range


@pytest.mark.parametrize("flag", ["--steps", "--log-every"])
@pytest.mark.parametrize("value", ["0", "-1"])
def test_counts_below_one_are_refused(flag, value, trained, tmp_path, capsys):
    assert main([str(trained), "--out", str(tmp_path / "packed"), flag, value]) == 2
    assert f"error: {flag} {value}: choose 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize("mistake", ["empty", "same"])
def test_nothing_to_pack_and_the_same_folder_are_refused(mistake, trained, tmp_path, capsys):
    if mistake == "empty":
        assert main([str(tmp_path), "--out", str(tmp_path / "packed")]) == 2
        assert "holds no .safetensors file" in capsys.readouterr().err
    else:
        assert main([str(trained), "--out", str(trained)]) == 2
        assert "holds the trained checkpoints themselves" in capsys.readouterr().err


def test_minutes_follow_from_the_stated_throughput():
    records = [{"step": step, "loss": 1.0} for step in range(30)]
    records[9]["trained_per_second"] = 2.0  # ten steps of 12 samples: one minute
    records[29]["trained_per_second"] = 1.0  # twenty more at half the speed: four minutes
    assert training_minutes(records, 12) == pytest.approx(5)
    assert [record["step"] for record in _thin(records, 20)] == [0, 9, 20, 29]
