"""A process of its own for code that may crash, hang, or fill the memory and the terminal.

A companion is a fresh interpreter that finds modules where this one does and calls one function. It lives in
a session of its own, where Ctrl-C does not reach it, and ends with this process, however that ends. Messages
go to and fro; what it prints is read as messages are waited for, and its last words are kept. Where it
crashes, takes too long or prints too much, Python's report of where it was (faulthandler) is kept apart.
"""

import codecs
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from loopcraft.companions.messages import HEADER, Message, read_message

KEPT = 1 << 14
"""Bytes of a companion's last words."""
MEMORY_TOLD = Path("/proc/self/statm").exists()
"""Whether the system tells how much memory a process takes."""
GRACE_S = 5.0
"""How long a companion that is told to end may take."""

_START = (
    "import faulthandler, json, signal, sys; faulthandler.enable(int(sys.argv[5])); "
    "faulthandler.register(signal.SIGUSR1, int(sys.argv[5])); "
    "sys.path[:] = json.loads(sys.argv[1]); from importlib import import_module; "
    "getattr(import_module(sys.argv[2]), sys.argv[3])(int(sys.argv[4]))"
)
_TICK_S, _SHORT_S = 0.05, 0.01
_REPORT_S = 1.0
"""How long a companion may take to report where it is, before it is killed."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a companion may take; None: anything."""

    memory_bytes: int | None = None
    """What its own process may have in memory at a time, shared libraries too: looked at every 50 ms."""
    output_bytes: int | None = None
    """What it may print between two calls of `listen`."""


class CompanionEndedError(Exception):
    """A companion is no more: the message says what it did, `said` are its last words.

    `report` is Python's of where each thread was. Empty where it ended by itself, or by its memory.
    """

    def __init__(self, why: str, said: str, *, report: str = "", was_killed: bool) -> None:
        """`was_killed`: by somebody else, with SIGKILL, as the kernel does where memory is short."""
        super().__init__(why)
        self.said, self.report, self.was_killed = said, report, was_killed


class _Deadline:
    """A time by which something is to be done."""

    def __init__(self, patience_s: float | None) -> None:
        self.patience_s = float("inf") if patience_s is None else patience_s
        self._until = time.monotonic() + self.patience_s

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._until


