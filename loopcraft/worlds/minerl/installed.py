"""Installed versions of MineRL and of the Java that runs its game."""

import re
import subprocess
from importlib import metadata

_COMMAND_SECONDS = 60


def minerl_versions() -> dict[str, str]:
    """Return the installed versions, as in {"minerl": "0.4.4", "java": "1.8.0_402"}."""
    versions = {"minerl": package_version("minerl"), "java": java_version()}
    return {name: version for name, version in versions.items() if version is not None}


def package_version(name: str) -> str | None:
    """Return the version of a package in this environment, None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def java_version() -> str | None:
    """Return the version of the Java on the PATH, None if there is none."""
    printed = output_of("java", "-version")
    version = re.search(r'version "([^"]+)"', printed or "")
    return None if version is None else version[1]


def output_of(*command: str) -> str | None:
    """Return what a command prints to stdout and stderr, None if it is missing or hangs."""
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout + result.stderr
