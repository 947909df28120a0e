"""A clean process with one thread and all imports made, which forks other processes on request.

A fresh interpreter takes more than a second to import torch; a fork does not. A fork becomes the child of the
process that asked for it.
"""

import atexit
import faulthandler
import gc
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numba

from tests.drills.apart import adopt_orphans
from tests.fakes.forks import end_with

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = (
    "benchmark.sources.model_process",
    "benchmark.run",
    "loopcraft.masks",
    "models.train.__main__",
    "tests.fakes.isolated_models",
    "torch._dynamo",
)
"""Optimizers import the last one when they are created."""
_LARGEST = 1 << 20


class Zygote:
    """The connection to the forking process, which ends when the connection closes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def fork(
        self, function: str, descriptors: Sequence[int], *, in_session: bool = False, **arguments: Any
    ) -> int:
        """Fork a process that calls `function`, MODULE:NAME, with copies of `descriptors`; return its id.

        With `in_session`, it leads its own session.
        """
        request = {"function": function, "in_session": in_session, "arguments": arguments}
        with self._lock:
            adopt_orphans()  # the fork's own parent exits at once
            try:
                socket.send_fds(self._connection, [json.dumps(request).encode()], descriptors)
                return int(self._connection.recv(_LARGEST))
            finally:
                adopt_orphans(False)


_prepared: list[Zygote] = []
_captured: list[Any] = []
"""Pytest's streams, which a fork must neither use nor close."""


def prepare() -> None:
    """Fork this process's zygote now, before there are threads that hold locks, or any state of the tests."""
    _import_all()
    _prepared.append(own_zygote())


@cache
def zygote() -> Zygote:
    """Return the zygote of this process; start one if none is prepared."""
    if _prepared:
        return _prepared[0]
    own_end, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with other_end:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.zygote", str(other_end.fileno())],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=[other_end.fileno()],
            cwd=ROOT,
        )
    atexit.register(process.wait)
    atexit.register(own_end.close)
    return Zygote(own_end)


def own_zygote() -> Zygote:
    """Fork a zygote from this process, which must have one thread and have made all imports."""
    own_end, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        own_end.close()
        faulthandler.disable()
        _captured.extend((sys.stdin, sys.stdout, sys.stderr))
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, closefd=False)  # noqa: SIM115
            for number, mode in enumerate("rww")
        )
        end_with(lambda: _serve(other_end))
    other_end.close()
    return Zygote(own_end)


def _serve(connection: socket.socket) -> None:
    """Fork at every request, until the requesting process ends."""
    gc.freeze()  # a collection in a fork would copy all these pages
    gc.set_threshold(20_000, 10, 50)
    with suppress(ConnectionError):
        _answer(connection)


def _answer(connection: socket.socket) -> None:
    while True:
        request, descriptors, _, _ = socket.recv_fds(connection, _LARGEST, 64)
        if not request:
            return
        reads, writes = os.pipe()
        intermediate = os.fork()
        if intermediate == 0:
            if os.fork() == 0:
                os.close(reads)
                connection.close()
                _become(writes, descriptors, **json.loads(request))
            os._exit(0)  # so that the process that adopts orphans becomes the parent
        os.close(writes)
        os.waitpid(intermediate, 0)
        connection.send(os.read(reads, 100))
        for descriptor in (reads, *descriptors):
            os.close(descriptor)


def _become(
    pid_pipe: int, descriptors: list[int], *, function: str, in_session: bool, arguments: dict[str, Any]
) -> None:
    """Run as the fork, from start to end."""
    if in_session:
        os.setsid()
    os.write(pid_pipe, str(os.getpid()).encode())
    os.close(pid_pipe)
    module, _, name = function.partition(":")
    end_with(lambda: getattr(import_module(module), name)(descriptors, **arguments))


def _import_all() -> None:
    for imported in IMPORTED:
        import_module(imported)
    numba.njit(lambda: 0)()  # the first compilation in a process takes 0.3 s to set up


if __name__ == "__main__":
    _import_all()
    _serve(socket.socket(fileno=int(sys.argv[1])))
