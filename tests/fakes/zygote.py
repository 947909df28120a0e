"""A process with one thread and nothing of the tests in it, whose forks need import nothing.

A fresh interpreter takes more than a second to import torch, a fork of one that has takes none. A fork
becomes the child of the process that asked for it.
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
"""The last one is what optimizers import when they are made."""
_LARGEST = 1 << 20


class Zygote:
    """The connection to the process that forks, which ends where the connection does."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._asking = threading.Lock()

    def fork(
        self, function: str, descriptors: Sequence[int], *, in_session: bool = False, **arguments: Any
    ) -> int:
        """The process id of a fork that calls `function`, MODULE:NAME, with its descriptors of these files.

        `in_session`: it leads a session of its own.
        """
        asked = {"function": function, "in_session": in_session, "arguments": arguments}
        with self._asking:
            adopt_orphans()  # its own parent ends at once
            try:
                socket.send_fds(self._connection, [json.dumps(asked).encode()], descriptors)
                return int(self._connection.recv(_LARGEST))
            finally:
                adopt_orphans(False)


_prepared: list[Zygote] = []
_captured: list[Any] = []
"""Streams of pytest's, which a fork must neither use nor close."""


def prepare() -> None:
    """Fork this process's zygote now, before it has threads that hold locks, or anything of the tests."""
    _import_all()
    _prepared.append(own_zygote())


@cache
def zygote() -> Zygote:
    """Return the zygote of this process; start one if none is prepared."""
    if _prepared:
        return _prepared[0]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.zygote", str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
        )
    atexit.register(process.wait)
    atexit.register(ours.close)
    return Zygote(ours)


def own_zygote() -> Zygote:
    """A fork of this process, which has imported all that is needed and has one thread."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        faulthandler.disable()
        _captured.extend((sys.stdin, sys.stdout, sys.stderr))
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, closefd=False)  # noqa: SIM115
            for number, mode in enumerate("rww")
        )
        end_with(lambda: _serve(theirs))
    theirs.close()
    return Zygote(ours)


def _serve(connection: socket.socket) -> None:
    """Fork for every question, until who asks has ended or been killed."""
    gc.freeze()  # a fork that looks for garbage there would copy it all
    gc.set_threshold(20_000, 10, 50)
    with suppress(ConnectionError):
        _answer(connection)


def _answer(connection: socket.socket) -> None:
    while True:
        content, descriptors, _, _ = socket.recv_fds(connection, _LARGEST, 64)
        if not content:
            return
        tells, told = os.pipe()
        between = os.fork()
        if between == 0:
            if os.fork() == 0:
                os.close(tells)
                connection.close()
                _become(told, descriptors, **json.loads(content))
            os._exit(0)  # and whoever adopts orphans has a child
        os.close(told)
        os.waitpid(between, 0)
        connection.send(os.read(tells, 100))
        for descriptor in (tells, *descriptors):
            os.close(descriptor)


def _become(
    told: int, descriptors: list[int], *, function: str, in_session: bool, arguments: dict[str, Any]
) -> None:
    """The fork's whole life."""
    if in_session:
        os.setsid()
    os.write(told, str(os.getpid()).encode())
    os.close(told)
    module, _, name = function.partition(":")
    end_with(lambda: getattr(import_module(module), name)(descriptors, **arguments))


def _import_all() -> None:
    for imported in IMPORTED:
        import_module(imported)
    numba.njit(lambda: 0)()  # what the first compilation in a process makes ready takes a third of a second


if __name__ == "__main__":
    _import_all()
    _serve(socket.socket(fileno=int(sys.argv[1])))
