"""Publishing with the real client to a local Hub: complete, atomic, repeatable, with clear errors."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import HfApi, constants
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import loopcraft.hub.repository
from loopcraft import publish
from loopcraft.core.checksums import add_sums, sums_of
from loopcraft.core.errors import UserError
from loopcraft.dataset import open_dataset
from loopcraft.dataset.episode_table import write_table
from loopcraft.hub.errors import plain_errors
from loopcraft.publishing import upload
from loopcraft.publishing.packing import MOST_SHARDS, shard_ends
from tests.fakes import hub_state
from tests.fakes.hub_state import Fault, Hub
from tests.fakes.published_data import WRITES, publish_to

pytest_plugins = ["tests.fakes.hub_client", "tests.fakes.published_data"]
pytestmark = pytest.mark.usefixtures("hub")

COMMIT = "POST .*/commit/"


def test_a_published_set_reads_back_unchanged(hub, made) -> None:
    assert publish_to("lab/round", made) == 0
    for split in ("train", "val"):
        local, remote = open_dataset(made / split), open_dataset(f"hf://lab/round/{split}")
        assert remote.keys == local.keys
        assert remote.fingerprint == local.fingerprint
        assert remote.manifest == local.manifest
        pd.testing.assert_frame_equal(remote.metadata, local.metadata)
        for key in local.keys:
            assert remote.video_path(key).read_bytes() == local.video_path(key).read_bytes()
            assert remote.states_path(key).read_bytes() == local.states_path(key).read_bytes()
        np.testing.assert_array_equal(remote.frames(local.keys[1], 7, 23), local.frames(local.keys[1], 7, 23))
    assert open_dataset("hf://lab/round").keys == open_dataset(made / "train").keys
    assert open_dataset(Path("hf://lab/round/tiny")).keys == open_dataset(made / "val").keys[:4]


def test_an_episode_is_fetched_once_and_alone(hub, made) -> None:
    publish_to("lab/lazy", made / "train")
    dataset = open_dataset("hf://lab/lazy")
    hub.requests.clear()
    dataset.frames("000/001", 3, 5)
    stored = hub.count("GET /store/")
    assert stored > 0
    assert not (dataset.root / "000/000.mp4").exists()
    dataset.frames("000/001", 8, 9)
    dataset.states("000/001")
    assert hub.count("GET /store/") == stored
    with pytest.raises(UserError, match="no episode '000/999'"):
        dataset.frames("000/999", 0, 1)


def test_the_card_lists_the_existing_configurations(hub, made) -> None:
    publish_to("lab/card", made, "--licence", "cc0-1.0")
    files = hub.repositories["lab/card"].files
    header = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert header["license"] == "cc0-1.0"
    configs = {config["config_name"]: config for config in header["configs"]}
    assert sorted(configs) == ["tiny", "train", "val"]
    assert [name for name, config in configs.items() if config.get("default")] == ["train"]
    for config in configs.values():
        folder = config["data_files"][0]["path"].removesuffix("*.parquet")
        assert any(path.startswith(folder) for path in files)
    assert open_dataset(made / "train").fingerprint in files["README.md"].decode()
    assert "pip install -e ." in files["README.md"].decode()
    assert files["frames.png"].startswith(b"\x89PNG")


def test_a_second_run_sends_nothing(hub, made) -> None:
    assert publish_to("lab/twice", made) == 0
    commits = len(hub.repositories["lab/twice"].commits)
    hub.requests.clear()
    assert publish_to("lab/twice", made) == 0
    assert hub.count(COMMIT) == hub.count("PUT ") == 0
    assert len(hub.repositories["lab/twice"].commits) == commits


def test_a_dry_run_sends_nothing(hub, made, capsys) -> None:
    assert publish_to("lab/dry", made, "--dry-run") == 0
    assert hub.count(WRITES) == 0
    assert "train: 5 episodes, " in capsys.readouterr().out


@pytest.mark.parametrize("how", [429, 500, "drop", "lose"])
@pytest.mark.parametrize("commit", [0, 1, 2])
def test_a_rerun_after_a_failure_sends_only_what_is_missing(
    hub, made, monkeypatch, capsys, commit, how
) -> None:
    name = f"lab/broken-{commit}-{how}"
    monkeypatch.setattr(upload, "COMMIT_SHARDS", 2)
    commits: list[str] = []
    hub.fault = lambda line: _fault_at(hub, commits, line, commit, how)  # type: ignore[method-assign]
    try:
        assert publish_to(name, made) == 2
        assert re.search(r"error: .* run the same command again", capsys.readouterr().err)
        with pytest.raises(UserError, match="holds no data set"):
            open_dataset(f"hf://{name}")
        sent = len(hub.store)
        assert publish_to(name, made) == 0
    finally:
        del hub.fault
    uploads = [line for line in hub.requests if line.startswith("PUT ")]
    assert len(uploads) == len(set(uploads))
    assert sent > 0
    assert open_dataset(f"hf://{name}/train").fingerprint == open_dataset(made / "train").fingerprint


def _fault_at(hub: Hub, commits: list[str], line: str, commit: int, how: int | str) -> int | str | None:
    """Return the fault `how` for commit number `commit` only."""
    if not re.search(COMMIT, line):
        return None
    commits.append(line)
    return how if len(commits) == commit + 1 else None


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        ("PUT ", 500),
        ("PUT ", "drop"),
        ("objects/batch", 429),
        ("preupload", 503),
        (COMMIT, 500),
        ("validate-yaml", 429),
        ("repos/create", 500),
    ],
)
def test_temporary_failures_are_retried(hub, made, monkeypatch, pattern, how) -> None:
    monkeypatch.setattr(loopcraft.hub.repository, "RETRY_WAITS_S", (0.0, 0.0))
    name = f"lab/trouble-{abs(sum(map(ord, pattern)))}-{how}"
    hub.faults.append(Fault(pattern, how, times=2))
    assert publish_to(name, made / "val") == 0
    assert hub.faults[0].times == 0
    assert open_dataset(f"hf://{name}").fingerprint == open_dataset(made / "val").fingerprint


@pytest.mark.parametrize("number", range(1, 5))
def test_a_failed_listing_is_retried(hub, made, monkeypatch, capsys, number) -> None:
    """The listings of the two batches' commits, of the last commit, and of the check."""
    monkeypatch.setattr(loopcraft.hub.repository, "RETRY_WAITS_S", (7.0,))
    name = f"lab/listing-{number}"
    listings: list[str] = []

    def fault(line: str) -> int | None:
        if not re.search(rf"GET /api/datasets/{name}(/revision/\w+)?$", line):
            return None
        listings.append(line)
        return 500 if len(listings) == number + 1 else None  # the first asks whether the repository exists

    hub.fault = fault  # type: ignore[method-assign]
    try:
        assert publish_to(name, made / "val") == 0
    finally:
        del hub.fault
    assert f"{hub.url} failed (500); trying again in 7 s\n" in capsys.readouterr().err
    assert open_dataset(f"hf://{name}").fingerprint == open_dataset(made / "val").fingerprint


