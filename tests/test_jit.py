"""Kernels are kept on disk; a change in any source of the package must not leave a stale one behind."""

import shutil
import subprocess
import sys
from pathlib import Path

from loopcraft.worlds.voxel import jit

KERNEL = """
from {package}.steps import FACTOR, grow
from {package}.jit import kernel

@kernel
def scaled(value):
    return FACTOR * grow(value)
"""
STEPS = """
from {package}.jit import inlined

FACTOR = {factor}

@inlined
def grow(value):
    return value + {growth}
"""


def run_kernel(folder: Path, *, factor: int, growth: int) -> tuple[int, int]:
    """The kernel's result in a new process, and how often it was compiled there."""
    (folder / "steps.py").write_text(STEPS.format(package=folder.name, factor=factor, growth=growth))
    code = f"from {folder.name}.main import scaled; print(scaled(1), sum(scaled.stats.cache_misses.values()))"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=True)
    value, misses = result.stdout.split()
    return int(value), int(misses)


def test_a_constant_or_a_step_from_another_file_is_never_stale(tmp_path: Path) -> None:
    folder = tmp_path / "small_package"
    folder.mkdir()
    shutil.copy(jit.__file__, folder / "jit.py")
    (folder / "main.py").write_text(KERNEL.format(package=folder.name))
    assert run_kernel(folder, factor=2, growth=1) == (4, 1)
    assert run_kernel(folder, factor=2, growth=1) == (4, 0)
    assert run_kernel(folder, factor=3, growth=1) == (6, 1)
    assert run_kernel(folder, factor=3, growth=4) == (15, 1)
