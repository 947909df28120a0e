"""Where numbers were made: versions of the code and its packages, and the machine."""

import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmark.harness.score_files import CODE_VERSION, HARDWARE, SOURCES, VERSIONS, versions_in
from benchmark.results.result_file import Provenance
from loopcraft.core.checksums import sources_sha256

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


def provenance(*, seed: int, origins: Iterable[Mapping[str, str]], seconds: float) -> Provenance:
    """What a result says about its making; `origins` are those of its videos, as `origin_here` tells them.

    Of commits with the same sources one is named.
    """
    every = list({json.dumps(origin, sort_keys=True): origin for origin in origins}.values())
    by_sources = {origin[SOURCES]: origin[CODE_VERSION] for origin in every}
    packages: dict[str, set[str]] = {}
    for origin in every:
        for name, found in versions_in(origin).items():
            packages.setdefault(name, set()).add(found)
    return Provenance(
        seed=seed,
        code=_all(by_sources.values()),
        packages={name: _all(found) for name, found in packages.items()},
        hardware=_all(origin[HARDWARE] for origin in every),
        seconds=round(seconds, 3),
    )


def _all(values: Iterable[str]) -> str:
    return "; ".join(sorted(set(values)))


@cache
def origin_here(device: torch.device) -> Mapping[str, str]:
    """What makes scores in this process, for the header of their files."""
    return {
        HARDWARE: hardware(device),
        CODE_VERSION: code_version(),
        SOURCES: sources_sha256("loopcraft", "benchmark", "models")[:16],
        VERSIONS: json.dumps({"python": platform.python_version(), **package_versions()}),
    }


def mixed_origins(origins: Iterable[Mapping[str, str]], device: torch.device) -> str | None:
    """A sentence on scores that other code or packages made than these here; None where there are none."""
    here = origin_here(device)
    deciding = (SOURCES, VERSIONS)
    others = [
        origin for origin in origins if any(origin.get(name, here[name]) != here[name] for name in deciding)
    ]
    if not others:
        return None
    versions = _all(origin[CODE_VERSION] for origin in others)
    return (
        f"other code or packages ({versions}) than these ({here[CODE_VERSION]}) made the scores of "
        f"{len(others)} of the videos; the result names both: choose another --out to score all alike"
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
