"""Run commands in forked children of a process that has made their imports, so that a run costs none.

A process that outlives such a child becomes a child of this process (`adopt_orphans`). Searching by process
id would not work, as ids are reused within seconds where many threads start. Each child has a folder for
temporary files, which shows what it leaves behind.
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
"""The time that children of a killed process get to notice: those just started import torch first."""
_SHARED = Path("/dev/shm")
_PR_SET_CHILD_SUBREAPER = 36
"""From Linux's sys/prctl.h."""


@dataclass(frozen=True, kw_only=True)
class ChildResult:
    """How a child ended: its exit code (negative: a signal), its output and the seconds it took."""

    code: int
    output: str
    seconds: float


def run_apart(act: Callable[[], int], log: Path, kill_after: float | None = None) -> ChildResult:
    """Call `act` in a forked child, and kill the child after `kill_after` seconds if it is still running."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _become(act, log)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - start
    output = log.read_text(errors="replace") if log.exists() else ""
    code = os.waitstatus_to_exitcode(status)
    return ChildResult(code=code, output=output, seconds=seconds)


def _become(act: Callable[[], int], log: Path) -> None:
    """Run as the child, from start to end."""
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
    """The folder for temporary files of children whose log is in `folder`."""
    return folder / "temporary"


def adopt_orphans(does: bool = True) -> None:
    """Become the parent of descendants whose own parent ends before them; stop with `does=False`."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(does), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl does not know subreapers")


def orphans(patience_s: float = PATIENCE_S) -> list[str]:
    """The command lines of processes that still run a while after their parents have ended."""
    deadline = time.monotonic() + patience_s
    while _has_children():
        if time.monotonic() > deadline:
            return [_command_line(child) for child in _children()]
        time.sleep(0.05)
    return []


def _has_children() -> bool:
    """Whether this process has children left, after reaping those that have ended."""
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
    except OSError:  # the process has just ended
        return "?"


def shared_memory(but: Container[str] = (), patience_s: float = 0.0) -> set[str]:
    """The names in shared memory that belong to no living process, except those in `but`.

    Helpers of dead processes get some time to remove what they own.
    """
    deadline = time.monotonic() + patience_s
    while True:
        names = {path.name for path in _SHARED.iterdir()} if _SHARED.is_dir() else set()
        leaked = {name for name in names if name not in but and not _names_a_process(name)}
        if leaked:  # only then, as the maps of all processes are long
            leaked -= _mapped_names()
        if not leaked or time.monotonic() > deadline:
            return leaked
        time.sleep(0.05)


def _names_a_process(name: str) -> bool:
    return any(Path(f"/proc/{number}").exists() for number in re.findall(r"\d+", name))


def _mapped_names() -> set[str]:
    """The names in shared memory that some process has mapped."""
    names: set[str] = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # the process has just ended, or is another user's
            names |= set(re.findall(rf"{_SHARED}/(\S+)", maps.read_text()))
    return names
