"""Data sets made at an address: the bytes of a folder's, resumed by what is there, on a local S3 server."""

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
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "set"
    generate(root, recipe(), make_world=FakeWorld)
    return root


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    return use_s3(monkeypatch)


def memory(name: str) -> UrlPath:
    root = path_at(f"memory://{name}/set")
    assert isinstance(root, UrlPath)
    return root


@pytest.mark.parametrize("split", ["train", "test"])
def test_an_address_gets_the_bytes_that_a_folder_gets(split: str, tmp_path: Path) -> None:
    there = memory(f"generated-{split}")
    for root in (tmp_path / "set", there):
        generate(root, recipe(split), make_world=FakeWorld)
    assert content(there) == content(tmp_path / "set")
    assert complete(there, recipe(split), make_world=FakeWorld).startswith(f"{there}: already complete\n")


def test_what_is_there_is_not_made_again(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, played = memory("resumed"), []
    real = FakeWorld.play
    monkeypatch.setattr(
        FakeWorld, "play", lambda world, seed, actions: played.append(seed) or real(world, seed, actions)
    )
    for shard in ("1/2", "2/2"):
        generate(there, recipe(), make_world=FakeWorld, shard=shard)
    remove_files(there, ["000/001.npy", "000/003.json"])
    assert len(played) == 4
    generate(there, recipe(), make_world=FakeWorld)
    assert len(played) == 6
    assert content(there) == content(made)
    remove_files(there, ["000/002.mp4"])
    generate(there, recipe(), make_world=FakeWorld)
    assert len(played) == 7
    assert content(there) == content(made)


def test_a_folder_of_other_things_or_flags_is_refused() -> None:
    there = memory("others")
    generate(there, recipe(), make_world=FakeWorld)
    with pytest.raises(UserError, match="memory://others/set: was begun with num_episodes = 4, not 5"):
        generate(there, recipe(num_episodes=5), make_world=FakeWorld)
    with pytest.raises(UserError, match=r"memory://others: holds 'set' but no dataset\.json"):
        generate(there.parent, recipe(), make_world=FakeWorld)


def test_a_set_is_made_on_s3_by_several_processes(bucket: str, made: Path) -> None:
    there = path_at(f"{bucket}/set")
    generate(there, recipe(), make_world=FakeWorld, executor=LocalExecutor(2))
    assert content(there) == content(made)
    dataset = open_dataset(f"{bucket}/set")
    assert dataset.fingerprint == open_dataset(made).fingerprint
    assert dataset.frames("000/001", 30, 40).shape == (10, 32, 32, 3)


def test_a_bucket_that_is_not_there_is_a_sentence(bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--split", "train", "--num-episodes", "1", "--world", "plaza-v1", "--resolution", "64"]
    assert command.main(["--out", "s3://nowhere/set", *flags]) == 2
    note, said = capsys.readouterr().err.splitlines()
    assert note == "note: s3://nowhere/set: cannot be locked; run only one command there at a time"
    assert said.startswith("error: s3://nowhere/set/dataset.json: ")
