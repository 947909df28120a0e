"""The model card: it says what a new reader must know, about these weights and no others."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from benchmark.results.result_file import Result, write_result
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from models import pack
from models.checkpoints.format import read_checkpoint, save_checkpoint
from models.publishing.card import Checkpoint, make_card
from models.publishing.repository import describe, find_files, require_own_results, split_results
from models.zoo.loading import WeightSource, find_weights, load_model
from tests.fakes.benchmark_data import make_result
from tests.fakes.published_models import files_of, publish_to, result_of

pytest_plugins = ["tests.fakes.hub_client", "tests.fakes.published_models"]
pytestmark = pytest.mark.usefixtures("hub")


def test_the_card_says_what_a_new_reader_must_know(hub, trained, tmp_path, capsys) -> None:
    write_result(tmp_path / "result.json", result_of(trained, psnr=21.0))
    flags = ("--results", str(tmp_path / "result.json"), "--datasets", "lab/walks", "--licence", "cc0-1.0")
    assert publish_to("lab/card", trained, *flags) == 0
    files = files_of(hub, "lab/card")
    card = files["README.md"].decode()
    header = yaml.safe_load(card.split("---")[1])
    assert header["license"] == "cc0-1.0"
    assert header["library_name"] == "loopcraft"
    assert header["datasets"] == ["lab/walks"]
    assert header["pipeline_tag"] == "image-to-video"
    assert "world-model" in header["tags"]
    for stem in ("autoencoder", "millivid"):
        stored, weights = read_checkpoint(trained / f"{stem}.safetensors")
        parameters = sum(value.numel() for value in weights.values())
        assert f"| {parameters:,} |" in card
        assert file_sha256(trained / f"{stem}.safetensors") in card
        assert json.dumps(stored["config"], indent=1) in card
        last = json.loads((trained / f"{stem}.jsonl").read_text().splitlines()[-1])
        assert f"ends with step 1 at a loss of {last['loss']:.4g}" in card
    assert "2 updates of 2 samples, seed 0, on `voxel-v1, 120 frames of 16, seed 0`" in card
    assert "| millivid | **21.00 [20.00, 22.00]** |" in card
    result = next(path for path in files if path.startswith("results/loopcraft-mini/millivid-"))
    assert files[result] == (tmp_path / "result.json").read_bytes()
    assert "@article{millivid2026" in card
    assert "--resolution 16" in card
    hub.requests.clear()
    assert publish_to("lab/card", trained, *flags[2:]) == 0, "the tables of results that are there stay"
    assert hub.count("/commit/") == 0


def test_the_cards_example_runs(hub, trained, tmp_path) -> None:
    assert pack.main([str(trained), "--out", str(tmp_path / "quick"), "--steps", "2"]) == 0
    assert publish_to("lab/example", tmp_path / "quick") == 0
    card = files_of(hub, "lab/example")["README.md"].decode()
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(example.strip().splitlines()) <= 6
    names: dict[str, object] = {}
    exec(example, names)
    assert names["frames"].shape == (1, 64, 3, 16, 16)  # type: ignore[attr-defined]


def test_an_autoencoder_alone_has_an_example_too(hub, trained, tmp_path) -> None:
    shutil.copy(trained / "autoencoder.safetensors", tmp_path)
    assert publish_to("lab/alone", tmp_path) == 0
    (example,) = re.findall(
        r"```python\n(.*?)```", files_of(hub, "lab/alone")["README.md"].decode(), re.DOTALL
    )
    names: dict[str, object] = {}
    exec(example, names)
    assert [level.shape[1] for level in names["levels"]] == [64, 16, 4]  # type: ignore[attr-defined]


def test_a_cascaded_autoencoder_alone_has_no_scoring_command(hub, trained, tmp_path) -> None:
    stored = find_weights("autoencoder", str(trained))
    config = dataclasses.replace(stored.config, cascaded=True)
    save_checkpoint(tmp_path / "autoencoder-cascaded.safetensors", stored.weights, config)
    assert publish_to("lab/cascaded", tmp_path) == 0
    card = files_of(hub, "lab/cascaded")["README.md"].decode()
    assert 'load_autoencoder("millivid-cascaded"' in card
    assert "benchmark.run" not in card
    shutil.copy(trained / "autoencoder.safetensors", tmp_path)
    assert publish_to("lab/both", tmp_path) == 0
    assert "--model autoencoded" in files_of(hub, "lab/both")["README.md"].decode()


def test_the_scoring_size_is_that_of_the_models_autoencoder() -> None:
    def checkpoint(kind: str, **config: int) -> Checkpoint:
        header = {"kind": kind, "config": config}
        return Checkpoint(location="", header=header, parameters=1, num_bytes=1, sha256="0" * 64)

    checkpoints = {
        "autoencoder": checkpoint("AutoencoderConfig", frame_size=64),
        "autoencoder-cascaded": checkpoint("AutoencoderConfig", frame_size=32),
        "millivid-cascaded": checkpoint("TokenModelConfig"),
    }
    card = make_card("lab/x", checkpoints, [], licence="mit", datasets=[])
    assert "--num-episodes 100 --resolution 32\n" in card


def test_results_are_removed_from_the_card_with_their_weights(hub, trained, tmp_path, capsys) -> None:
    write_result(tmp_path / "result.json", result_of(trained, psnr=21.0))
    flags = ("--results", str(tmp_path / "result.json"))
    assert publish_to("lab/scored", trained, *flags) == 0
    assert "21.00" in files_of(hub, "lab/scored")["README.md"].decode()
    folder = Path(shutil.copytree(trained, tmp_path / "next"))
    stored = find_weights("millivid", str(folder))
    weights = {name: value + 1 for name, value in stored.weights.items()}
    save_checkpoint(stored.path, weights, stored.config, training=stored.header["training"])
    assert publish_to("lab/scored", folder, *flags) == 2
    assert re.search(
        r"error: .*result.json: is a result of millivid with weights .* other than the published",
        capsys.readouterr().err,
    )
    assert publish_to("lab/scored", folder) == 0
    assert "21.00" not in files_of(hub, "lab/scored")["README.md"].decode()


def test_results_of_other_weights_are_separated(trained) -> None:
    files = find_files(trained)
    checkpoints = describe("lab/x", files, None)
    model = make_result("millivid").model

    def result(role: str, sha256: str | None) -> Result:
        return make_result("millivid", model=dataclasses.replace(model, role=role, checkpoint_sha256=sha256))

    own_sha256 = load_model("millivid", WeightSource(checkpoint=str(trained))).sha256
    results = {
        "own": result("model", own_sha256),
        "old": result("model", "0" * 64),
        "unknown": result("model", None),
        "bound": result("bound", None),
    }
    fitting, foreign = split_results(results, checkpoints)
    assert (set(fitting), set(foreign)) == ({"own", "bound"}, {"old", "unknown"})


def test_a_result_file_of_other_weights_is_refused(trained, tmp_path) -> None:
    checkpoints = describe("lab/x", find_files(trained), None)
    model = dataclasses.replace(make_result("millivid").model, checkpoint_sha256="0" * 64)
    write_result(tmp_path / "old.json", make_result("millivid", model=model))
    with pytest.raises(UserError, match=r"old.json: is a result of millivid with weights .*0{12}"):
        require_own_results({"results/a.json": tmp_path / "old.json"}, checkpoints)
