"""Kill a process with all below it: Java, and the display it draws on, have sessions of their own."""

import os
import signal
from pathlib import Path


def kill_tree(pid: int) -> None:
    """Kill process `pid` and its descendants, if they are still there; stopped first, it starts no more."""
    try:
        os.kill(pid, signal.SIGSTOP)
        kill_descendants(pid)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def kill_descendants(pid: int) -> None:
    """Kill all processes below `pid`."""
    for child in _children(pid):
        kill_tree(child)


def _children(pid: int) -> list[int]:
    """The processes that `pid` has started, by Linux's own list."""
    try:
        lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(word) for text in lists for word in text.split()]
