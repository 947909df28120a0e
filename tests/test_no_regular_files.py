"""Pipes and devices in place of untrusted files are refused before anything blocks or reads forever."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loopcraft.core.errors import UserError
from loopcraft.core.urls import content_of, require_regular
from tests.drills.readers import FILES, REFUSALS

OF_FILES_ALONE = ("picture", "entry", "clip", "index of latents", "index of pyramids", "manifest of latents")
"""Files whose readers list only regular files, and report in other words that there are none."""


@pytest.mark.parametrize("name", sorted(set(FILES) - set(OF_FILES_ALONE)))
def test_every_reader_refuses_a_device(name: str, tmp_path: Path) -> None:
    """Use /dev/null, which a reader that opened it would take for an empty file."""
    example = FILES[name](tmp_path)
    example.path.unlink()
    example.path.symlink_to("/dev/null")
    with pytest.raises(REFUSALS, match="is not a regular file"):
        example.read()


def test_a_clip_that_is_a_device_is_reported(tmp_path: Path) -> None:
    example = FILES["clip"](tmp_path)
    example.path.unlink()
    example.path.symlink_to("/dev/null")
    assert [finding.problem for finding in example.read()] == ["the video of 000/000 cannot be decoded"]


@pytest.mark.parametrize("name", ["index.json", "SHA256SUMS"])
def test_a_command_does_not_wait_for_a_pipe(name: str, tmp_path: Path) -> None:
    FILES["sums"](tmp_path)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    command = [sys.executable, "-m", "loopcraft.verify", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path / name}: is not a regular file")
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    with path.open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(UserError, match=r"index\.json: is too large"):
        content_of(path)


def test_links_to_files_are_files_and_folders_have_their_own_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").symlink_to("a")
    assert content_of(tmp_path / "b") == b"a"
    require_regular(tmp_path)
    with pytest.raises(IsADirectoryError):
        content_of(tmp_path)
    with pytest.raises(FileNotFoundError):
        content_of(tmp_path / "c")
