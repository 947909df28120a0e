"""Run commands in forked children of a process that has imported all they need: a run costs no imports.

Whoever outlives a child becomes a child of this process, which has asked Linux for that (`adopt_orphans`): no
search by numbers, which are used again within seconds where many threads are started. Each child has a folder
for temporary files, in which whatever it leaves is found.
"""

import ctypes
import io
import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 30.0
"""How long children of a killed process have to notice: those that have just begun import torch first."""
_SHARED = Path("/dev/shm")
_PR_SET_CHILD_SUBREAPER = 36
"""From Linux's sys/prctl.h."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended: exit code (negative: a signal), what it said, the seconds it took."""

    code: int
    said: str
    seconds: float


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
    return Ended(code=code, said=said, seconds=seconds)


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


def adopt_orphans(does: bool = True) -> None:
    """Become the parent of every process whose parent, below this one, ends before it does; or no longer."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(does), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl does not know subreapers")


def orphans(patience_s: float = PATIENCE_S) -> list[str]:
    """The command lines of the processes that are still there a while after their parents have ended."""
    until = time.monotonic() + patience_s
    while _has_children():
        if time.monotonic() > until:
            return [_command_line(child) for child in _children()]
        time.sleep(0.05)
    return []


def _has_children() -> bool:
    """Whether this process has children, after it has taken note of those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _children() -> list[int]:
    lists = Path("/proc/self/task").glob("*/children")
    return sorted(int(child) for path in lists for child in path.read_text().split())


def _command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:  # it has just ended
        return "?"


def shared_memory(but: Container[str] = (), patience_s: float = 0.0) -> set[str]:
    """What lies in shared memory and belongs to no living process, but for some names.

    The helpers of dead processes are given some time to remove what was theirs.
    """
    until = time.monotonic() + patience_s
    while True:
        names = {path.name for path in _SHARED.iterdir()} if _SHARED.is_dir() else set()
        found = {name for name in names if name not in but and not _names_a_process(name)}
        if found:  # the maps of all processes are long
            found -= _mapped()
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.05)


def _names_a_process(name: str) -> bool:
    return any(Path(f"/proc/{number}").exists() for number in re.findall(r"\d+", name))


def _mapped() -> set[str]:
    """The names in shared memory that some process has mapped."""
    found: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # it has just ended, or is another user's
            found |= set(re.findall(rf"{_SHARED}/(\S+)", maps.read_text()))
    return found
