"""Data sets generated at an address, also on a local S3 server: a folder's bytes, and resumable."""

from pathlib import Path

import pytest

from loopcraft import generate as command
from loopcraft.core.errors import UserError
from loopcraft.core.urls import UrlPath, path_at, remove_files
from loopcraft.dataset import open_dataset
from loopcraft.executors.local import LocalExecutor
from loopcraft.generate import complete, generate
from tests.fakes.folder_content import content
from tests.fakes.object_store import use_s3
from tests.fakes.world import FakeWorld, recipe


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "set"
    generate(root, recipe(), make_world=FakeWorld)
    return root


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    return use_s3(monkeypatch)


def memory_root(name: str) -> UrlPath:
    root = path_at(f"memory://{name}/set")
    assert isinstance(root, UrlPath)
    return root


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_address_gets_the_bytes_that_a_folder_gets(split: str, tmp_path: Path) -> None:
    remote = memory_root(f"generated-{split}")
    for root in (tmp_path / "set", remote):
        generate(root, recipe(split), make_world=FakeWorld)
    assert content(remote) == content(tmp_path / "set")
    assert complete(remote, recipe(split), make_world=FakeWorld).startswith(f"{remote}: already complete\n")


def test_existing_episodes_are_not_generated_again(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, played = memory_root("resumed"), []
    real = FakeWorld.play
    monkeypatch.setattr(
        FakeWorld, "play", lambda world, seed, actions: played.append(seed) or real(world, seed, actions)
    )
    for shard in ("1/2", "2/2"):
        generate(remote, recipe(), make_world=FakeWorld, shard=shard)
    remove_files(remote, ["000/001.npy", "000/003.json"])
    assert len(played) == 4
    generate(remote, recipe(), make_world=FakeWorld)
    assert len(played) == 6
    assert content(remote) == content(original)
    remove_files(remote, ["000/002.mp4"])
    generate(remote, recipe(), make_world=FakeWorld)
    assert len(played) == 7
    assert content(remote) == content(original)


def test_a_folder_of_other_files_or_flags_is_refused() -> None:
    remote = memory_root("others")
    generate(remote, recipe(), make_world=FakeWorld)
    with pytest.raises(UserError, match="memory://others/set: was begun with num_episodes = 4, not 5"):
        generate(remote, recipe(num_episodes=5), make_world=FakeWorld)
    with pytest.raises(UserError, match=r"memory://others: holds 'set' but no dataset\.json"):
        generate(remote.parent, recipe(), make_world=FakeWorld)


def test_several_processes_generate_a_set_on_s3(bucket: str, original: Path) -> None:
    remote = path_at(f"{bucket}/set")
    generate(remote, recipe(), make_world=FakeWorld, executor=LocalExecutor(2))
    assert content(remote) == content(original)
    dataset = open_dataset(f"{bucket}/set")
    assert dataset.fingerprint == open_dataset(original).fingerprint
    assert dataset.frames("000/001", 30, 40).shape == (10, 32, 32, 3)


def test_a_missing_bucket_is_reported(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--split", "train", "--num-episodes", "1", "--world", "plaza-v1", "--resolution", "64"]
    assert command.main(["--out", "s3://nowhere/set", *flags]) == 2
    note, error = capsys.readouterr().err.splitlines()
    assert note == "note: s3://nowhere/set: cannot be locked; run only one command there at a time"
    assert error.startswith("error: s3://nowhere/set/dataset.json: ")
