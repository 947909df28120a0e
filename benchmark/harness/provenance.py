"""Where numbers were made: versions of the code and its packages, and the machine."""

import platform
import subprocess
from importlib.metadata import version
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


def provenance(*, seed: int, device: torch.device, seconds: float) -> Provenance:
    """What a result says about its making."""
    return Provenance(
        seed=seed,
        code=code_version(),
        packages={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        hardware=hardware(device),
        seconds=round(seconds, 3),
    )


def code_version() -> str:
    """The version of this package; in a git checkout with the commit, marked if files were changed."""
    checkout = Path(__file__).parents[2]
    released = version("loopcraft")
    if not (checkout / ".git").exists():
        return released
    describe = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40"]
    commit = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
    return f"{released}+{commit}" if commit else released


def hardware(device: torch.device) -> str:
    """The processor, and the accelerator where one was used."""
    cpuinfo = Path("/proc/cpuinfo")
    models = (
        [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        if (cpuinfo.exists())
        else []
    )
    processor = models[0].partition(":")[2].strip() if models else platform.processor() or platform.machine()
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {processor}"
    return processor
