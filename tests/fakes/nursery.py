"""Commands in processes of their own that need import nothing: forks of a process that has done so.

A fresh interpreter takes two seconds to import torch and the benchmark, a fork of one that has takes none.
The nursery itself is such an interpreter, with one thread: its forks inherit no state of the tests.
"""

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

import numba

from tests.fakes.forks import end_with

ROOT = Path(__file__).resolve().parents[2]
IMPORTED = ("benchmark.run", "models.train.__main__", "torch._dynamo")
"""The last one is what optimizers import when they are made."""
PATIENCE_S = 900.0
_NUMBERS = count()


@dataclass(frozen=True, kw_only=True)
class Born:
    """A command under way: its process, and the folder of what it says."""

    pid: int
    said: Path

    def kill(self) -> None:
        """End it as the system would."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Its exit code, negative where a signal ended it."""
        until = time.monotonic() + PATIENCE_S
        while (code := _ask({"poll": self.pid})) is None:
            if time.monotonic() > until:
                self.kill()
                raise TimeoutError(f"process {self.pid} did not end: {self.err}")
            select.select((), (), (), 0.02)  # tests of the Hub take time.sleep away
        return int(code)

    @property
    def out(self) -> str:
        """What it wrote to standard output."""
        return (self.said / "out").read_text(errors="replace")

    @property
    def err(self) -> str:
        """What it wrote to standard error."""
        return (self.said / "err").read_text(errors="replace")


def start(folder: Path, module: str, *arguments: str, **environment: str) -> Born:
    """Begin the command of a module; `folder` takes what it says."""
    said = folder / f"said-{next(_NUMBERS)}"
    said.mkdir(parents=True)
    for name in ("out", "err"):
        (said / name).touch()
    pid = _ask({"module": module, "arguments": arguments, "environment": environment, "said": str(said)})
    return Born(pid=pid, said=said)


@cache
def _nursery() -> subprocess.Popen[str]:
    """The process that forks; it ends where its input does, when this one ends."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    nursery = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.nursery"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    atexit.register(nursery.communicate)
    return nursery


def _ask(question: dict[str, Any]) -> Any:
    nursery = _nursery()
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    print(json.dumps(question), file=nursery.stdin, flush=True)
    return json.loads(nursery.stdout.readline())


def _serve() -> None:
    """Fork for every question, and tell the exit codes of those that have ended."""
    for name in IMPORTED:
        import_module(name)
    numba.njit(lambda: 0)()  # what the first compilation in a process makes ready takes a third of a second
    gc.freeze()  # a fork that looks for garbage there would copy it all
    for line in sys.stdin:
        question = json.loads(line)
        if "poll" in question:
            pid, status = os.waitpid(question["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _become(**question)
        print(json.dumps(answer), flush=True)


def _become(module: str, arguments: list[str], environment: dict[str, str], said: str) -> None:
    """A command's whole life."""
    for number, name in ((0, os.devnull), (1, f"{said}/out"), (2, f"{said}/err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
    os.environ.update(environment)
    end_with(lambda: import_module(module).main(arguments))


if __name__ == "__main__":
    _serve()
