"""Files appear whole or not at all."""

import json
from pathlib import Path

import pytest

from loopcraft import storage
from loopcraft.cli import UserError


def test_keys_are_a_thousand_to_a_folder() -> None:
    assert [storage.episode_key(index) for index in (0, 999, 1000, 199_999)] == [
        "000/000",
        "000/999",
        "001/000",
        "199/999",
    ]


def test_a_file_has_its_name_only_when_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with storage.whole_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert storage.is_partial(temporary)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_may_be_read_by_whom_the_user_lets_read_new_files(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    with storage.whole_file(tmp_path / "file") as temporary:
        temporary.touch(mode=0o600)  # as some libraries make theirs
    assert (tmp_path / "file").stat().st_mode == other.stat().st_mode


def test_a_failure_leaves_the_old_file_and_no_debris(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with storage.whole_file(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_sweeping_takes_partial_files_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / ".hidden", tmp_path / "notes.partial", tmp_path / "000" / "000.mp4"]
    swept = [tmp_path / ".index.json.12ab.partial", tmp_path / "000" / ".000.mp4.9f.partial"]
    (tmp_path / "000").mkdir()
    for path in kept + swept:
        path.touch()
    storage.sweep_partials(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_json_keeps_its_order_and_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    storage.write_json(path, {"000/001": 2, "000/000": 1})
    assert list(json.loads(path.read_text())) == ["000/001", "000/000"]
    assert storage.read_json(path) == {"000/001": 2, "000/000": 1}
    path.write_text('{"000/0')
    with pytest.raises(UserError, match=r"index\.json: not JSON"):
        storage.read_json(path)


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("abc")
    assert storage.file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