def test_a_changed_data_set_is_a_new_revision(hub, made, tmp_path) -> None:
    root = Path(shutil.copytree(made / "train", tmp_path / "train"))
    publish_to("lab/changed", root)
    first = hub.repositories["lab/changed"].commits[-1][0]
    before = open_dataset(root).fingerprint
    last = open_dataset(root).keys[-1]
    for suffix in (".mp4", ".npy"):
        shutil.copy(root / f"000/001{suffix}", root / f"{last}{suffix}")
    rows = {row["key"]: row for row in pq.read_table(root / "episodes.parquet").to_pylist()}
    rows[last] |= {name: rows["000/001"][name] for name in ("mp4_sha256", "npy_sha256")}
    write_table(root, rows.values())
    add_sums(root, sums_of(root, ["episodes.parquet"]))
    hub.requests.clear()
    assert publish_to("lab/changed", root) == 0
    assert open_dataset("hf://lab/changed").fingerprint == open_dataset(root).fingerprint != before
    assert open_dataset(f"hf://lab/changed@{first}").fingerprint == before
    old, new = (
        set(filter(publish.is_ours, files))
        for _, files in (
            next(c for c in hub.repositories["lab/changed"].commits if c[0] == first),
            hub.repositories["lab/changed"].commits[-1],
        )
    )
    shards = [path for path in new if path.startswith("data/train/")]
    assert len({path.split("/")[2] for path in shards}) == 1, "the old shards went in the same commit"
    assert not set(shards) & old
    assert hub.count("PUT ") < len(shards) + 2, "shards with the same rows were copied, not sent"


def test_configurations_that_are_not_in_the_folder_stay(hub, made) -> None:
    publish_to("lab/parts", made / "val")
    publish_to("lab/parts", made / "train")
    assert open_dataset("hf://lab/parts/val").fingerprint == open_dataset(made / "val").fingerprint
    assert open_dataset("hf://lab/parts/tiny").keys == open_dataset(made / "val").keys[:4]
    with pytest.raises(UserError, match=r"no configuration 'test'; choose tiny or train or val"):
        open_dataset("hf://lab/parts/test")


