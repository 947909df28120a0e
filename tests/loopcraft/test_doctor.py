"""The doctor: what it finds, what it says mends it, and its exit code, on machines of every kind."""

import stat
import sys
from importlib import metadata
from pathlib import Path

import pytest

from loopcraft import doctor
from loopcraft.core.errors import UserError
from loopcraft.doctor import Check


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that is the whole PATH, and an empty environment."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("MINERL_HEADLESS", raising=False)
    return tmp_path


def install(machine: Path, name: str, prints: str) -> None:
    command = machine / name
    command.write_text(f"#!/bin/sh\necho '{prints}'\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)


def test_java_must_be_eight(machine: Path) -> None:
    assert doctor.check_java() == Check(
        name="Java 8", found="no java on the PATH", remedy="apt-get install -y openjdk-8-jdk"
    )
    install(machine, "java", 'openjdk version "17.0.15" 2025-04-15')
    wrong = doctor.check_java()
    assert wrong.found == "Java 17.0.15"
    assert wrong.remedy is not None
    assert "update-alternatives --set java" in wrong.remedy
    install(machine, "java", 'openjdk version "1.8.0_402"')
    assert doctor.check_java() == Check(
        name="Java 8",
        found="Java 1.8.0_402, but no javac on the PATH",
        remedy="apt-get install -y openjdk-8-jdk",
    ), "the game is compiled: a runtime alone will not do"
    install(machine, "javac", "javac 17.0.15")
    other = doctor.check_java()
    assert other.found == "Java 1.8.0_402, but javac 17.0.15"
    assert other.remedy is not None
    assert "update-alternatives --set javac" in other.remedy
    install(machine, "javac", "javac 1.8.0_402")
    assert doctor.check_java() == Check(name="Java 8", found="Java 1.8.0_402")


def test_a_display_is_there_or_made(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_display().remedy == "apt-get install -y xvfb xauth && export MINERL_HEADLESS=1"
    monkeypatch.setenv("DISPLAY", ":0")
    assert doctor.check_display() == Check(name="display", found="DISPLAY=:0")
    monkeypatch.setenv("MINERL_HEADLESS", "1")
    assert doctor.check_display().found == "MINERL_HEADLESS=1 but no xvfb-run"
    install(machine, "xvfb-run", "")
    assert doctor.check_display().remedy is None


def test_the_renderer_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_gl().remedy == "apt-get install -y mesa-utils libgl1-mesa-dri"
    install(machine, "glxinfo", "Error: unable to open display")
    assert doctor.check_gl().remedy is not None
    install(machine, "glxinfo", "OpenGL renderer string: llvmpipe (LLVM 15.0.6, 256 bits)")
    assert doctor.check_gl() == Check(name="OpenGL", found="llvmpipe (LLVM 15.0.6, 256 bits)")
    monkeypatch.setenv("MINERL_HEADLESS", "1")  # now the display that xvfb makes is asked
    install(machine, "xvfb-run", "OpenGL renderer string: virtual")
    assert doctor.check_gl().found == "virtual"


def test_packages_have_the_right_version() -> None:
    assert doctor.check_package("numpy", metadata.version("numpy")).remedy is None
    assert doctor.check_package("numpy", "0.1").found == metadata.version("numpy")
    missing = doctor.check_package("no-such-package", "1")
    assert missing.found == "not installed"
    assert missing.remedy is not None
    assert missing.remedy.endswith("pip install --no-build-isolation gym==0.19.0 minerl==0.4.4")


def test_the_game_must_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "minerl", raising=False)
    (tmp_path / "minerl").mkdir()
    (tmp_path / "minerl" / "__init__.py").touch()
    assert doctor.check_game().remedy is not None
    jar = tmp_path / "minerl" / doctor.GAME_JAR
    jar.parent.mkdir(parents=True)
    jar.touch()
    assert doctor.check_game() == Check(name="game", found="built")


def test_slow_and_full_disks_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_bare_machine_is_told_what_to_do(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--world", "minerl", "--out", str(machine)]) == 1
    lines = capsys.readouterr().out.splitlines()
    failed = [line.split()[1] for line in lines if line.startswith("FAIL")]
    assert {"Java", "display", "OpenGL"} <= set(failed)
    assert sum("mend it with" in line for line in lines) == len(failed)
    assert lines[-1] == f"world minerl cannot run here: {len(failed)} checks failed"
    with pytest.raises(
        UserError, match=r"cannot run here: Java 8: no java on the PATH; mend it with: apt-get"
    ):
        doctor.require_world("minerl")


def test_an_unknown_world_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.main(["--world", "moon"]) == 2
    assert "unknown world 'moon'" in capsys.readouterr().err
