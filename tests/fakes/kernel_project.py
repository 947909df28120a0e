"""A project beside ours, run in a fork of the nursery: numba is there, and our packages are not."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loopcraft.core.extras import ROOMS
from tests.fakes import nursery


def run_in(folder: Path, code: str, **environment: str) -> tuple[str, str]:
    """What code prints in a process whose packages called as ours are those in `folder`: output, errors."""
    done = start_in(folder, code, **environment)
    assert done.wait() == 0, done.err
    return done.out, done.err


def start_in(folder: Path, code: str, **environment: str) -> nursery.Born:
    """Start such a process."""
    return nursery.start(folder / "said", __name__, str(folder), code, **environment)


def main(arguments: Sequence[str]) -> int:
    """The life of that process: forget our packages, and run the code."""
    folder, code = arguments
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOMS]:
        del sys.modules[name]
    sys.dont_write_bytecode = True  # a source that changes within a second would be taken for the old one
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.path_importer_cache.clear()
    tempfile.tempdir = None  # the environment names another
    exec(code, {})
    return 0
