"""What Minecraft needs from a machine: the checks' findings and remedies."""

import stat
import sys
from importlib import metadata
from pathlib import Path

import pytest

from loopcraft.worlds.checks import Check
from loopcraft.worlds.minerl import checks


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH, without display variables."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("MINERL_HEADLESS", raising=False)
    return tmp_path


def install(machine: Path, name: str, prints: str) -> None:
    command = machine / name
    command.write_text(f"#!/bin/sh\necho '{prints}'\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)


def test_java_must_be_eight(machine: Path) -> None:
    assert checks.check_java() == Check(
        name="Java 8", found="no java on the PATH", remedy="apt-get install -y openjdk-8-jdk"
    )
    install(machine, "java", 'openjdk version "17.0.15" 2025-04-15')
    check = checks.check_java()
    assert check.found == "Java 17.0.15"
    assert check.remedy is not None
    assert "update-alternatives --set java" in check.remedy
    install(machine, "java", 'openjdk version "1.8.0_402"')
    assert checks.check_java() == Check(
        name="Java 8",
        found="Java 1.8.0_402, but no javac on the PATH",
        remedy="apt-get install -y openjdk-8-jdk",
    ), "the game is compiled: a runtime alone will not do"
    install(machine, "javac", "javac 17.0.15")
    check = checks.check_java()
    assert check.found == "Java 1.8.0_402, but javac 17.0.15"
    assert check.remedy is not None
    assert "update-alternatives --set javac" in check.remedy
    install(machine, "javac", "javac 1.8.0_402")
    assert checks.check_java() == Check(name="Java 8", found="Java 1.8.0_402")


def test_a_display_exists_or_can_be_created(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_display().remedy == "apt-get install -y xvfb xauth && export MINERL_HEADLESS=1"
    monkeypatch.setenv("DISPLAY", ":0")
    assert checks.check_display() == Check(name="display", found="DISPLAY=:0")
    monkeypatch.setenv("MINERL_HEADLESS", "1")
    assert checks.check_display().found == "MINERL_HEADLESS=1 but no xvfb-run"
    install(machine, "xvfb-run", "")
    assert checks.check_display().remedy is None


def test_the_renderer_is_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks.check_gl().remedy == "apt-get install -y mesa-utils libgl1-mesa-dri"
    install(machine, "glxinfo", "Error: unable to open display")
    assert checks.check_gl().remedy is not None
    install(machine, "glxinfo", "OpenGL renderer string: llvmpipe (LLVM 15.0.6, 256 bits)")
    assert checks.check_gl() == Check(name="OpenGL", found="llvmpipe (LLVM 15.0.6, 256 bits)")
    monkeypatch.setenv("MINERL_HEADLESS", "1")  # now the display that xvfb creates is queried
    install(machine, "xvfb-run", "OpenGL renderer string: virtual")
    assert checks.check_gl().found == "virtual"


def test_packages_have_the_right_version() -> None:
    assert checks.check_package("numpy", metadata.version("numpy")).remedy is None
    assert checks.check_package("numpy", "0.1").found == metadata.version("numpy")
    missing = checks.check_package("no-such-package", "1")
    assert missing.found == "not installed"
    assert missing.remedy is not None
    assert missing.remedy.endswith("pip install --no-build-isolation gym==0.19.0 minerl==0.4.4")


def test_the_game_must_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "minerl", raising=False)
    (tmp_path / "minerl").mkdir()
    (tmp_path / "minerl" / "__init__.py").touch()
    assert checks.check_game().remedy is not None
    jar = tmp_path / "minerl" / checks.GAME_JAR
    jar.parent.mkdir(parents=True)
    jar.touch()
    assert checks.check_game() == Check(name="game", found="built")