class Companion:
    """A process that calls `function` of `module` with the descriptor of its end of the connection."""

    def __init__(self, module: str, function: str, limits: Limits, show: Callable[[str], object]) -> None:
        """`show` is given what it prints, piece by piece."""
        self._limits, self._show = limits, show
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._heard, self._said, self._verdict = 0, b"", ""
        self._reaping = threading.Lock()
        self._report = tempfile.TemporaryFile()  # noqa: SIM115  # until `end`
        ours, theirs = socket.socketpair()
        with theirs:
            passed = (theirs.fileno(), self._report.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(sys.path), module, function, *map(str, passed)],
                stdin=subprocess.PIPE,  # open as long as this process is there: see core/children.py
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=passed,
                start_new_session=True,
            )
        self._socket = ours
        self._socket.setblocking(False)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._output = self._process.stdout.fileno()
        if limits.memory_bytes is not None:
            threading.Thread(target=self._watch_memory, args=[limits.memory_bytes], daemon=True).start()

    def listen(self) -> None:
        """Count what is printed from here on anew."""
        self._heard = 0

    def send(self, kind: bytes, content: bytes, patience_s: float | None = None) -> None:
        """Send a message; raises `CompanionEndedError`, also where it is not taken in time."""
        until = _Deadline(patience_s)
        for data in (HEADER.pack(kind, len(content)), content):
            view = memoryview(data)
            while view:
                self._wait(selectors.EVENT_WRITE, until)
                try:
                    view = view[self._socket.send(view) :]
                except BlockingIOError:
                    continue
                except OSError:
                    raise self._gone() from None

    def receive(self, largest: int, patience_s: float | None = None) -> Message:
        """The next message, which must be there in time, whole.

        Raises `CompanionEndedError`, and `ValueError` for one that is larger.
        """
        until = _Deadline(patience_s)
        return read_message(lambda size: self._read(size, until), largest)

    def _read(self, size: int, until: "_Deadline") -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            self._wait(selectors.EVENT_READ, until)
            try:
                count = self._socket.recv_into(view)
            except BlockingIOError:
                continue
            except OSError:
                count = 0
            if count == 0:
                raise self._gone()
            view = view[count:]
        return data

    def _wait(self, event: int, until: "_Deadline") -> None:
        """Hear what is printed until the socket is ready."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, event)
            selector.register(self._output, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(_TICK_S)}
                if self._output in ready and not self._hear():
                    selector.unregister(self._output)
                if self._verdict:  # whatever it has sent since
                    raise self._gone()
                if self._socket in ready:
                    return
                if self._exit_code() is not None:
                    raise self._gone()
                if until.is_over:
                    self._condemn(f"took longer than {until.patience_s:g} s", reports=True)

    def _hear(self) -> bool:
        """Take what was printed; False if nothing more can come."""
        try:
            data = os.read(self._output, 1 << 16)
        except BlockingIOError:
            return True
        self._heard += len(data)
        self._said = (self._said + data)[-KEPT:]
        self._show(self._decode(data))
        most = self._limits.output_bytes
        if most is not None and self._heard > most:
            self._condemn(f"printed more than {most >> 20} MiB", reports=True)
        return bool(data)

    def _watch_memory(self, most: int) -> None:
        statm, page = Path(f"/proc/{self._process.pid}/statm"), os.sysconf("SC_PAGE_SIZE")
        while self._exit_code() is None:
            with suppress(OSError, IndexError):  # it has just ended
                if int(statm.read_text().split()[1]) * page > most:
                    self._condemn(f"took more than {most / 1e9:g} GB of memory")
            time.sleep(_TICK_S)

    def _condemn(self, why: str, *, reports: bool = False) -> None:
        """Have it end, after a report of where it is, and say why to whoever waits for it."""
        is_first, self._verdict = not self._verdict, self._verdict or why
        if reports and is_first:
            self._have_it_report()
        self._kill()

    def _have_it_report(self) -> None:
        """Wait for all of what faulthandler writes at the signal: until no more comes."""
        if self._exit_code() is None:
            os.kill(self._process.pid, signal.SIGUSR1)
        until, size, before = _Deadline(_REPORT_S), 0, -1
        while not until.is_over and (size == 0 or size != before):
            time.sleep(_TICK_S)
            before, size = size, os.fstat(self._report.fileno()).st_size

    def _gone(self) -> CompanionEndedError:
        """It has ended, or no longer speaks: what is to be said of it."""
        until = _Deadline(GRACE_S)
        while self._exit_code() is None and not until.is_over:
            time.sleep(_SHORT_S)
        code = self._exit_code()
        self._kill()
        for _ in range(KEPT):  # what is left in the pipe, however much its own children print
            before = self._heard
            if not self._hear() or self._heard == before:
                break
        if self._verdict:
            why = self._verdict
        elif code is None:
            why = "closed its connection"
        elif code >= 0:
            why = f"ended its process (exit code {code})"
        else:
            why = f"crashed its process ({signal.strsignal(-code) or f'signal {-code}'})"
        was_killed = not self._verdict and code == -signal.SIGKILL
        said = self._said.decode(errors="replace")
        self._report.seek(0)
        report = self._report.read(KEPT).decode(errors="replace").partition("\nExtension modules: ")[0]
        self.end()
        return CompanionEndedError(why, said, report=report, was_killed=was_killed)

    def _exit_code(self) -> int | None:
        """None while it runs. Not by `Popen.poll`, which Ctrl-C can leave with its lock held for ever."""
        with self._reaping:
            if self._process.returncode is None:
                try:
                    ended, status = os.waitpid(self._process.pid, os.WNOHANG)
                except ChildProcessError:  # Ctrl-C came before its exit code was kept
                    ended, status = self._process.pid, 0
                if ended:
                    self._process.returncode = os.waitstatus_to_exitcode(status)
            return self._process.returncode

    def _kill(self) -> None:
        """End it and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, *, in_order: bool = False) -> None:
        """Have it end, now or as it does when nobody speaks to it any more; nothing of it is left."""
        if self._socket.fileno() < 0:
            return
        self._socket.close()
        until = _Deadline(GRACE_S if in_order else 0.0)
        while self._exit_code() is None and not until.is_over:
            with suppress(OSError):
                os.read(self._output, 1 << 16)
            time.sleep(_SHORT_S)
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._report):
            assert stream is not None
            stream.close()
