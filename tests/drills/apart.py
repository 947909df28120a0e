"""Run commands in forked children of a process that has imported all they need: a run costs no imports."""

import io
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a child ended: its exit code (negative: a signal), what it said, and the seconds it took."""

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
    return Ended(code=os.waitstatus_to_exitcode(status), said=log.read_text(), seconds=seconds)


def _become(act: Callable[[], int], log: Path) -> None:
    """The child's whole life."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w", closefd=False), write_through=True) for number in (1, 2)
    )
    code = 1
    try:
        code = act()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def content(root: Path, but: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Every file below `root` with its bytes, without those whose names end with one of `but`."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith(but or ("\0",))
    }