@pytest.mark.parametrize(("first", "second"), [("train", "val"), ("val", "train")])
def test_concurrent_publishers_keep_each_others_data(hub, made, monkeypatch, first, second) -> None:
    """The second publishes its whole part between the first's look at the repository and its last commit."""
    name = f"lab/at-once-{first}"
    send = upload.upload_shards

    def send_and_be_overtaken(repository: str, parts: list[upload.Part]) -> None:
        send(repository, parts)
        monkeypatch.setattr(publish, "upload_shards", send)
        assert publish_to(name, made / second) == 0

    monkeypatch.setattr(publish, "upload_shards", send_and_be_overtaken)
    assert publish_to(name, made / first) == 0
    card = hub.repositories[name].files["README.md"].decode()
    for split in ("train", "val"):
        remote = open_dataset(f"hf://{name}/{split}")
        assert remote.fingerprint == open_dataset(made / split).fingerprint
        assert remote.fingerprint in card
        for key in remote.keys:
            assert remote.video_path(key).read_bytes() == (made / split / f"{key}.mp4").read_bytes()
    tiny = open_dataset(f"hf://{name}/tiny")
    assert tiny.keys == open_dataset(made / "val").keys[:4]
    assert tiny.video_path("000/000").read_bytes() == (made / "val/000/000.mp4").read_bytes()
    configs = yaml.safe_load(card.split("---")[1])["configs"]
    assert sorted(config["config_name"] for config in configs) == ["tiny", "train", "val"]
    shards = {path for path in hub.repositories[name].files if path.startswith("data/")}
    catalog = publish.read_catalog(name, loopcraft.hub.repository.list_files(name))
    assert shards == {shard.path for configuration in catalog.values() for shard in configuration.shards}


def _damage(root: Path) -> Path:
    (root / "000/001.npy").write_bytes(b"no array")
    return root


