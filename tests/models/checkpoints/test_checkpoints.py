"""Checkpoints: saved weights load unchanged, and every wrong file is refused in one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from models.checkpoints import hub
from models.checkpoints.format import (
    FORMAT,
    load_weights,
    published_name,
    read_checkpoint,
    read_published,
    save_checkpoint,
)
from models.checkpoints.hub import PUBLISHED, HubFile, fetch, require_sha256
from models.checkpoints.quantize import SCALE
from models.networks.autoencoder import Autoencoder
from models.zoo.configs import ModelConfig
from models.zoo.loading import WeightSource, config_from, find_weights, load_autoencoder, load_model
from models.zoo.presets import OLD_NAMES, PRESETS, find_preset
from tests.golden.folder import undrawn

NAMES = [
    "millivid", "framepack", "millivid-cascaded", "millivid-causal", "framepack-mirrored", "full-resolution",
]  # fmt: skip


def save_tiny(folder: Path, name: str) -> ModelConfig:
    """Save both networks of a tiny model in our format."""
    model = load_model(name, WeightSource(preset="trial", frame_size=32, seed=1))
    stem = "autoencoder-cascaded" if name.endswith("cascaded") else "autoencoder"
    for path, module, config in (
        (folder / f"{stem}.safetensors", model.autoencoder, model.config.autoencoder),
        (folder / f"{name}.safetensors", model.network, model.config.video),
    ):
        save_checkpoint(path, module.state_dict(), config)
    return model.config


@pytest.mark.parametrize("name", NAMES)
def test_saved_models_load_unchanged(tmp_path, name):
    preset = save_tiny(tmp_path, name)
    model = load_model(name, WeightSource(checkpoint=str(tmp_path)))
    assert model.config.autoencoder == preset.autoencoder
    assert model.config.video == preset.video
    original = load_model(name, WeightSource(preset="trial", frame_size=32, seed=1))
    for loaded_module, saved_module in (
        (model.network, original.network),
        (model.autoencoder, original.autoencoder),
    ):
        assert all(
            torch.equal(value, saved_module.state_dict()[key])
            for key, value in loaded_module.state_dict().items()
        )
    assert len(model.sha256) == 64
    assert original.sha256 is None


def test_random_weights_depend_only_on_their_seed():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first, again, other = (
        load_autoencoder("millivid", WeightSource(preset="trial", frame_size=32, seed=seed))[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    name = "encoder.patchify.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_another_architecture_is_refused_with_the_names(tmp_path):
    save_tiny(tmp_path, "millivid")
    _, weights = read_checkpoint(tmp_path / "millivid.safetensors")
    weights["extra"] = torch.zeros(3)
    del weights["patchify.bias"]
    network = (
        PRESETS["trial"]
        .model("millivid", 32)
        .video.network(PRESETS["trial"].model("millivid", 32).autoencoder.grid)
    )
    with pytest.raises(
        UserError, match=r"2 weights do not fit.*extra is \(3,\), expected none; patchify.bias is missing"
    ):
        load_weights(network, weights, tmp_path / "x")


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    save_tiny(tmp_path, "framepack")
    (tmp_path / "framepack.safetensors").rename(tmp_path / "millivid.safetensors")
    with pytest.raises(UserError, match="holds a FramePack denoiser, not millivid"):
        load_model("millivid", WeightSource(checkpoint=str(tmp_path)))
    save_tiny(tmp_path, "full-resolution")
    (tmp_path / "full-resolution.safetensors").rename(tmp_path / "millivid.safetensors")
    with pytest.raises(UserError, match="token denoiser for full-resolution plans, not millivid"):
        load_model("millivid", WeightSource(checkpoint=str(tmp_path)))
    save_tiny(tmp_path, "millivid-causal")
    (tmp_path / "millivid-causal.safetensors").rename(tmp_path / "millivid.safetensors")
    with pytest.raises(UserError, match="a causal token denoiser for millivid plans, not millivid"):
        load_model("millivid", WeightSource(checkpoint=str(tmp_path)))


def retrain(folder: Path, sha256: str | None, **origin: object) -> None:
    """Record this digest as MilliVid's autoencoder and `origin` in the autoencoder's own header."""
    for stem, training in (("millivid", {"training": {"autoencoder": sha256}}), ("autoencoder", origin)):
        stored = find_weights(stem, str(folder))
        save_checkpoint(stored.path, stored.weights, stored.config, **training)


def test_a_model_with_an_autoencoder_it_was_not_trained_on_is_refused(tmp_path):
    save_tiny(tmp_path, "millivid")
    source = WeightSource(checkpoint=str(tmp_path))
    digest = file_sha256(tmp_path / "autoencoder.safetensors")
    retrain(tmp_path, digest)
    load_model("millivid", source)
    retrain(tmp_path, None)
    load_model("millivid", source)
    retrain(tmp_path, "1" * 64, packed_from="1" * 64)
    load_model("millivid", source)
    retrain(tmp_path, "1" * 64, packed_from="2" * 64)
    message = (
        rf"{tmp_path}/millivid.safetensors was trained with .* 1{{12}}\.\.\., "
        rf"but {tmp_path}/autoencoder.safetensors"
    )
    with pytest.raises(UserError, match=message):
        load_model("millivid", source)


def write_header(path: Path, header: object) -> Path:
    text = header if isinstance(header, str) else json.dumps(header)
    save_file({"a": torch.zeros(1)}, path, metadata={FORMAT: text})
    return path


OURS = {"format": FORMAT, "version": 1, "kind": "AutoencoderConfig", "config": {}}
FOREIGN = {
    "no JSON": ("{", "its header: not JSON"),
    "list": ([OURS], "not a loopcraft-model of version 1"),
    "null": ("null", "not a loopcraft-model of version 1"),
    "config": ({**OURS, "config": [1]}, "config in its header is not an object"),
    "training": ({**OURS, "training": "long"}, "training in its header is not an object"),
    "sampling": ({**OURS, "sampling": 3}, "sampling in its header is not an object"),
    "no config": ({k: v for k, v in OURS.items() if k != "config"}, "configuration is invalid"),
    "no kind": ({k: v for k, v in OURS.items() if k != "kind"}, "configuration is invalid"),
    "unknown size": ({**OURS, "config": {"size": "vast"}}, "configuration is invalid.*vast"),
    "a word for a number": ({**OURS, "config": {"patch": "a"}}, "configuration is invalid"),
    "no patch": ({**OURS, "config": {"patch": 0}}, "configuration is invalid"),
    "unknown sampling": ({**OURS, "sampling": {"colour": 1}}, "sampling settings are invalid.*colour"),
    "no steps": ({**OURS, "sampling": {"steps": 0}}, "sampling settings are invalid"),
    "other solver": ({**OURS, "sampling": {"solver": "euler"}}, "sampling settings are invalid"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_headers_are_refused_in_one_sentence(tmp_path, case):
    header, message = FOREIGN[case]
    write_header(tmp_path / "autoencoder.safetensors", header)
    with pytest.raises(UserError, match=rf"autoencoder\.safetensors: .*{message}"):
        load_autoencoder("millivid", WeightSource(checkpoint=str(tmp_path)))


def test_a_folder_named_like_a_checkpoint_is_refused(tmp_path):
    (tmp_path / "autoencoder.safetensors").mkdir()
    with pytest.raises(UserError, match=r"holds no autoencoder\.safetensors"):
        load_autoencoder("millivid", WeightSource(checkpoint=str(tmp_path)))
    with pytest.raises(UserError, match=r"autoencoder\.safetensors: not a whole safetensors file"):
        read_checkpoint(tmp_path / "autoencoder.safetensors")


def test_a_truncated_file_is_refused(tmp_path):
    save_tiny(tmp_path, "millivid")
    path = tmp_path / "millivid.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        read_checkpoint(path)


def test_foreign_headers_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="not a loopcraft-model of version 1"):
        read_checkpoint(path)
    header = {
        "kind": "TokenModelConfig",
        "config": {"plan": {"kind": "millivid", "arguments": {}}, "depth": 3},
    }
    with pytest.raises(UserError, match=r"configuration is invalid.*depth"):
        config_from(header, path)
    with pytest.raises(UserError, match="unknown kind of model, 'Surprise'"):
        config_from({"kind": "Surprise", "config": {}}, path)


def test_the_header_is_plain_json(tmp_path):
    save_tiny(tmp_path, "millivid")
    header, _ = read_checkpoint(tmp_path / "millivid.safetensors")
    assert header["format"] == FORMAT
    assert json.loads(json.dumps(header)) == header
    assert header["config"]["plan"] == {
        "kind": "millivid",
        "arguments": {"windows": [2, 8, 32], "extra_budget": 64},
    }


def publish(path: Path, module: torch.nn.Module) -> None:
    """Save a file as the paper's code writes it."""
    model = {published_name(key): value for key, value in module.state_dict().items()}
    torch.save({"model": model, "optimizer": {}, "scheduler": {}, "train_loader": {}, "step": 3}, path)


