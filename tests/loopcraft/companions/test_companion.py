"""Companions: what they send arrives, and however they end, it is told, and nothing of them is left."""

import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopcraft.companions import companion
from loopcraft.companions.companion import Companion, CompanionEndedError, Limits
from loopcraft.companions.messages import HEADER, Port
from tests.fakes import companions

ROOT = Path(__file__).parents[3]
PATIENCE_S = 30.0

pytestmark = pytest.mark.fresh


def start(function: str, shown: list[str] | None = None, **limits: int) -> Companion:
    """A companion that does what is called so in `tests/fakes/companions.py`."""
    shown = [] if shown is None else shown
    return Companion(companions.__name__, function, Limits(**limits), shown.append)


def misbehaving(way: str, shown: list[str] | None = None, **limits: int) -> Companion:
    found = start("misbehave", shown, **limits)
    found.send(b"W", way.encode())
    return found


def ending(found: Companion, patience_s: float = PATIENCE_S) -> CompanionEndedError:
    with pytest.raises(CompanionEndedError) as caught:
        found.receive(100, patience_s)
    return caught.value


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def waits_until_gone(process: int) -> bool:
    until = time.monotonic() + PATIENCE_S
    while is_running(process) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_running(process)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def test_messages_of_any_size_come_back_whole() -> None:
    shown: list[str] = []
    with no_descriptor_left():
        found = start("echo", shown)
        for content in (b"", b"x", bytes(range(256)) * 40_000):
            found.send(b"A", content)
            assert found.receive(1 << 30) == (b"A", content)
        found.end(in_order=True)
        found.end()  # a second time does nothing


def test_a_message_larger_than_agreed_is_not_read() -> None:
    found = start("echo")
    found.send(b"A", b"12345")
    with pytest.raises(ValueError, match="5 bytes exceeds the limit of 4"):
        found.receive(4)
    found.end()


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("segfault", r"crashed its process \(Segmentation fault\)"),
        ("abort", r"crashed its process \(Aborted\)"),
        ("exit", r"ended its process \(exit code 3\)"),
        ("silent exit", r"ended its process \(exit code 0\)"),
        ("exception", r"ended its process \(exit code 1\)"),
        ("kill", r"crashed its process \(Killed\)"),
    ],
)
def test_how_it_ended_is_told(way: str, why: str) -> None:
    with no_descriptor_left():
        error = ending(misbehaving(way))
    assert str(error) == why.replace("\\", "")
    assert error.was_killed == (way == "kill")
    assert f"this is {way}" in error.said
    assert ("Fatal Python error" in error.report) == (way in ("segfault", "abort"))
    assert "Fatal Python error" not in error.said
    assert ("ZeroDivisionError" in error.said) == (way == "exception")


def test_who_closes_the_connection_is_ended(monkeypatch) -> None:
    monkeypatch.setattr(companion, "GRACE_S", 0.1)
    assert str(ending(misbehaving("close"))) == "closed its connection"


@pytest.mark.parametrize("way", ["sleep", "half a message", "stuck"])
def test_who_takes_too_long_is_ended(way: str) -> None:
    found = misbehaving(way)
    if way == "stuck":
        found.receive(100, PATIENCE_S)
    error = ending(found, 0.3)
    assert (str(error), error.was_killed) == ("took longer than 0.3 s", False)
    assert ("in misbehave" in error.report) == (way != "half a message")  # it is stopped, and says no more


def test_who_takes_too_long_to_listen_is_ended() -> None:
    found = misbehaving("sleep")
    with pytest.raises(CompanionEndedError, match=r"took longer than 0\.3 s"):
        found.send(b"A", bytes(1 << 26), 0.3)


def test_who_takes_too_much_memory_is_ended() -> None:
    error = ending(misbehaving("memory", memory_bytes=700_000_000))
    assert (str(error), error.was_killed) == ("took more than 0.7 GB of memory", False)


def test_who_prints_without_end_is_ended_and_the_last_of_it_kept() -> None:
    shown: list[str] = []
    error = ending(misbehaving("print", shown, output_bytes=3 << 20))
    assert str(error) == "printed more than 3 MiB"
    assert len(error.said) == companion.OUTPUT_TAIL_BYTES
    assert "in print_without_end" in error.report
    assert 3 << 20 < len("".join(shown)) < 4 << 20


def test_what_it_has_started_ends_with_it() -> None:
    found = misbehaving("sleeper")
    sleeper = int(found.receive(100, PATIENCE_S)[1])
    assert str(ending(found)) == "crashed its process (Segmentation fault)"
    assert waits_until_gone(sleeper)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends what no thread can")
def test_it_ends_with_its_parent_whatever_it_is_stuck_in() -> None:
    program = """
import os, signal
from tests.loopcraft.companions.test_companion import misbehaving
found = misbehaving("stuck")
print(found.receive(100)[1].decode(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    assert waits_until_gone(int(done.stdout))


def test_it_ends_in_order_where_nobody_speaks_to_it_any_more(tmp_path) -> None:
    program = """
from loopcraft.companions.companion import Companion, Limits
found = Companion("tests.fakes.companions", "echo", Limits(), print)
found.send(b"A", b"x")
print(found.receive(10)[0].decode(), found._process.pid, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    letter, process = done.stdout.split()
    assert letter == "A"
    assert waits_until_gone(int(process))


MESSAGES = st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=100)), max_size=8)


@given(MESSAGES, st.floats(0, 1))
def test_messages_are_read_as_they_were_sent(messages: list[tuple[bytes, bytes]], part: float) -> None:
    """Of a stream that breaks off, those that arrived whole."""
    sent = b"".join(HEADER.pack(kind, len(content)) + content for kind, content in messages)
    cut, found = round(part * len(sent)), []
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(sent[:cut])
    port = Port(theirs.detach())
    try:
        while True:
            found.append(port.receive(100))
    except EOFError:
        port.close()
    assert [(kind, bytes(content)) for kind, content in found] == messages[: len(found)]
    assert len(found) == len(messages) or cut < len(sent)


class InterruptedLock:
    """Ctrl-C comes as soon as it is taken where nothing would give it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, blocking: bool = True) -> bool:
        self._lock.acquire(blocking)
        raise KeyboardInterrupt

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def test_ctrl_c_at_any_moment_leaves_no_lock_held() -> None:
    found = misbehaving("sleep")
    found._process._waitpid_lock = InterruptedLock()  # type: ignore[attr-defined]
    assert "took longer than 0.2 s" in str(ending(found, 0.2))
    assert not is_running(found._process.pid)


def test_a_port_takes_no_memory_for_what_has_not_come() -> None:
    ours, theirs = socket.socketpair()
    ours.sendall(HEADER.pack(b"R", 1 << 33) + b"abc")
    ours.close()
    port = Port(theirs.detach())
    tracemalloc.start()
    try:
        with pytest.raises(EOFError):
            port.receive(1 << 40)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
        port.close()
