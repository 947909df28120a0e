"""The origin of scores: versions of the code and its packages, and the machine."""

import json
import platform
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from benchmark.harness.score_files import CODE_VERSION, HARDWARE, SOURCES, VERSIONS, parse_versions
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
"""Packages whose versions can change a score."""

CHECKOUT = Path(__file__).parents[2]
"""The folder of the packages; a git checkout if it has a .git."""


def provenance(*, seed: int, origins: Iterable[Mapping[str, str]], seconds: float) -> Provenance:
    """Return the provenance of a result from the `origins` of its videos (see `current_origin`).

    Of several commits with the same sources, one is named.
    """
    distinct = list({json.dumps(origin, sort_keys=True): origin for origin in origins}.values())
    by_sources = {origin[SOURCES]: origin[CODE_VERSION] for origin in distinct}
    packages: dict[str, set[str]] = {}
    for origin in distinct:
        for name, package_version in parse_versions(origin).items():
            packages.setdefault(name, set()).add(package_version)
    return Provenance(
        seed=seed,
        code=_join(by_sources.values()),
        packages={name: _join(versions) for name, versions in packages.items()},
        hardware=_join(origin[HARDWARE] for origin in distinct),
        seconds=round(seconds, 3),
    )


def _join(values: Iterable[str]) -> str:
    return "; ".join(sorted(set(values)))


@cache
def current_origin(device: torch.device) -> Mapping[str, str]:
    """Return the machine and the code of this process, for the headers of score files."""
    return {
        HARDWARE: hardware(device),
        CODE_VERSION: code_version(),
        SOURCES: sources_sha256("loopcraft", "benchmark", "models")[:16],
        VERSIONS: json.dumps({"python": platform.python_version(), **package_versions()}),
    }


def describe_mixed_origins(origins: Iterable[Mapping[str, str]], device: torch.device) -> str | None:
    """Return a sentence on the scores that other code or packages made; None if there are none."""
    current = current_origin(device)
    others = [
        origin
        for origin in origins
        if any(origin.get(name, current[name]) != current[name] for name in (SOURCES, VERSIONS))
    ]
    if not others:
        return None
    versions = _join(origin[CODE_VERSION] for origin in others)
    return (
        f"other code or packages ({versions}) than the current ones ({current[CODE_VERSION]}) made the "
        f"scores of {len(others)} of the videos; the result names both: choose another --out to score all "
        "videos with the same"
    )


def package_versions() -> dict[str, str]:
    """Return the versions of those `PACKAGES` that are installed."""
    return {name: installed for name in PACKAGES if (installed := _version(name)) is not None}


def code_version() -> str:
    """Return the version of this package; in a git checkout, with the commit.

    The commit is marked "dirty" if files were changed, and "unchecked" if git is unavailable to check that.
    """
    released = _version("loopcraft") or "unknown"
    if not (CHECKOUT / ".git").exists():
        return released
    commit = _describe_commit(CHECKOUT) or f"{_read_head(CHECKOUT / '.git') or 'unknown'}-unchecked"
    return f"{released}+{commit}"


@cache
def _describe_commit(checkout: Path) -> str | None:
    """Return git's description of the commit; None without git, or if git does not trust the folder."""
    describe = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _read_head(git_dir: Path) -> str | None:
    """Return the checked-out commit; `git_dir` is a .git folder, or the .git file of a worktree."""
    try:
        if git_dir.is_file():
            git_dir = git_dir.parent / git_dir.read_text().removeprefix("gitdir:").strip()
        pointer = git_dir / "commondir"
        common = git_dir / pointer.read_text().strip() if pointer.exists() else git_dir
        head = (git_dir / "HEAD").read_text().strip()
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
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def hardware(device: torch.device) -> str:
    """Return the name of the processor, after that of the GPU if `device` is one."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line for line in lines if line.startswith("model name")]
    processor = models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()
    if device.type == "cuda" and torch.cuda.is_available():
        return f"{torch.cuda.get_device_name(device)}, {processor}"
    return processor
