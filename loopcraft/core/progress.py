"""Progress on standard error: a bar on a terminal, elsewhere a line every 30 seconds.

Both show the task, items done and in total, failures, the rate and the time left.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

RATE_PERIOD_S = 120.0
"""The rate is averaged over this period, or over the whole run if that is shorter."""
LINE_EVERY_S = 30.0
"""Time between two lines without a terminal."""

Note = Callable[[float], str]
"""Converts items per second into an additional remark."""


class Meter:
    """Counter of finished items, out of `total`."""

    def __init__(self, total: int, unit: str, done: int = 0) -> None:
        self.total, self.done, self.failed, self._unit = total, done, 0, unit
        self._began = time.monotonic()
        self._marks = deque([(self._began, done, 0)])

    def count(self, items: int = 1, failed: int = 0) -> None:
        """Add finished items, `failed` of which failed."""
        now = time.monotonic()
        self.done += items
        self.failed += failed
        while len(self._marks) > 1 and self._marks[1][0] <= now - RATE_PERIOD_S:
            self._marks.popleft()
        self._marks.append((now, self.done, self.failed))

    @property
    def rate(self) -> float:
        """Items per second without failed ones; 0 if not yet known."""
        done, failed = self._paces()
        return done - failed

    def _paces(self) -> tuple[float, float]:
        """Return finished and failed items per second."""
        (begin, done, failed), (end, done_now, failed_now) = self._marks[0], self._marks[-1]
        seconds = end - begin
        return ((done_now - done) / seconds, (failed_now - failed) / seconds) if seconds > 0 else (0.0, 0.0)

    def __str__(self) -> str:
        """Format as in "12 of 64 episodes, 2 failed, 3.21 episodes/s, 0:16 left" ("took 0:20" at the end)."""
        text = f"{self.done} of {self.total} {self._unit}"
        if self.failed:
            text += f", {self.failed} failed"
        if not self.rate:
            return text
        text += f", {self.rate:.3g} {self._unit}/s"
        if self.done >= self.total:
            return f"{text}, took {duration(time.monotonic() - self._began)}"
        return f"{text}, {duration((self.total - self.done) / self._paces()[0])} left"


def duration(seconds: float) -> str:
    """Format seconds as in "2:03" or, from an hour on, "1:02:03"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def progress_bar(
    what: str,
    total: int,
    unit: str,
    done: int = 0,
    *,
    note: Note | None = None,
    console: Console | None = None,
) -> Iterator[Callable[..., None]]:
    """Show the progress of the task `what` while the block runs.

    Yields a function `advance(items=1, failed=0)` to call after each item or batch; failed items do not count
    towards the rate. `done` items exist already; nothing is shown if none is left.
    """
    meter = Meter(total, unit, done)
    console = console or Console(stderr=True)

    def text() -> str:
        return f"{meter}, {note(meter.rate)}" if note is not None and meter.rate else str(meter)

    if done >= total:
        yield meter.count
        return
    with (_bar if console.is_terminal else _lines)(console, what, meter, text) as show:

        def advance(items: int = 1, failed: int = 0) -> None:
            meter.count(items, failed)
            show()

        yield advance


@contextmanager
def _bar(console: Console, what: str, meter: Meter, text: Callable[[], str]) -> Iterator[Callable[[], None]]:
    with Progress(TextColumn("{task.description}"), BarColumn(), _Status(text), console=console) as progress:
        task = progress.add_task(what, total=meter.total, completed=meter.done)
        yield lambda: progress.update(task, completed=meter.done)


class _Status(ProgressColumn):
    def __init__(self, text: Callable[[], str]) -> None:
        super().__init__()
        self._text = text

    def render(self, task: Task) -> Text:
        return Text(self._text())


@contextmanager
def _lines(
    console: Console, what: str, meter: Meter, text: Callable[[], str]
) -> Iterator[Callable[[], None]]:
    """Print a line every `LINE_EVERY_S` seconds, and one at the end."""
    last = time.monotonic()

    def print_line() -> None:
        console.print(f"{what}: {text()}", markup=False, highlight=False, soft_wrap=True)

    def show() -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_S and meter.done < meter.total:
            last = time.monotonic()
            print_line()

    try:
        yield show
    finally:
        print_line()
