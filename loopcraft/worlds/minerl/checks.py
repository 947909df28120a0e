"""Checks of Minecraft's requirements: Java 8, a display, OpenGL, and MineRL with its game built."""

import os
import re
import shutil
from collections.abc import Iterator
from importlib import util
from pathlib import Path

from loopcraft.worlds.checks import Check
from loopcraft.worlds.minerl.installed import java_version, output_of, package_version

MINERL_VERSION, GYM_VERSION = "0.4.4", "0.19.0"
GAME_JAR = "Malmo/Minecraft/build/libs/MalmoMod-0.37.0-fat.jar"

_INSTALL_MINERL = (
    f"pip install 'pip==21.3.1' 'setuptools==65.5.0' 'wheel==0.38.4' && pip install --no-build-isolation "
    f"gym=={GYM_VERSION} minerl=={MINERL_VERSION}"
)
_INSTALL_JAVA = "apt-get install -y openjdk-8-jdk"
_INSTALL_DISPLAY = "apt-get install -y xvfb xauth && export MINERL_HEADLESS=1"
_INSTALL_GL = "apt-get install -y mesa-utils libgl1-mesa-dri"
_VIRTUAL_DISPLAY = ("xvfb-run", "-a", "-s", "-screen 0 1024x768x24")


def examine() -> Iterator[Check]:
    """Yield all checks; none starts the game."""
    yield check_java()
    yield check_display()
    yield check_gl()
    yield check_package("gym", GYM_VERSION)
    yield check_package("minerl", MINERL_VERSION)
    yield check_game()


def check_java() -> Check:
    """Check for Java 8, the only version that runs Minecraft 1.11, and for its compiler, for the build."""
    version = java_version()
    if version is None:
        return Check(name="Java 8", found="no java on the PATH", remedy=_INSTALL_JAVA)
    found = f"Java {version}"
    if not version.startswith("1.8."):
        return Check(name="Java 8", found=found, remedy=f"{_INSTALL_JAVA} && {_choose('java')}")
    compiler = re.search(r"javac (\S+)", output_of("javac", "-version") or "")
    if compiler is None:
        return Check(name="Java 8", found=f"{found}, but no javac on the PATH", remedy=_INSTALL_JAVA)
    if not compiler[1].startswith("1.8."):
        found = f"{found}, but javac {compiler[1]}"
        return Check(name="Java 8", found=found, remedy=f"{_INSTALL_JAVA} && {_choose('javac')}")
    return Check(name="Java 8", found=found)


def _choose(command: str) -> str:
    """The shell command that makes Java 8's `command` the one on the PATH."""
    return f'update-alternatives --set {command} "$(update-alternatives --list {command} | grep java-8)"'


def check_display() -> Check:
    """Check for a display, or for MINERL_HEADLESS=1 and xvfb, which provides one."""
    headless, display = os.environ.get("MINERL_HEADLESS") == "1", os.environ.get("DISPLAY")
    if headless and shutil.which("xvfb-run"):
        return Check(name="display", found="xvfb, for MINERL_HEADLESS=1")
    if headless:
        return Check(name="display", found="MINERL_HEADLESS=1 but no xvfb-run", remedy=_INSTALL_DISPLAY)
    if display:
        return Check(name="display", found=f"DISPLAY={display}")
    return Check(name="display", found="neither DISPLAY nor MINERL_HEADLESS=1", remedy=_INSTALL_DISPLAY)


def check_gl() -> Check:
    """Check for an OpenGL renderer on the display that the game would use."""
    prefix = _VIRTUAL_DISPLAY if os.environ.get("MINERL_HEADLESS") == "1" else ()
    printed = output_of(*prefix, "glxinfo", "-B")
    renderer = re.search(r"OpenGL renderer string: (.+)", printed or "")
    if renderer is None:
        return Check(name="OpenGL", found="glxinfo is missing or finds no OpenGL", remedy=_INSTALL_GL)
    return Check(name="OpenGL", found=renderer[1].strip())


def check_package(name: str, wanted: str) -> Check:
    """Check that a package is installed in this environment, in the version that defines the world."""
    found = package_version(name) or "not installed"
    return Check(name=name, found=found, remedy=None if found == wanted else _INSTALL_MINERL)


def check_game() -> Check:
    """Check that the installation has built the game; otherwise each start builds it, from the network."""
    spec = util.find_spec("minerl")
    folders = (spec and spec.submodule_search_locations) or []
    if any((Path(folder) / GAME_JAR).is_file() for folder in folders):
        return Check(name="game", found="built")
    remedy = f"pip uninstall -y minerl; {_INSTALL_MINERL}"
    return Check(name="game", found=f"minerl/{GAME_JAR} is missing", remedy=remedy)