MISTAKES = {
    "no token": ({"token": None}, r"no Hugging Face token; run `hf auth login` or set HF_TOKEN"),
    "wrong token": ({"token": "hf_wrong"}, r"refuses the token \(401\); create one with write access"),
    "read token": ({"name": "ada/set", "token": hub_state.READER}, r"the token of ada is read-only"),
    "stranger": (
        {"token": hub_state.STRANGER},
        r"belongs to lab, where eve has no write access; choose --repo eve/",
    ),
    "foreign": ({"files": {"train.csv": b"1"}}, r"exists and holds 'train.csv', which is not from Loopcraft"),
    "public": ({"files": {"README.md": b""}, "flags": ["--private"]}, r"exists and is public"),
    "damaged": ({"change": _damage}, r"001.npy: .*python -m loopcraft.verify"),
    "no set": ({"change": lambda root: root / "000"}, r"holds no index.json"),
    "bad name": ({"name": "set"}, r"--repo set: must look like ORG/NAME"),
    "two hyphens": ({"name": "lab/na--me"}, r"lab/na--me: not a valid repository name"),
    "hyphen first": ({"name": "lab/-x"}, r"lab/-x: not a valid repository name"),
    "git": ({"name": "lab/x.git"}, r"lab/x\.git: not a valid repository name"),
    "too long": ({"name": f"lab/{'x' * 97}"}, r"lab/x{97}: not a valid repository name; .* at most 96"),
    "licence": ({"flags": ["--licence", "MIT License"]}, r"--licence MIT License: choose one of the Hub's"),
    "dry licence": ({"flags": ["--licence", "gpl", "--dry-run"]}, r"--licence gpl: choose one of"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_give_one_line_errors_before_anything_is_sent(
    hub, made, tmp_path, monkeypatch, capsys, case
) -> None:
    setup, message = MISTAKES[case]
    name = setup.get("name", f"lab/{case.replace(' ', '-')}")
    root = Path(shutil.copytree(made / "val", tmp_path / "val"))
    if "token" in setup:
        monkeypatch.delenv("HF_TOKEN") if setup["token"] is None else monkeypatch.setenv(
            "HF_TOKEN", setup["token"]
        )
    if "files" in setup:
        hub.add(name, setup["files"])
    folder = setup.get("change", lambda root: root)(root)
    assert publish_to(name, folder, *setup.get("flags", [])) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.strip().splitlines()[-1].startswith("error: ")
    assert "hf_" not in error
    assert hub.count(WRITES) == 0


def test_an_unreachable_hub_is_reported(made, monkeypatch, capsys) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert publish_to("lab/set", made / "val") == 2
    assert "error: http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err
    with pytest.raises(UserError, match="cannot be reached"):
        open_dataset("hf://lab/set")


def test_offline_mode_is_reported(hub, made, monkeypatch) -> None:
    assert publish_to("lab/offline", made / "val") == 0
    dataset = open_dataset("hf://lab/offline")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="lab/offline: needs the network, and HF_HUB_OFFLINE forbids it"):
        open_dataset("hf://lab/offline")
    with pytest.raises(UserError, match="HF_HUB_OFFLINE forbids it"):
        dataset.frames("000/001", 0, 2)


def test_damaged_uploads_are_detected(hub, made) -> None:
    publish_to("lab/check", made / "val")
    repository = hub.repositories["lab/check"]
    listing = loopcraft.hub.repository.list_files("lab/check")
    catalog = publish.read_catalog("lab/check", listing)
    parts = publish.plan(publish.find_datasets(made / "val"), catalog, shard_bytes=10_000)
    content = upload.Content(files={"README.md": repository.files["README.md"]}, catalog=catalog)
    upload.check("lab/check", listing.commit, parts, content)
    shard = parts[0].shards[-1].path
    for path in (shard, "README.md"):
        damaged = repository.commit(repository.files | {path: b"something else"})
        with pytest.raises(UserError, match=f"{path} did not arrive"):
            upload.check("lab/check", damaged, parts, content)
        repository.commits.pop()


def test_a_private_repository_is_private(hub, made) -> None:
    assert publish_to("ada/mine", made / "val", "--private") == 0
    assert hub.repositories["ada/mine"].private
    assert open_dataset("hf://ada/mine").keys == open_dataset(made / "val").keys


def test_the_papers_layout_is_read(hub, made) -> None:
    files = {
        f"train_videos/{path.relative_to(made / 'train')}": path.read_bytes()
        for path in sorted((made / "train").rglob("*"))
        if path.suffix in (".mp4", ".npy") or path.name == "index.json"
    }
    latents = {
        f"test_latents_x/{name}": b'{"000/000": 1024}' for name in ("index.json", "index_unfiltered.json")
    }
    hub.add("charatan/loopcraft", files | latents)
    local = open_dataset(made / "train")
    for address in ("hf://charatan/loopcraft", "hf://datasets/charatan/loopcraft/train_videos"):
        remote = open_dataset(address)
        assert remote.keys == local.keys
        np.testing.assert_array_equal(remote.frames("000/002", 5, 9), local.frames("000/002", 5, 9))
        np.testing.assert_array_equal(remote.states("000/002"), local.states("000/002"))
    assert not (remote.root / "000/003.mp4").exists()
    assert remote.fingerprint == local.fingerprint


@pytest.mark.parametrize("address", ["hf://lab", "hf://lab/set/a/b/c", "hf://"])
def test_invalid_addresses_are_refused(address) -> None:
    with pytest.raises(UserError, match="write hf://ORG/NAME"):
        open_dataset(address)


@pytest.mark.parametrize("name", ["lab/na--me", "lab/-x", "lab/x.git", f"lab/{'x' * 97}"])
def test_names_that_the_hub_forbids_are_refused(name) -> None:
    with pytest.raises(UserError, match=f"{re.escape(name)}: not a valid repository name; ORG and NAME are"):
        open_dataset(f"hf://{name}")
    with (
        pytest.raises(UserError, match="not a valid repository name"),
        plain_errors(name),
    ):
        HfApi().repo_info(name)


def test_a_missing_repository_is_reported() -> None:
    with pytest.raises(UserError, match="lab/nothing: no such data set"):
        open_dataset("hf://lab/nothing")


@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 1000), min_size=1, max_size=200), target=st.integers(1, 5000))
def test_shards_cover_every_episode_and_are_few(sizes, target) -> None:
    ends = list(shard_ends(sizes, target))
    assert ends == sorted(set(ends))
    assert ends[-1] == len(sizes)
    assert len(ends) <= sum(sizes) // target + 1
    for start, stop in zip([0, *ends[:-1]], ends, strict=True):
        assert sum(sizes[start : stop - 1]) < target


def test_all_configurations_together_stay_below_ten_thousand_files() -> None:
    largest = 3 * (MOST_SHARDS + 1) + 1  # train, val and test, and tiny, which is one shard
    assert largest + len([".gitattributes", "README.md", "loopcraft.json", "frames.png"]) + 4 < 10_000