def test_published_files_load_strictly(tmp_path):
    model = load_model("millivid", WeightSource(preset="trial", frame_size=32, seed=4))
    path = tmp_path / "model.ckpt"
    publish(path, model.network)
    assert "dit.dit.dit.blocks.0.adaLN_modulation.1.weight" in read_published(path)
    fresh = model.config.video.network(model.autoencoder.grid)
    load_weights(fresh, read_published(path), path, published=True)
    assert all(
        torch.equal(value, model.network.state_dict()[key]) for key, value in fresh.state_dict().items()
    )
    with pytest.raises(UserError, match="weights do not fit this model"):
        load_weights(model.autoencoder, read_published(path), path, published=True)


def test_a_folder_of_published_files_is_recognised(tmp_path):
    autoencoder = Autoencoder(replace(PRESETS["trial"].model("millivid").autoencoder, frame_size=32, patch=4))
    publish(tmp_path / PUBLISHED["autoencoder"].name, autoencoder)
    stored = find_weights("autoencoder", str(tmp_path))
    assert stored.config is None
    # Its shape is not the published one; the check needs no drawn weights.
    with undrawn(), pytest.raises(UserError, match="weights do not fit this model"):
        load_autoencoder("millivid", WeightSource(checkpoint=str(tmp_path)))
    with pytest.raises(UserError, match=r"holds no upscale\.safetensors"):
        find_weights("upscale", str(tmp_path))


