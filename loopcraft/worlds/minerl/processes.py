"""Killing of process trees: Java and its display have their own sessions, so a process group misses them."""

import os
import signal
from pathlib import Path


def kill_tree(pid: int) -> None:
    """Kill process `pid`, if it exists, and its descendants; stop it first, so that it starts no more."""
    try:
        os.kill(pid, signal.SIGSTOP)
        kill_descendants(pid)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def kill_descendants(pid: int) -> None:
    """Kill all descendants of `pid`."""
    for child in _children(pid):
        kill_tree(child)


def _children(pid: int) -> list[int]:
    """The children of `pid`, from /proc."""
    try:
        lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(word) for text in lists for word in text.split()]
