"""How far a command is, on standard error: a bar on a terminal, elsewhere a line now and then.

Both say the same: what is done, how many of how many, how many of these failed, how fast, and how long still.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

RATE_PERIOD_S = 120.0
"""A rate is over this long, or over all of the time so far."""
LINE_EVERY_S = 30.0
"""Between two lines where there is no terminal."""

Note = Callable[[float], str]
"""From items a second to what else is worth saying."""


class Meter:
    """Counts what is done of `total` items."""

    def __init__(self, total: int, unit: str, done: int = 0) -> None:
        self.total, self.done, self.failed, self._unit = total, done, 0, unit
        self._began = time.monotonic()
        self._marks = deque([(self._began, done, 0)])

    def count(self, items: int = 1, failed: int = 0) -> None:
        """Say that so many more items are done, and how many of these failed."""
        now = time.monotonic()
        self.done += items
        self.failed += failed
        while len(self._marks) > 1 and self._marks[1][0] <= now - RATE_PERIOD_S:
            self._marks.popleft()
        self._marks.append((now, self.done, self.failed))

    @property
    def rate(self) -> float:
        """Items a second, without those that failed; 0 where nothing is known yet."""
        done, failed = self._paces()
        return done - failed

    def _paces(self) -> tuple[float, float]:
        """Items a second that are done, and that failed."""
        (begin, done, failed), (end, done_now, failed_now) = self._marks[0], self._marks[-1]
        seconds = end - begin
        return ((done_now - done) / seconds, (failed_now - failed) / seconds) if seconds > 0 else (0.0, 0.0)

    def __str__(self) -> str:
        """As in "12 of 64 episodes, 2 failed, 3.21 episodes/s, 0:16 left", until all are done."""
        said = f"{self.done} of {self.total} {self._unit}"
        if self.failed:
            said += f", {self.failed} failed"
        if not self.rate:
            return said
        if self.done >= self.total:
            return f"{said}, {self.rate:.3g} {self._unit}/s, took {duration(time.monotonic() - self._began)}"
        left = (self.total - self.done) / self._paces()[0]
        return f"{said}, {self.rate:.3g} {self._unit}/s, {duration(left)} left"


def duration(seconds: float) -> str:
    """Minutes and seconds, and hours where there are any: "1:02:03"."""
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
    """Show how far `what` is while the block runs: call what it yields after each item, or with their number.

    It takes as `failed` how many of them failed, which count for no rate. `done` items were there before;
    nothing is shown where none is left.
    """
    meter = Meter(total, unit, done)
    console = console or Console(stderr=True)

    def words() -> str:
        return f"{meter}, {note(meter.rate)}" if note is not None and meter.rate else str(meter)

    if done >= total:
        yield meter.count
        return
    with (_bar if console.is_terminal else _lines)(console, what, meter, words) as show:

        def advance(items: int = 1, failed: int = 0) -> None:
            meter.count(items, failed)
            show()

        yield advance


@contextmanager
def _bar(console: Console, what: str, meter: Meter, words: Callable[[], str]) -> Iterator[Callable[[], None]]:
    with Progress(TextColumn("{task.description}"), BarColumn(), _Words(words), console=console) as progress:
        task = progress.add_task(what, total=meter.total, completed=meter.done)
        yield lambda: progress.update(task, completed=meter.done)


class _Words(ProgressColumn):
    """The column of the bar that holds the words."""

    def __init__(self, words: Callable[[], str]) -> None:
        super().__init__()
        self._words = words

    def render(self, task: Task) -> Text:
        """Rich's hook: the text of the column."""
        return Text(self._words())


@contextmanager
def _lines(
    console: Console, what: str, meter: Meter, words: Callable[[], str]
) -> Iterator[Callable[[], None]]:
    """A line every `LINE_EVERY_S` seconds, and one at the end."""
    last = time.monotonic()

    def say() -> None:
        console.print(f"{what}: {words()}", markup=False, highlight=False, soft_wrap=True)

    def show() -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_EVERY_S and meter.done < meter.total:
            last = time.monotonic()
            say()

    try:
        yield show
    finally:
        say()
