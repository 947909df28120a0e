"""A separate process for code that may crash, hang, exhaust memory or flood the terminal.

A companion is a new interpreter with this one's module path that calls one function. It runs in its own
session, where Ctrl-C does not reach it, and ends when this process ends for any reason. The two exchange
messages; the companion's output is read while waiting for them, and the end of it is kept. If it crashes,
takes too long or prints too much, the stacks of its threads (from faulthandler) are kept separately.
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

OUTPUT_TAIL_BYTES = 1 << 14
"""How much of the end of a companion's output is kept."""
MEMORY_TOLD = Path("/proc/self/statm").exists()
"""Whether the system reports how much memory a process uses."""
GRACE_S = 5.0
"""How long a companion may take to end when asked to."""

_START = (
    "import faulthandler, json, signal, sys; faulthandler.enable(int(sys.argv[5])); "
    "faulthandler.register(signal.SIGUSR1, int(sys.argv[5])); "
    "sys.path[:] = json.loads(sys.argv[1]); from importlib import import_module; "
    "getattr(import_module(sys.argv[2]), sys.argv[3])(int(sys.argv[4]))"
)
_TICK_S, _SHORT_S = 0.05, 0.01
_REPORT_S = 1.0
"""How long a companion may take to report its stacks before it is killed."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a companion's resources; None: no limit."""

    memory_bytes: int | None = None
    """Resident memory of its process, including shared libraries; checked every 50 ms."""
    output_bytes: int | None = None
    """Output between two calls of `listen`."""


class CompanionEndedError(Exception):
    """Raised when a companion has ended; the message says how, and `said` is the end of its output.

    `report` holds the stacks of its threads; empty if it exited by itself or exceeded its memory.
    """

    def __init__(self, why: str, said: str, *, report: str = "", was_killed: bool) -> None:
        """`was_killed`: something else sent SIGKILL, as the kernel does when memory is short."""
        super().__init__(why)
        self.said, self.report, self.was_killed = said, report, was_killed


class _Deadline:
    def __init__(self, patience_s: float | None) -> None:
        self.patience_s = float("inf") if patience_s is None else patience_s
        self._until = time.monotonic() + self.patience_s

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._until


