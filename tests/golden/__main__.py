"""Check the models against a folder of golden vectors: `python -m tests.golden DIR [--fast]`.

Prints a line per group with its largest error and tolerance, then a summary. Exits with 1 if a tolerance is
exceeded or a file of a known kind was not read.
"""

import math
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro

from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, run
from loopcraft.core.errors import UserError
from tests.golden import autoencoder, formats, networks, plans, precision, rollouts, training, weights
from tests.golden.folder import Folder, golden_weight

GROUPS = [
    check
    for module in (weights, plans, formats, networks, autoencoder, precision, training, rollouts)
    for check in module.CHECKS
]
UNREADABLE = (KeyError, IndexError, TypeError, ValueError, RuntimeError, zipfile.BadZipFile)
"""Exceptions that a check raises for a file with missing or unexpected arrays or manifest entries."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Which folder to check, and how thoroughly."""

    folder: Annotated[Path, tyro.conf.Positional]
    """The folder of golden vectors."""
    fast: bool = False
    """Check only one weight rule and the first steps of long rollouts."""
    threads: int | None = None
    """The threads that PyTorch uses; all cores if not given."""


def check_folder(flags: Flags) -> int:
    """Run every group that the folder has files for."""
    if not flags.folder.is_dir():
        raise UserError(f"{flags.folder}: no such folder; give one with golden vectors")
    if flags.threads is not None:
        torch.set_num_threads(flags.threads)
    folder = Folder(flags.folder, fast=flags.fast)
    for group in GROUPS:
        first, start, read = len(folder.checks), time.perf_counter(), set(folder.read)
        try:
            group(folder)
        except FileNotFoundError as error:
            print(f"skip {group.__name__}: no {Path(error.filename).name}")
            folder.read = read  # files that only this group reads count as not checked
            continue
        except UNREADABLE as error:
            folder.record(f"stopped by {type(error).__name__}: {error}", math.inf, 0.0)
        golden_weight.cache_clear()
        print_group(group.__name__, folder, first, time.perf_counter() - start)
    failed = [check for check in folder.checks if not check.passed]
    unread = folder.unread()
    for name in unread:
        print(f"FAIL {name} was not checked")
    print(f"{len(folder.checks)} checks, {len(failed)} failed, {len(unread)} files not checked")
    return EXIT_FAILED if failed or unread or not folder.checks else EXIT_OK


def print_group(name: str, folder: Folder, first: int, seconds: float) -> None:
    """Print the worst check of a group, relative to its tolerance, and every failed one."""
    checks = folder.checks[first:]
    if not checks:
        print(f"skip {name}: no files")
        return
    worst = max(checks, key=lambda check: (not check.passed, check.error / (check.tolerance or 1)))
    verdict = "ok  " if worst.passed else "FAIL"
    print(
        f"{verdict} {name}: {len(checks)} checks, largest error {worst.error:.2g} "
        f"(tolerance {worst.tolerance:.2g}) in {worst.name}; {seconds:.1f} s"
    )
    for check in checks:
        if not check.passed:
            print(f"     {check.name}: {check.error:.3g} > {check.tolerance:.2g}")


def main(argv: Sequence[str] | None = None) -> int:
    return run(Flags, check_folder, argv)


if __name__ == "__main__":
    raise SystemExit(main())