class Bomb:
    def __reduce__(self):
        return (print, ("executed",))


def test_code_in_a_file_is_never_run(tmp_path, capsys):
    path = tmp_path / "bomb.ckpt"
    torch.save({"model": Bomb()}, path)
    with pytest.raises(UserError, match="not a whole published checkpoint"):
        read_published(path)
    assert "executed" not in capsys.readouterr().out


def test_a_published_file_with_a_name_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "damaged.ckpt"
    torch.save({"model": {"weight": torch.ones(1)}}, path)
    path.write_bytes(path.read_bytes().replace(b"weight", b"w\xffight"))
    with pytest.raises(UserError, match="not a whole published checkpoint"):
        read_published(path)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({3: torch.ones(1)}, "not a whole published checkpoint"),
        ({"weight": torch.eye(2).to_sparse()}, "not a whole published checkpoint"),
        ({"weight": torch.ones(2, 2, dtype=torch.complex64)}, "weight holds values of type torch.complex64"),
        ({"weight": torch.ones(2, 2, dtype=torch.int64)}, "weight holds values of type torch.int64"),
        ({"weight": torch.full((2, 2), torch.nan)}, "not finite real numbers"),
    ],
)
def test_published_weights_are_finite_real_numbers_in_dense_memory(tmp_path, weights, message: str):
    path = tmp_path / "strange.ckpt"
    torch.save({"model": weights}, path)
    with pytest.raises(UserError, match=message) as caught:
        load_weights(torch.nn.Linear(2, 2, bias=False), read_published(path), path, published=True)
    assert "\n" not in str(caught.value)


def test_scales_that_do_not_fit_are_one_sentence(tmp_path):
    path = tmp_path / "a.safetensors"
    stored = {"a": torch.ones(2, 2, dtype=torch.int8), f"a{SCALE}": torch.ones(3)}
    header = {"format": "loopcraft-model", "version": 1, "config": {}}
    save_file(stored, path, metadata={"loopcraft-model": json.dumps(header)})
    with pytest.raises(UserError, match=r"a\.safetensors: its scales do not fit"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04cut"])
def test_damaged_published_files_are_refused(tmp_path, content):
    path = tmp_path / "damaged.ckpt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a whole published checkpoint"):
        read_published(path)


def test_a_missing_network_is_reported_in_one_sentence(monkeypatch):
    def fail(*args, **kwargs):
        raise LocalEntryNotFoundError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(
        UserError, match="cannot be fetched from the Hugging Face Hub; connect to the network"
    ):
        load_model("millivid", WeightSource(checkpoint="published"))
    with pytest.raises(UserError, match="no weights of upscale are published; choose autoencoder, millivid"):
        find_weights("upscale", "published")


def test_fetch_pins_the_revision_and_checks_the_content(monkeypatch, tmp_path):
    calls = []
    file = tmp_path / "weights"
    file.write_bytes(b"weights")
    download = lambda *args, **kwargs: calls.append((args, kwargs)) or str(file)  # noqa: E731
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert fetch(HubFile(name="a.ckpt", revision="abc")) == file
    assert calls == [(("charatan/millivid", "a.ckpt"), {"revision": "abc"})]
    with pytest.raises(UserError, match="expected 00; delete it"):
        fetch(replace(hub.PUBLISHED["millivid"], sha256="00"))
    require_sha256(file, None)


def test_weights_must_come_from_one_place():
    with pytest.raises(UserError, match=r"give either a checkpoint .* or a preset"):
        WeightSource(preset="trial", checkpoint="published")


def test_models_not_included_in_the_project_are_reported():
    with pytest.raises(UserError, match=r"no weights of upscale for voxel-v1 come with the project, only "):
        load_model("upscale", WeightSource())


def test_unknown_presets_are_named():
    with pytest.raises(UserError, match="no preset 'huge'; choose one of paper, paper-ablation, trial"):
        WeightSource(preset="huge")
    with pytest.raises(
        UserError,
        match="paper has no upscale, only millivid, framepack, ",
    ):
        load_model("upscale", WeightSource(preset="paper"))


@pytest.mark.parametrize(("old", "name"), OLD_NAMES.items())
def test_presets_keep_their_old_names_too(old: str, name: str) -> None:
    assert find_preset(old) is PRESETS[name]
    assert WeightSource(preset=old).label == f" ({name}, random weights)"
