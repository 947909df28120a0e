"""Run commands in forked children of a process that has imported all they need: a run costs no imports.

Each child leads a session of its own, by which whoever outlives it is found, and has a folder for temporary
files, in which whatever it leaves is found.
"""

import io
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_S = 30.0
"""How long children of a killed process have to notice: those that have just begun import torch first."""
_SHARED = Path("/dev/shm")


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended: exit code (negative: a signal), what it said, the seconds it took, its session."""

    code: int
    said: str
    seconds: float
    session: int


def run_apart(act: Callable[[], int], log: Path, kill_after: float | None = None) -> Ended:
    """Fork, call `act` in the child, and kill the child after some seconds if it is still there by then."""
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(act, log)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - begin
    said = log.read_text(errors="replace") if log.exists() else ""
    code = os.waitstatus_to_exitcode(status)
    return Ended(code=code, said=said, seconds=seconds, session=child)


def _become(act: Callable[[], int], log: Path) -> None:
    """The child's whole life."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), write_through=True) for number in (1, 2)
    )
    code = 1
    try:
        temporary = temporary_folder(log.parent)
        temporary.mkdir(exist_ok=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        code = act()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def temporary_folder(folder: Path) -> Path:
    """Where the children whose log is in `folder` have their temporary files."""
    return folder / "temporary"


def orphans(sessions: Container[int]) -> int:
    """How many processes of sessions whose leaders have ended are still there after a while."""
    until = time.monotonic() + _PATIENCE_S
    while left := sum(_session_of(path) in sessions for path in Path("/proc").glob("[0-9]*/stat")):
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    return left


def _session_of(stat: Path) -> int:
    try:
        state, _, _, session = stat.read_text().rpartition(") ")[2].split()[:4]
    except OSError:  # it has just ended
        return 0
    return 0 if state == "Z" else int(session)


def shared_memory() -> set[str]:
    """What lies in shared memory and belongs to no living process, as far as names tell."""
    names = {path.name for path in _SHARED.iterdir()} if _SHARED.is_dir() else set()
    return {name for name in names if not any(Path(f"/proc/{n}").exists() for n in re.findall(r"\d+", name))}


def content(root: Path, but: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Every file below `root` with its bytes, without those whose names end with one of `but`."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(but or ("\0",))
    }
