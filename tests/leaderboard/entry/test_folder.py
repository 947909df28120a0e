"""Folders of entries: what they can hold, where they belong, and nothing that leads out of them."""

import os
from pathlib import Path

import pytest

from leaderboard.entry import limits
from leaderboard.entry.folder import make_entry_id, plain_name, read_entries, read_entry
from loopcraft.core.errors import UserError
from tests.fakes.entries import sound_result, write_entry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_entry(tmp_path, sound_result(recall=False), videos=1)


def test_an_entry_reads_back(tmp_path: Path, folder: Path) -> None:
    (entry,) = read_entries(tmp_path)
    assert entry.id == "loopcraft-mini/plaza-v1/dreamer"
    assert entry.result == sound_result(recall=False)
    assert sorted(entry.files) == ["card.json", "result.json", "videos/000-000.mp4"]
    assert list(entry.videos) == ["000/000"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run.sh", "does not belong in an entry"),
        (".hidden", "does not belong in an entry"),
        ("videos/index.html", "does not belong in an entry"),
        ("videos/a/000-000.mp4", "does not belong in an entry"),
        ("videos/900-000.mp4", "matches no video"),
    ],
)
def test_other_files_are_refused(folder: Path, name: str, message: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(UserError, match=message):
        read_entry(folder)


def test_links_are_refused(tmp_path: Path, folder: Path) -> None:
    (folder / "card.json").unlink()
    (folder / "card.json").symlink_to("/etc/hostname")
    with pytest.raises(UserError, match="is a link"):
        read_entry(folder)
    os.symlink(folder, folder.parent / "other")
    with pytest.raises(UserError, match="is a link"):
        read_entries(tmp_path)


def test_large_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_VIDEO_BYTES", 100)
    with pytest.raises(UserError, match=r"000-000.mp4: is larger than 100 bytes"):
        read_entry(folder)
    monkeypatch.setattr(limits, "MOST_RESULT_BYTES", 100)
    with pytest.raises(UserError, match=r"result.json: is larger than 100 bytes"):
        read_entry(folder)


def test_many_videos_are_refused(folder: Path) -> None:
    content = (folder / "videos" / "000-000.mp4").read_bytes()
    for number in range(1, limits.MOST_VIDEOS + 1):
        (folder / "videos" / f"000-00{number}.mp4").write_bytes(content)
    with pytest.raises(UserError, match="more than 4 videos"):
        read_entry(folder)


def test_an_entry_must_be_where_its_result_belongs(tmp_path: Path, folder: Path) -> None:
    elsewhere = tmp_path / "loopcraft-mini" / "voxel-v1" / "dreamer"
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    with pytest.raises(UserError, match="its result belongs at loopcraft-mini/plaza-v1/dreamer"):
        read_entry(elsewhere)


@pytest.mark.parametrize("name", ["../x", "/etc", "a/b", ".git", "A", "", "x" * 1_000_000, "<img>", "a b"])
def test_invalid_folder_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="not allowed; use up to 64"):
        make_entry_id(sound_result(recall=False), name)


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "../../x", "  ", "Ünïcode", "x" * 1000])
def test_any_models_name_gives_a_folder(name: str) -> None:
    assert make_entry_id(sound_result(recall=False), plain_name(name)).startswith("loopcraft-mini/plaza-v1/")
