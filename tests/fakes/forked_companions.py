"""Companions that need import nothing: forks of a process that has done so, where no start is tested.

A companion that loads a model takes more than a second to import torch, a fork of one that has takes none.
The process that forks has one thread and nothing of the tests in it; a fork gets its session, its
environment, its descriptors and its report of crashes as `Companion` gives them to a fresh interpreter.
"""

import atexit
import faulthandler
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from loopcraft.companions import companion
from tests.drills.apart import adopt_orphans
from tests.fakes.forks import end_with

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = ("benchmark.sources.model_process", "tests.fakes.isolated_models")
_LARGEST = 1 << 20


@pytest.fixture
def forked_companions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Companions of this process are forks, and its children all the same."""
    monkeypatch.setattr(companion, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": _Forked}))
    adopt_orphans()
    yield
    adopt_orphans(False)


class _Forked:
    """As much of `subprocess.Popen` as a companion uses; its process is this one's child."""

    def __init__(
        self, command: list[str], *, pass_fds: tuple[int, int], start_new_session: bool, **pipes: int
    ) -> None:
        assert start_new_session
        _, _, _, path, module, function, *_ = command
        reads, stdin = os.pipe()
        stdout, writes = os.pipe()
        asked = {"path": path, "module": module, "function": function, "environment": dict(os.environ)}
        socket.send_fds(_zygote(), [json.dumps(asked).encode()], (*pass_fds, reads, writes))
        self.pid = int(_zygote().recv(_LARGEST))
        self.returncode: int | None = None
        self._reaping = threading.Lock()
        os.close(reads)
        os.close(writes)
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")

    def poll(self) -> int | None:
        """Its exit code, None as long as it runs."""
        with self._reaping:
            if self.returncode is None:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if ended else None
            return self.returncode

    def wait(self, timeout: float = 900.0) -> int:
        """Its exit code, once it has ended."""
        until = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("a companion", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send it, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


@cache
def _zygote() -> socket.socket:
    """The connection to the process that forks, which ends where the connection does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.forked_companions", str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
        )
    atexit.register(zygote.wait)
    atexit.register(ours.close)
    return ours


def _serve(connection: socket.socket) -> None:
    """Fork for every question."""
    for name in IMPORTED:
        import_module(name)
    gc.freeze()
    while True:
        content, descriptors, _, _ = socket.recv_fds(connection, _LARGEST, 4)
        if not content:
            return
        tells, told = os.pipe()
        between = os.fork()
        if between == 0:
            born = os.fork()
            if born == 0:
                for descriptor in (tells, told, connection.detach()):
                    os.close(descriptor)
                _become(descriptors, **json.loads(content))
            while os.getsid(born) != born:
                time.sleep(0.001)
            os.write(told, str(born).encode())
            os._exit(0)  # and whoever adopts orphans has a child
        os.waitpid(between, 0)
        connection.send(os.read(tells, 100))
        for descriptor in (tells, told, *descriptors):
            os.close(descriptor)


def _become(
    descriptors: list[int],
    *,
    path: str,
    module: str,
    function: str,
    environment: dict[str, str],
) -> None:
    """A companion's whole life."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    link, report, reads, writes = descriptors
    for descriptor, numbers in ((reads, (0,)), (writes, (1, 2))):
        for number in numbers:
            os.dup2(descriptor, number)
        os.close(descriptor)
    faulthandler.enable(report)
    faulthandler.register(signal.SIGUSR1, report)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = json.loads(path)
    end_with(lambda: getattr(import_module(module), function)(link))


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
