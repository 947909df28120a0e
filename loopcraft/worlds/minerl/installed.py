"""What of Minecraft is installed here: the versions of the package and of the Java that its game runs on."""

import re
import subprocess
from importlib import metadata

_COMMAND_SECONDS = 60


def minerl_versions() -> dict[str, str]:
    """As {"minerl": "0.4.4", "java": "1.8.0_402"}; what is not there is left out."""
    found = {"minerl": package_version("minerl"), "java": java_version()}
    return {name: version for name, version in found.items() if version is not None}


def package_version(name: str) -> str | None:
    """The version of a package in this environment; None if it is not there."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def java_version() -> str | None:
    """The version of the Java on the PATH; None if there is none."""
    printed = output_of("java", "-version")
    version = re.search(r'version "([^"]+)"', printed or "")
    return None if version is None else version[1]


def output_of(*command: str) -> str | None:
    """What a command prints on either stream; None where it is missing or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr
