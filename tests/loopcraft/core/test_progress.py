"""Progress: the same text on a terminal and in a log, with rates and times checked by a fake clock."""

import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console

from loopcraft.core import progress
from loopcraft.core.progress import Meter, duration, progress_bar


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock))
    return clock


def test_the_text_gives_count_rate_and_time_left(clock: Clock) -> None:
    meter = Meter(64, "episodes", 8)
    assert str(meter) == "8 of 64 episodes"
    clock.now += 2.0
    meter.count()
    assert str(meter) == "9 of 64 episodes, 0.5 episodes/s, 1:50 left"
    clock.now += 2.0
    meter.count(3)
    assert str(meter) == "12 of 64 episodes, 1 episodes/s, 0:52 left"
    clock.now += 52.0
    meter.count(52)
    assert str(meter) == "64 of 64 episodes, 1 episodes/s, took 0:56"


def test_failures_are_shown_and_do_not_count_for_the_rate(clock: Clock) -> None:
    """The time left covers all remaining items, of which as many may fail."""
    meter = Meter(64, "videos")
    clock.now += 4.0
    meter.count(4, failed=4)
    assert str(meter) == "4 of 64 videos, 4 failed"
    clock.now += 4.0
    meter.count(4, failed=2)
    assert str(meter) == "8 of 64 videos, 6 failed, 0.25 videos/s, 0:56 left"
    clock.now += 56.0
    meter.count(56, failed=26)
    assert str(meter) == "64 of 64 videos, 32 failed, 0.5 videos/s, took 1:04"


def test_a_rate_forgets_the_distant_past(clock: Clock) -> None:
    meter = Meter(10_000, "walks")
    for _ in range(100):  # one per ten seconds, then ten per second
        clock.now += 10.0
        meter.count()
    assert meter.rate == pytest.approx(0.1)
    for _ in range(1300):
        clock.now += 0.1
        meter.count()
    assert meter.rate == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0:00"),
        (59.6, "1:00"),
        (61, "1:01"),
        (3599.4, "59:59"),
        (3600, "1:00:00"),
        (360_000, "100:00:00"),
    ],
)
def test_durations_are_minutes_and_seconds(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def show(console: Console, clock: Clock, seconds: float, items: int, done: int = 0) -> None:
    """Make cells, one every `seconds`."""
    with progress_bar("making", done + items, "cells", done, console=console, note=note) as advance:
        for _ in range(items):
            clock.now += seconds
            advance()


def note(rate: float) -> str:
    return f"[{8 * rate:.1f} frames/s]"


def test_a_log_gets_a_line_at_intervals(clock: Clock) -> None:
    log = io.StringIO()
    show(Console(file=log), clock, seconds=10.0, items=7, done=3)
    assert log.getvalue().splitlines() == [
        "making: 6 of 10 cells, 0.1 cells/s, 0:40 left, [0.8 frames/s]",
        "making: 9 of 10 cells, 0.1 cells/s, 0:10 left, [0.8 frames/s]",
        "making: 10 of 10 cells, 0.1 cells/s, took 1:10, [0.8 frames/s]",
    ]


def test_no_rate_is_shown_if_everything_fails(clock: Clock) -> None:
    log = io.StringIO()
    with progress_bar("making", 2, "cells", console=Console(file=log), note=note) as advance:
        clock.now += 1.0
        advance(2, failed=2)
    assert log.getvalue() == "making: 2 of 2 cells, 2 failed\n"


def test_a_log_of_a_quick_command_has_one_line(clock: Clock) -> None:
    log = io.StringIO()
    show(Console(file=log), clock, seconds=0.1, items=50)
    assert log.getvalue() == "making: 50 of 50 cells, 10 cells/s, took 0:05, [80.0 frames/s]\n"


def test_a_terminal_gets_a_bar_with_the_same_text(clock: Clock) -> None:
    screen = io.StringIO()
    show(Console(file=screen, force_terminal=True, color_system=None, width=120), clock, 2.0, items=4)
    assert re.search(r"making ━+ 4 of 4 cells, 0.5 cells/s, took 0:08, \[4.0 frames/s\]", screen.getvalue())


@pytest.mark.parametrize("is_terminal", [True, False])
def test_nothing_is_shown_if_nothing_is_left(clock: Clock, is_terminal: bool) -> None:
    out = io.StringIO()
    show(Console(file=out, force_terminal=is_terminal), clock, seconds=1.0, items=0, done=5)
    assert out.getvalue() == ""


def test_a_failed_command_shows_how_far_it_came(clock: Clock) -> None:
    log = io.StringIO()
    bar = progress_bar("making", 5, "cells", console=Console(file=log))
    advance = bar.__enter__()
    clock.now += 4.0
    advance(2)
    assert not bar.__exit__(OSError, OSError("full"), None)
    assert log.getvalue() == "making: 2 of 5 cells, 0.5 cells/s, 0:06 left\n"


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("making", 1, "cells") as advance:
        advance()
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("making: 1 of 1 cells")
