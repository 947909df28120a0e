"""The doctor's findings, remedies and exit codes on machines of every kind."""

import sys
from pathlib import Path

import pytest

from loopcraft import doctor
from loopcraft.core.errors import UserError
from loopcraft.worlds.checks import require_world


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH, without display variables."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("MINERL_HEADLESS", raising=False)
    return tmp_path


def test_slow_and_full_disks_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space, speed = doctor.check_disk(tmp_path / "not" / "there" / "yet")
    assert (space.remedy, speed.remedy) == (None, None)
    assert str(tmp_path) in space.found
    monkeypatch.setattr(doctor, "FREE_BYTES", 10**18)
    monkeypatch.setattr(doctor, "write_speed", lambda folder: 10**6)
    space, speed = doctor.check_disk(tmp_path)
    assert space.remedy is not None
    assert speed.found == f"1 MB/s in {tmp_path}"
    assert speed.remedy is not None


def test_python_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, any_world, minecraft in (
        ((3, 10), False, False),
        ((3, 11), True, True),
        ((3, 13), True, False),
    ):
        monkeypatch.setattr(sys, "version_info", (*version, 0))
        assert (doctor.check_python(only=None).remedy is None) == any_world
        assert (doctor.check_python(only=(3, 11)).remedy is None) == minecraft


def test_the_block_world_runs_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--out", str(tmp_path), "--warm"]) == 0
    printed = capsys.readouterr().out
    assert "FAIL" not in printed
    assert printed.endswith("world voxel-v1 can run here\n")


def test_a_bare_machine_gets_remedies(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--world", "minerl", "--out", str(machine)]) == 1
    lines = capsys.readouterr().out.splitlines()
    failed = [line.split()[1] for line in lines if line.startswith("FAIL")]
    assert {"Java", "display", "OpenGL"} <= set(failed)
    assert sum("fix it with" in line for line in lines) == len(failed)
    assert lines[-1] == f"world minerl cannot run here: {len(failed)} checks failed"
    with pytest.raises(
        UserError, match=r"cannot run here: Java 8: no java on the PATH; fix it with: apt-get"
    ):
        require_world("minerl")


def test_an_unknown_world_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--world", "moon"]) == 2
    assert "unknown world 'moon'" in capsys.readouterr().err
