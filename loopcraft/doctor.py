"""Check whether this machine can run a world, and print the command that fixes each problem.

Exit code 0 means that the world can run. The commands are for Debian and Ubuntu; docs/minerl.md describes the
complete setup for Minecraft, with a Dockerfile.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import av
import numpy as np

from loopcraft.core import cli, jit
from loopcraft.worlds import make_world, world_spec
from loopcraft.worlds.checks import Check

FREE_BYTES = 2 * 10**9
WRITE_BYTES, WRITE_BYTES_PER_SECOND = 32 * 2**20, 10 * 10**6
"""An episode is about 4 MB; on a slower disk, several workers wait for it."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m loopcraft.doctor`."""

    world: str = "voxel-v1"
    """World to check."""
    out: Path = Path(".")
    """Folder for data sets, whose disk is checked."""
    warm: bool = False
    """Compile all kernels now, so that later commands start faster."""


def examine(world_id: str, out: Path) -> Iterator[Check]:
    """Run all checks of a world, one by one."""
    spec = world_spec(world_id)
    yield check_python(only=spec.python_version)
    yield from check_disk(out)
    yield check_encoder()
    if spec.checks is not None:
        yield from spec.load(spec.checks)()
    else:
        yield check_drawing(world_id)
        yield check_code_cache()


def check_python(*, only: tuple[int, int] | None) -> Check:
    """Check the version of Python: at least 3.11, or exactly the world's version `only`."""
    current, minimum = sys.version_info[:2], (3, 11)
    is_good = current >= minimum if only is None else current == only
    version = ".".join(map(str, only or minimum))
    remedy = None if is_good else f"apt-get install -y python{version}-venv && python{version} -m venv .venv"
    return Check(name="Python", found=".".join(map(str, current)), remedy=remedy)


def check_disk(out: Path) -> Iterator[Check]:
    """Check the free space and the write speed of the disk that holds `out`."""
    folder = next(path for path in (out.absolute(), *out.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    remedy = None if free >= FREE_BYTES else f"du -xh --max-depth=2 {folder} | sort -h | tail"
    yield Check(name="disk space", found=f"{free / 1e9:.1f} GB free in {folder}", remedy=remedy)
    elsewhere = "python -m loopcraft.doctor --out FOLDER-ON-ANOTHER-DISK"
    try:
        speed = write_speed(folder)
    except OSError as error:
        yield Check(name="write speed", found=cli.describe_os_error(error), remedy=elsewhere)
    else:
        remedy = None if speed >= WRITE_BYTES_PER_SECOND else elsewhere
        yield Check(name="write speed", found=f"{speed / 1e6:.0f} MB/s in {folder}", remedy=remedy)


def write_speed(folder: Path) -> float:
    """Measure the write speed of a folder's disk in bytes per second."""
    block = os.urandom(WRITE_BYTES)
    with tempfile.TemporaryFile(dir=folder) as file:
        start = time.perf_counter()
        file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return WRITE_BYTES / (time.perf_counter() - start)


def check_encoder() -> Check:
    """Check that PyAV was built with x264."""
    is_good = "libx264" in av.codecs_available
    remedy = None if is_good else "pip install --force-reinstall --only-binary av av"
    return Check(name="H.264 encoder", found="libx264" if is_good else "none", remedy=remedy)


def check_drawing(world_id: str) -> Check:
    """Check that one small frame can be drawn; the first time, this compiles kernels."""
    try:
        observation = next(iter(make_world(world_id, resolution=64).play(0, np.zeros(1, np.int8))))
    except Exception as error:  # any error is reported as the check's outcome
        remedy = "pip install --force-reinstall -c constraints.txt -e ."
        return Check(name="a frame", found=f"{type(error).__name__}: {error}", remedy=remedy)
    return Check(name="a frame", found=f"drawn, {len(np.unique(observation.frame))} colour levels")


def check_code_cache() -> Check:
    """Check that compiled kernels are cached; otherwise every process compiles them again."""
    folder = jit.cache_folder()
    remedy = None if folder else "export NUMBA_CACHE_DIR=WRITABLE-FOLDER"
    return Check(name="compiled code", found=f"cached in {folder}" if folder else "not cached", remedy=remedy)


def check_warm() -> Check:
    """Compile every kernel and check that none was left out."""
    left_out = jit.warm()
    remedy = "pip install --force-reinstall -c constraints.txt -e ." if left_out else None
    found = f"{len(jit.kernels) - len(left_out)} of {len(jit.kernels)} compiled"
    return Check(name="kernels", found=found, remedy=remedy)


def run(flags: Flags) -> int:
    """Print every check; return 1 if the world cannot run."""
    world_spec(flags.world)  # refuse an unknown world before any check
    num_failed = 0
    checks = examine(flags.world, flags.out)
    for check in chain(checks, (check_warm() for _ in range(flags.warm))):
        print(f"{'FAIL' if check.remedy else 'ok':6}{check.name:15}{check.found}")
        if check.remedy:
            num_failed += 1
            print(f"{'':6}{'fix it with':15}{check.remedy}")
    verdict = f"cannot run here: {num_failed} checks failed" if num_failed else "can run here"
    print(f"world {flags.world} {verdict}")
    return cli.EXIT_FAILED if num_failed else cli.EXIT_OK


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
