"""Where numbers were made: versions of the code and its packages, and the machine."""

import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmark.results.result_file import Provenance

PACKAGES = (
    "av",
    "lpips",
    "numba",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "scipy",
    "torch",
    "torchvision",
    "transformers",
)
"""Packages whose versions can move a number."""

CHECKOUT = Path(__file__).parents[2]
"""Where the packages lie; a git checkout, if that has a .git."""


def provenance(*, seed: int, hardware: Iterable[str], seconds: float) -> Provenance:
    """What a result says about its making; `hardware` is that of every video."""
    return Provenance(
        seed=seed,
        code=code_version(),
        packages={"python": platform.python_version(), **package_versions()},
        hardware="; ".join(sorted(set(hardware))),
        seconds=round(seconds, 3),
    )


def package_versions() -> dict[str, str]:
    """The versions of `PACKAGES` here, but for those that are not installed."""
    return {name: found for name in PACKAGES if (found := _version(name)) is not None}


def code_version() -> str:
    """The version of this package; in a git checkout with the commit.

    The commit is marked "dirty" if files were changed, and "unchecked" where git is not there to say so.
    """
    released = _version("loopcraft") or "unknown"
    if not (CHECKOUT / ".git").exists():
        return released
    commit = _described(CHECKOUT) or f"{_head(CHECKOUT / '.git') or 'unknown'}-unchecked"
    return f"{released}+{commit}"


@cache
def _described(checkout: Path) -> str | None:
    """What git said of the commit when first asked; None without git, or if it does not trust the folder."""
    describe = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _head(place: Path) -> str | None:
    """The commit that is checked out, from the files of `place`, a .git folder or the file that names it."""
    try:
        if place.is_file():  # of a worktree
            place = place.parent / place.read_text().removeprefix("gitdir:").strip()
        common = (
            place / (place / "commondir").read_text().strip() if (place / "commondir").exists() else place
        )
        head = (place / "HEAD").read_text().strip()
        name = head.removeprefix("ref: ")
        if name == head:
            return head
        if (common / name).exists():
            return (common / name).read_text().strip()
        lines = [line.split() for line in (common / "packed-refs").read_text().splitlines()]
        return next((line[0] for line in lines if line[1:] == [name]), None)
    except (OSError, ValueError):
        return None


@cache
def _version(package: str) -> str | None:
    """The version of an installed package; None of one that is not there under that name."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def hardware(device: torch.device) -> str:
    """The processor, and the accelerator where one was used."""
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if (cpuinfo.exists())
        else []
    )
    processor = models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()
    if device.type == "cuda" and torch.cuda.is_available():
        return f"{torch.cuda.get_device_name(device)}, {processor}"
    return processor
