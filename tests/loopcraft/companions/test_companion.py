"""Companion processes: messages arrive, every kind of end is reported, and nothing is left behind."""

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
    """Start a companion that runs this function of `tests/fakes/companions.py`."""
    shown = [] if shown is None else shown
    return Companion(companions.__name__, function, Limits(**limits), shown.append)


def start_misbehaving(way: str, shown: list[str] | None = None, **limits: int) -> Companion:
    peer = start("misbehave", shown, **limits)
    peer.send(b"W", way.encode())
    return peer


def wait_for_error(peer: Companion, patience_s: float = PATIENCE_S) -> CompanionEndedError:
    with pytest.raises(CompanionEndedError) as caught:
        peer.receive(100, patience_s)
    return caught.value


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_gone(process: int) -> bool:
    until = time.monotonic() + PATIENCE_S
    while is_running(process) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_running(process)


@contextmanager
def assert_no_descriptor_leaks() -> Iterator[None]:
    before = os.listdir("/proc/self/fd")
    yield
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def test_messages_of_any_size_come_back_whole() -> None:
    shown: list[str] = []
    with assert_no_descriptor_leaks():
        peer = start("echo", shown)
        for content in (b"", b"x", bytes(range(256)) * 40_000):
            peer.send(b"A", content)
            assert peer.receive(1 << 30) == (b"A", content)
        peer.end(in_order=True)
        peer.end()  # a second time does nothing


def test_a_message_larger_than_agreed_is_not_read() -> None:
    peer = start("echo")
    peer.send(b"A", b"12345")
    with pytest.raises(ValueError, match="5 bytes exceeds the limit of 4"):
        peer.receive(4)
    peer.end()


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
def test_the_kind_of_end_is_reported(way: str, why: str) -> None:
    with assert_no_descriptor_leaks():
        error = wait_for_error(start_misbehaving(way))
    assert str(error) == why.replace("\\", "")
    assert error.was_killed == (way == "kill")
    assert f"this is {way}" in error.said
    assert ("Fatal Python error" in error.report) == (way in ("segfault", "abort"))
    assert "Fatal Python error" not in error.said
    assert ("ZeroDivisionError" in error.said) == (way == "exception")


def test_a_companion_that_closes_its_connection_is_stopped(monkeypatch) -> None:
    monkeypatch.setattr(companion, "GRACE_S", 0.1)
    assert str(wait_for_error(start_misbehaving("close"))) == "closed its connection"


@pytest.mark.parametrize("way", ["sleep", "half a message", "stuck"])
def test_a_companion_that_takes_too_long_is_stopped(way: str) -> None:
    peer = start_misbehaving(way)
    if way == "stuck":
        peer.receive(100, PATIENCE_S)
    error = wait_for_error(peer, 0.3)
    assert (str(error), error.was_killed) == ("took longer than 0.3 s", False)
    assert ("in misbehave" in error.report) == (way != "half a message")  # a stopped process reports nothing


def test_a_companion_that_takes_too_long_to_read_is_stopped() -> None:
    peer = start_misbehaving("sleep")
    with pytest.raises(CompanionEndedError, match=r"took longer than 0\.3 s"):
        peer.send(b"A", bytes(1 << 26), 0.3)


def test_a_companion_that_takes_too_much_memory_is_stopped() -> None:
    error = wait_for_error(start_misbehaving("memory", memory_bytes=700_000_000))
    assert (str(error), error.was_killed) == ("took more than 0.7 GB of memory", False)


def test_endless_output_is_stopped_and_its_tail_kept() -> None:
    shown: list[str] = []
    error = wait_for_error(start_misbehaving("print", shown, output_bytes=3 << 20))
    assert str(error) == "printed more than 3 MiB"
    assert len(error.said) == companion.OUTPUT_TAIL_BYTES
    assert "in print_without_end" in error.report
    assert 3 << 20 < len("".join(shown)) < 4 << 20


def test_processes_that_it_started_end_with_it() -> None:
    peer = start_misbehaving("sleeper")
    sleeper = int(peer.receive(100, PATIENCE_S)[1])
    assert str(wait_for_error(peer)) == "crashed its process (Segmentation fault)"
    assert wait_until_gone(sleeper)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends what no thread can")
def test_it_ends_with_its_parent_even_if_stuck() -> None:
    program = """
import os, signal
from tests.loopcraft.companions.test_companion import start_misbehaving
peer = start_misbehaving("stuck")
print(peer.receive(100)[1].decode(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == -9, result.stderr
    assert wait_until_gone(int(result.stdout))


def test_it_exits_when_its_parent_is_gone(tmp_path) -> None:
    program = """
from loopcraft.companions.companion import Companion, Limits
peer = Companion("tests.fakes.companions", "echo", Limits(), print)
peer.send(b"A", b"x")
print(peer.receive(10)[0].decode(), peer._process.pid, flush=True)
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    letter, process = result.stdout.split()
    assert letter == "A"
    assert wait_until_gone(int(process))


MESSAGES = st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.binary(max_size=100)), max_size=8)


@given(MESSAGES, st.floats(0, 1))
def test_messages_are_read_as_they_were_sent(messages: list[tuple[bytes, bytes]], part: float) -> None:
    """A stream that breaks off yields the messages that arrived whole."""
    sent = b"".join(HEADER.pack(kind, len(content)) + content for kind, content in messages)
    cut, received = round(part * len(sent)), []
    sender, receiver = socket.socketpair()
    with sender:
        sender.sendall(sent[:cut])
    port = Port(receiver.detach())
    try:
        while True:
            received.append(port.receive(100))
    except EOFError:
        port.close()
    assert [(kind, bytes(content)) for kind, content in received] == messages[: len(received)]
    assert len(received) == len(messages) or cut < len(sent)


class InterruptedLock:
    """A lock that raises Ctrl-C right after a bare `acquire`, when nothing would release it."""

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
    peer = start_misbehaving("sleep")
    peer._process._waitpid_lock = InterruptedLock()  # type: ignore[attr-defined]
    assert "took longer than 0.2 s" in str(wait_for_error(peer, 0.2))
    assert not is_running(peer._process.pid)


def test_a_port_allocates_no_memory_for_bytes_not_yet_received() -> None:
    sender, receiver = socket.socketpair()
    sender.sendall(HEADER.pack(b"R", 1 << 33) + b"abc")
    sender.close()
    port = Port(receiver.detach())
    tracemalloc.start()
    try:
        with pytest.raises(EOFError):
            port.receive(1 << 40)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
        port.close()
