"""Record which videos a process was generating when its model crashed it (segmentation fault, abort ...).

While a batch is generated, a note in the run's folder names its videos; if the process crashes, Python's
faulthandler appends its report. A process that is killed (by hand, by a scheduler, for its memory) leaves no
report, as that is not the model's fault.
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
    """The videos being generated, a short description of the crash, and the report of faulthandler."""

    keys: tuple[str, ...]
    what: str
    report: str


@contextmanager
def record_crashes(path: Path | None, keys: Sequence[str]) -> Iterator[None]:
    """Have a crash during the block write its report to `path`; do nothing if `path` is None."""
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
    """Read and delete the note that a dead process left in `path`; return None if it did not crash."""
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
