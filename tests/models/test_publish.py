"""Publishing checkpoints: sent files are read back, mistakes send nothing."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

import loopcraft.hub.repository
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from models import pack
from models.checkpoints.format import read_checkpoint, save_checkpoint
from models.checkpoints.hub import PUBLISHED, fetch, fetch_first
from models.zoo.loading import WeightSource, find_weights, load_autoencoder, load_model
from tests.fakes import hub_state
from tests.fakes.hub_state import Fault
from tests.fakes.published_models import files_of, publish_to

pytest_plugins = ["tests.fakes.hub_client", "tests.fakes.published_models"]
pytestmark = pytest.mark.usefixtures("hub")

SENT = ("autoencoder.safetensors", "autoencoder.jsonl", "millivid.safetensors", "millivid.jsonl")


def test_published_models_are_read_back_unchanged(hub, trained, capsys) -> None:
    assert publish_to("lab/round", trained) == 0
    assert "millivid.training.pt: stays here" in capsys.readouterr().out
    files = files_of(hub, "lab/round")
    assert sorted(files) == sorted([".gitattributes", "README.md", *SENT])
    for name in SENT:
        assert files[name] == (trained / name).read_bytes()
    local, fetched = (
        load_model("millivid", WeightSource(checkpoint=address))
        for address in (str(trained), "hf://lab/round")
    )
    assert fetched.sha256 == local.sha256
    assert all(
        torch.equal(value, local.network.state_dict()[name])
        for name, value in fetched.network.state_dict().items()
    )


def test_only_needed_files_are_fetched_and_only_once(hub, trained) -> None:
    assert publish_to("lab/lazy", trained) == 0
    hub.requests.clear()
    load_autoencoder("millivid", WeightSource(checkpoint="hf://lab/lazy"))
    assert hub.count(f"GET /store/{file_sha256(trained / 'autoencoder.safetensors')}") == 1
    assert hub.count("millivid|jsonl|README") == 0
    find_weights("autoencoder", "hf:/lab/lazy")  # the address after a round trip through Path
    assert hub.count("GET /store/") == 1


def test_a_revision_never_changes(hub, trained, tmp_path) -> None:
    assert publish_to("lab/revised", trained) == 0
    first = hub.repositories["models/lab/revised"].commits[-1][0]
    folder = Path(shutil.copytree(trained, tmp_path / "next"))
    header, weights = read_checkpoint(folder / "millivid.safetensors")
    changed = {name: value + 1 for name, value in weights.items()}
    config = find_weights("millivid", str(folder)).config
    save_checkpoint(folder / "millivid.safetensors", changed, config, training=header["training"])
    assert publish_to("lab/revised", folder) == 0
    sha256 = [file_sha256(find_weights("millivid", f"hf://lab/revised{at}").path) for at in ("", f"@{first}")]
    assert sha256 == [file_sha256(root / "millivid.safetensors") for root in (folder, trained)]


def test_packed_checkpoints_are_published_like_others(hub, trained, tmp_path) -> None:
    """The packed autoencoder differs from the one used in training, and names the original."""
    assert pack.main([str(trained), "--out", str(tmp_path / "packed"), "--steps", "7"]) == 0
    assert publish_to("lab/packed", tmp_path / "packed") == 0
    assert "sampled with 7 network calls (ddim)" in files_of(hub, "lab/packed")["README.md"].decode()
    assert load_model("millivid", WeightSource(checkpoint="hf://lab/packed")).config.sampling.steps == 7


def test_a_second_run_sends_nothing(hub, trained) -> None:
    assert publish_to("lab/twice", trained) == 0
    commits = len(hub.repositories["models/lab/twice"].commits)
    hub.requests.clear()
    assert publish_to("lab/twice", trained) == 0
    assert hub.count("/commit/|PUT ") == 0
    assert len(hub.repositories["models/lab/twice"].commits) == commits


def test_a_dry_run_sends_nothing(hub, trained, capsys) -> None:
    assert publish_to("lab/dry", trained, "--dry-run") == 0
    assert hub.count("/commit/|PUT |repos/create") == 0
    assert "millivid.safetensors: to send, " in capsys.readouterr().out


def test_models_missing_from_the_folder_stay_and_are_described(hub, trained, tmp_path) -> None:
    assert publish_to("lab/two", trained) == 0
    card = files_of(hub, "lab/two")["README.md"]
    shutil.copy(trained / "autoencoder.safetensors", tmp_path)
    assert publish_to("lab/two", tmp_path) == 0
    assert set(SENT) <= set(files_of(hub, "lab/two"))
    assert files_of(hub, "lab/two")["README.md"] == card


def test_replaced_weights_do_not_keep_the_old_log(hub, trained, tmp_path) -> None:
    assert publish_to("lab/anew", trained) == 0
    folder = Path(shutil.copytree(trained, tmp_path / "next"))
    header, weights = read_checkpoint(folder / "millivid.safetensors")
    config = find_weights("millivid", str(folder)).config
    training = {**header["training"], "step": 999}
    save_checkpoint(folder / "millivid.safetensors", weights, config, training=training)
    assert publish_to("lab/anew", folder) == 0
    card = files_of(hub, "lab/anew")["README.md"].decode()
    assert "999 updates" in card
    assert "[millivid.jsonl](millivid.jsonl), ends" not in card, "the log in the folder is of other weights"
    assert "[autoencoder.jsonl](autoencoder.jsonl), ends with step 1 " in card
    save_checkpoint(folder / "millivid.safetensors", weights, config, training={**training, "step": 2})
    (folder / "millivid.jsonl").unlink()
    assert publish_to("lab/anew", folder) == 0
    card = files_of(hub, "lab/anew")["README.md"].decode()
    assert "[millivid.jsonl](millivid.jsonl), ends" not in card, "the log at the Hub is of other weights"


def test_a_log_without_its_weights_is_not_sent(hub, trained, tmp_path) -> None:
    for name in SENT[:2]:
        shutil.copy(trained / name, tmp_path)
    (tmp_path / "framepack.jsonl").write_text('{"step": 1, "loss": 1.0}\n')
    assert publish_to("lab/stray", tmp_path) == 0
    assert sorted(files_of(hub, "lab/stray")) == sorted([".gitattributes", "README.md", *SENT[:2]])


@pytest.mark.parametrize("content", [b"cut", b"x" * 40, b"\x02" + b"\0" * 7 + b"{}"])
def test_a_damaged_published_file_is_named(hub, trained, capsys, content) -> None:
    hub.add("models/lab/damaged", {"framepack.safetensors": content})
    assert publish_to("lab/damaged", trained) == 2
    assert re.search(r"error: lab/damaged.*framepack\.safetensors", capsys.readouterr().err)


@pytest.mark.parametrize("how", [429, 500, "drop", "lose"])
def test_an_interrupted_upload_sends_only_missing_files_when_run_again(hub, trained, capsys, how) -> None:
    name = f"lab/broken-{how}"
    hub.faults.append(Fault("/commit/", how))
    assert publish_to(name, trained) == 2
    assert re.search(r"error: .* run the same command again", capsys.readouterr().err)
    assert publish_to(name, trained) == 0
    uploads = [line for line in hub.requests if line.startswith("PUT ")]
    assert len(uploads) == len(set(uploads)) == 2
    assert load_model("millivid", WeightSource(checkpoint=f"hf://{name}")).sha256


def test_temporary_errors_are_retried(hub, trained, monkeypatch) -> None:
    monkeypatch.setattr(loopcraft.hub.repository, "RETRY_WAITS_S", (0.0, 0.0))
    hub.faults.append(Fault("/commit/", 500, times=2))
    assert publish_to("lab/trouble", trained) == 0


def test_files_that_did_not_arrive_intact_are_detected(hub, trained, monkeypatch, capsys) -> None:
    commit = hub_state.Repository.commit

    def damage(repository: hub_state.Repository, files: hub_state.Files) -> str:
        return commit(repository, files | ({"millivid.safetensors": b"cut"} if len(files) > 1 else {}))

    monkeypatch.setattr(hub_state.Repository, "commit", damage)
    assert publish_to("lab/cut", trained) == 2
    assert "millivid.safetensors did not arrive as it was sent" in capsys.readouterr().err


def _truncate(root: Path) -> Path:
    path = root / "millivid.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    return root


def _rename(root: Path) -> Path:
    (root / "millivid.safetensors").rename(root / "framepack.safetensors")
    return root


def _replace_weights(root: Path) -> Path:
    save_file({"a": torch.zeros(1)}, root / "millivid.safetensors")
    return root


def _remove_autoencoder(root: Path) -> Path:
    (root / "autoencoder.safetensors").unlink()
    return root


def _change_autoencoder(root: Path) -> Path:
    stored = find_weights("autoencoder", str(root))
    weights = {name: value + 1 for name, value in stored.weights.items()}
    save_checkpoint(root / "autoencoder.safetensors", weights, stored.config)
    return root


def _damage_log(root: Path) -> Path:
    (root / "millivid.jsonl").write_text("{}\n")
    return root


MISTAKES = {
    "no token": ({"token": None}, r"no Hugging Face token; run `hf auth login` or set HF_TOKEN"),
    "wrong token": ({"token": "hf_wrong"}, r"refuses the token \(401\); create one with write access"),
    "read token": ({"name": "ada/set", "token": hub_state.READER}, r"the token of ada is read-only"),
    "stranger": ({"token": hub_state.STRANGER}, r"belongs to lab, where eve has no write access"),
    "foreign repository": (
        {"files": {"model.safetensors": b"1"}},
        r"exists and holds 'model.safetensors', which",
    ),
    "public": ({"files": {"README.md": b""}, "flags": ["--private"]}, r"exists and is public"),
    "no folder": ({"change": lambda root: root / "nowhere"}, r"nowhere: no such folder"),
    "empty": ({"change": lambda root: root.parent}, r"holds no checkpoint \(autoencoder.safetensors"),
    "cut": ({"change": _truncate}, r"millivid.safetensors: not a whole safetensors file"),
    "renamed": ({"change": _rename}, r"holds a token denoiser for millivid plans, not framepack"),
    "not ours": ({"change": _replace_weights}, r"millivid.safetensors: not a loopcraft-model of version 1"),
    "no autoencoder": (
        {"change": _remove_autoencoder},
        r"millivid.safetensors but not its autoencoder.safetensors",
    ),
    "mixed": (
        {"change": _change_autoencoder},
        r"copy/millivid.safetensors was trained with an autoencoder of SHA-256 \w{12}.*copy/autoencoder",
    ),
    "no log": ({"change": _damage_log}, r"millivid.jsonl: not the log of a training run"),
    "two hyphens": ({"name": "lab/na--me"}, r"lab/na--me: not a valid repository name"),
    "licence": ({"flags": ["--licence", "MIT License"]}, r"--licence MIT License: choose one of the Hub's"),
    "dry licence": ({"flags": ["--licence", "gpl", "--dry-run"]}, r"--licence gpl: choose one of"),
    "no result": ({"flags": ["--results", "pyproject.toml"]}, r"pyproject.toml: not JSON"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_sentence_before_anything_is_sent(
    hub, trained, tmp_path, monkeypatch, capsys, case
) -> None:
    setup, message = MISTAKES[case]
    name = setup.get("name", f"lab/{case.replace(' ', '-')}")
    root = Path(shutil.copytree(trained, tmp_path / "copy"))
    if "token" in setup:
        monkeypatch.delenv("HF_TOKEN") if setup["token"] is None else monkeypatch.setenv(
            "HF_TOKEN", setup["token"]
        )
    if "files" in setup:
        hub.add(f"models/{name}", setup["files"])
    folder = setup.get("change", lambda root: root)(root)
    assert publish_to(name, folder, *setup.get("flags", [])) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.strip().splitlines()[-1].startswith("error: ")
    assert "hf_" not in error
    assert hub.count("PUT |/commit/|repos/create") == 0


def test_reading_names_what_is_wrong_with_an_address(hub, trained, monkeypatch) -> None:
    assert publish_to("lab/read", trained) == 0
    with pytest.raises(UserError, match=r"hf://lab/read: holds no framepack\.safetensors; choose another"):
        load_model("framepack", WeightSource(checkpoint="hf://lab/read"))
    with pytest.raises(UserError, match="lab/nothing: no such model at"):
        find_weights("millivid", "hf://lab/nothing")
    with pytest.raises(UserError, match="lab/read: no such revision"):
        find_weights("millivid", "hf://lab/read@0123456")
    with pytest.raises(UserError, match=r"lab/x\.git: not a valid repository name"):
        find_weights("millivid", "hf://lab/x.git")
    with pytest.raises(UserError, match="hf://lab: not a valid address; write hf://ORG/NAME"):
        find_weights("millivid", "hf://lab")
    cached = find_weights("autoencoder", "hf://lab/read").path
    disconnect(monkeypatch)
    assert find_weights("autoencoder", "hf://lab/read").path == cached, (
        "what was fetched before needs no network"
    )
    with pytest.raises(UserError, match="cannot be reached; check the network"):
        find_weights("millivid", "hf://lab/read")


def disconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the Hub's address at a port where nothing answers."""
    nowhere = "http://127.0.0.1:9"
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)
    template = nowhere + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (401, "refuses the token"),
        (429, "accepts no more requests"),
        (500, r"failed \(500\)"),
        (404, "no such model"),
    ],
)
def test_hub_errors_for_the_papers_weights_are_reported(hub, monkeypatch, how, message) -> None:
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    if how != 404:
        hub.add("models/charatan/millivid", {PUBLISHED["millivid"].name: b"weights"})
        hub.faults.append(Fault("resolve", how, times=99))
    try:
        with pytest.raises(UserError, match=message):
            fetch(PUBLISHED["millivid"])
    finally:
        hub.repositories.pop("models/charatan/millivid", None)


def test_the_papers_files_are_also_found_at_an_address(hub, monkeypatch) -> None:
    hub.add("models/lab/paper", {PUBLISHED["millivid"].name: b"weights"})
    names = ["millivid.safetensors", PUBLISHED["millivid"].name]
    assert fetch_first("hf://lab/paper", names).read_bytes() == b"weights"
    disconnect(monkeypatch)
    assert fetch_first("hf://lab/paper", names).read_bytes() == b"weights"
    with pytest.raises(UserError, match="cannot be reached"):
        fetch_first("hf://lab/paper", names[:1])
