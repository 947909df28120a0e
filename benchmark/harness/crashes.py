"""Which videos a process was making when its model crashed it: segmentation faults, aborts and their kind.

While a batch is made, a note in the run's folder names its videos, and Python's faulthandler adds its report
there when the process crashes. A process that is killed (by hand, by a scheduler, for its memory) writes no
report: that is no fault of the model's.
"""

import faulthandler
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from loopcraft.core.urls import content_of

_REPORT = "Fatal Python error: "


@dataclass(frozen=True, kw_only=True)
class Crash:
    """The videos that were being made, what happened in a few words, and Python's report."""

    keys: tuple[str, ...]
    what: str
    report: str


@contextmanager
def noting_crashes(path: Path | None, keys: Sequence[str]) -> Iterator[None]:
    """Let a crash during the block leave its report in `path`, if there is a place for one."""
    if path is None:
        yield
        return
    was_enabled = faulthandler.is_enabled()
    with path.open("w") as file:
        file.write(f"{json.dumps(list(keys))}\n")
        file.flush()
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()
            if was_enabled and sys.__stderr__ is not None:
                faulthandler.enable(sys.__stderr__)
            path.unlink(missing_ok=True)


def take_crash(path: Path) -> Crash | None:
    """What a process that is gone left in `path`, and forget it; None if it did not crash."""
    try:
        first, _, report = content_of(path).decode(errors="replace").partition("\n")
    except FileNotFoundError:
        return None
    path.unlink(missing_ok=True)
    if not report.startswith(_REPORT):
        return None
    try:
        keys = json.loads(first)
    except ValueError:
        return None
    what = report.partition("\n")[0].removeprefix(_REPORT)
    return Crash(keys=tuple(map(str, keys)), what=what, report=report) if isinstance(keys, list) else None
