"""Run code of another project in a fork that has imported numba but none of our packages."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from loopcraft.core.extras import ROOMS
from tests.fakes import nursery


def run_in(folder: Path, code: str, **environment: str) -> tuple[str, str]:
    """Run code in a process that imports packages with our names from `folder`; return stdout and stderr."""
    command = start_in(folder, code, **environment)
    assert command.wait() == 0, command.err
    return command.out, command.err


def start_in(folder: Path, code: str, **environment: str) -> nursery.ForkedCommand:
    """Start such a process."""
    return nursery.start(folder / "said", __name__, str(folder), code, **environment)


def main(arguments: Sequence[str]) -> int:
    """Forget our packages and run the code."""
    folder, code = arguments
    for name in [name for name in sys.modules if name.partition(".")[0] in ROOMS]:
        del sys.modules[name]
    sys.dont_write_bytecode = True  # else a source changed within a second looks unchanged
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.path_importer_cache.clear()
    tempfile.tempdir = None  # the environment names another folder
    exec(code, {})
    return 0