class Companion:
    """A process that calls `function` of `module` with the descriptor of its end of the connection."""

    def __init__(self, module: str, function: str, limits: Limits, show: Callable[[str], object]) -> None:
        """`show` receives its output, piece by piece."""
        self._limits, self._show = limits, show
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._num_printed, self._output_tail, self._verdict = 0, b"", ""
        self._reaping = threading.Lock()
        self._report = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `end`
        self._socket, remote = socket.socketpair()
        with remote:
            passed = (remote.fileno(), self._report.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, json.dumps(sys.path), module, function, *map(str, passed)],
                stdin=subprocess.PIPE,  # open as long as this process lives: see core/children.py
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=passed,
                start_new_session=True,
            )
        self._socket.setblocking(False)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._output = self._process.stdout.fileno()
        if limits.memory_bytes is not None:
            threading.Thread(target=self._watch_memory, args=[limits.memory_bytes], daemon=True).start()

    def listen(self) -> None:
        """Restart the count of printed bytes that `Limits.output_bytes` limits."""
        self._num_printed = 0

    def send(self, kind: bytes, content: bytes, patience_s: float | None = None) -> None:
        """Send a message; raises `CompanionEndedError`, also if it is not accepted within `patience_s`."""
        deadline = _Deadline(patience_s)
        for data in (HEADER.pack(kind, len(content)), content):
            view = memoryview(data)
            while view:
                self._wait(selectors.EVENT_WRITE, deadline)
                try:
                    view = view[self._socket.send(view) :]
                except BlockingIOError:
                    continue
                except OSError:
                    raise self._ending() from None

    def receive(self, largest: int, patience_s: float | None = None) -> Message:
        """Receive the next message, which must arrive completely within `patience_s`.

        Raises `CompanionEndedError`, and `ValueError` for a message of more than `largest` bytes.
        """
        deadline = _Deadline(patience_s)
        return read_message(lambda size: self._read(size, deadline), largest)

    def _read(self, size: int, deadline: _Deadline) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            self._wait(selectors.EVENT_READ, deadline)
            try:
                count = self._socket.recv_into(view)
            except BlockingIOError:
                continue
            except OSError:
                count = 0
            if count == 0:
                raise self._ending()
            view = view[count:]
        return data

    def _wait(self, event: int, deadline: _Deadline) -> None:
        """Read output until the socket is ready."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, event)
            selector.register(self._output, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select(_TICK_S)}
                if self._output in ready and not self._read_output():
                    selector.unregister(self._output)
                if self._verdict:  # even if it has sent a message since
                    raise self._ending()
                if self._socket in ready:
                    return
                if self._exit_code() is not None:
                    raise self._ending()
                if deadline.is_over:
                    self._condemn(f"took longer than {deadline.patience_s:g} s", reports=True)

    def _read_output(self) -> bool:
        """Read some output; return False at its end."""
        try:
            data = os.read(self._output, 1 << 16)
        except BlockingIOError:
            return True
        self._num_printed += len(data)
        self._output_tail = (self._output_tail + data)[-OUTPUT_TAIL_BYTES:]
        self._show(self._decode(data))
        limit = self._limits.output_bytes
        if limit is not None and self._num_printed > limit:
            self._condemn(f"printed more than {limit >> 20} MiB", reports=True)
        return bool(data)

    def _watch_memory(self, limit: int) -> None:
        statm, page = Path(f"/proc/{self._process.pid}/statm"), os.sysconf("SC_PAGE_SIZE")
        while self._exit_code() is None:
            with suppress(OSError, IndexError):  # it has just ended
                if int(statm.read_text().split()[1]) * page > limit:
                    self._condemn(f"took more than {limit / 1e9:g} GB of memory")
            time.sleep(_TICK_S)

    def _condemn(self, why: str, *, reports: bool = False) -> None:
        """Kill the process, after a report of its stacks if requested, and record why for its user."""
        is_first, self._verdict = not self._verdict, self._verdict or why
        if reports and is_first:
            self._request_report()
        self._kill()

    def _request_report(self) -> None:
        """Signal faulthandler, and wait until its report no longer grows."""
        if self._exit_code() is None:
            os.kill(self._process.pid, signal.SIGUSR1)
        deadline, size, before = _Deadline(_REPORT_S), 0, -1
        while not deadline.is_over and (size == 0 or size != before):
            time.sleep(_TICK_S)
            before, size = size, os.fstat(self._report.fileno()).st_size

    def _ending(self) -> CompanionEndedError:
        """End a process that has exited or stopped communicating; return the error that describes it."""
        deadline = _Deadline(GRACE_S)
        while self._exit_code() is None and not deadline.is_over:
            time.sleep(_SHORT_S)
        code = self._exit_code()
        self._kill()
        for _ in range(OUTPUT_TAIL_BYTES):  # empty the pipe, but with a bound: its children may still print
            before = self._num_printed
            if not self._read_output() or self._num_printed == before:
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
        self._report.seek(0)
        report = self._report.read(OUTPUT_TAIL_BYTES).decode(errors="replace")
        self.end()
        return CompanionEndedError(
            why,
            self._output_tail.decode(errors="replace"),
            report=report.partition("\nExtension modules: ")[0],
            was_killed=was_killed,
        )

    def _exit_code(self) -> int | None:
        """Return None while it runs. Does not use `Popen.poll`, whose lock Ctrl-C can leave held forever."""
        with self._reaping:
            if self._process.returncode is None:
                try:
                    ended, status = os.waitpid(self._process.pid, os.WNOHANG)
                except ChildProcessError:  # Ctrl-C came before its exit code was stored
                    ended, status = self._process.pid, 0
                if ended:
                    self._process.returncode = os.waitstatus_to_exitcode(status)
            return self._process.returncode

    def _kill(self) -> None:
        """Kill it and all processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, *, in_order: bool = False) -> None:
        """End it and release all its resources; `in_order` first lets it exit when its connection closes."""
        if self._socket.fileno() < 0:
            return
        self._socket.close()
        deadline = _Deadline(GRACE_S if in_order else 0.0)
        while self._exit_code() is None and not deadline.is_over:
            with suppress(OSError):
                os.read(self._output, 1 << 16)
            time.sleep(_SHORT_S)
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._report):
            assert stream is not None
            stream.close()
