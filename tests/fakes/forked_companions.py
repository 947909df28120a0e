"""Fork companions from a process that has made their imports, in tests that are not about their start.

A companion that loads a model takes more than a second to import torch; a fork does not. A fork gets the
session, environment, descriptors and crash report that `Companion` gives to a fresh interpreter.
"""

import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import SimpleNamespace

import pytest

from loopcraft.companions import companion
from tests.fakes.zygote import zygote


@contextmanager
def forked_companions() -> Iterator[None]:
    """Make companions of this process forks, which are still its children."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(companion, "subprocess", SimpleNamespace(**vars(subprocess) | {"Popen": Forked}))
        yield


class Forked:
    """The part of `subprocess.Popen` that a companion uses; the fork is a child of this process."""

    def __init__(
        self, command: list[str], *, pass_fds: tuple[int, int], start_new_session: bool, **pipes: int
    ) -> None:
        assert start_new_session
        _, _, _, path, module, function, *_ = command
        reads, stdin = os.pipe()
        stdout, writes = os.pipe()
        self.pid = zygote().fork(
            f"{__name__}:become",
            (*pass_fds, reads, writes),
            in_session=True,
            path=path,
            module=module,
            called=function,
            environment=dict(os.environ),
        )
        self.returncode: int | None = None
        self._reaping = threading.Lock()
        os.close(reads)
        os.close(writes)
        self.stdin, self.stdout = os.fdopen(stdin, "wb"), os.fdopen(stdout, "rb")

    def poll(self) -> int | None:
        """The exit code; None while the process runs."""
        with self._reaping:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self.returncode = os.waitstatus_to_exitcode(status) if pid else None
            return self.returncode

    def wait(self, timeout: float = 900.0) -> int:
        """Wait for the process to end and return its exit code."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a companion", timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def become(
    descriptors: list[int],
    *,
    path: str,
    module: str,
    called: str,
    environment: dict[str, str],
) -> None:
    """Run as a companion, from start to end."""
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
    getattr(import_module(module), called)(link)
