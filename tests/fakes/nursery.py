"""Run commands in forks of a process that has made their imports."""

import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from itertools import count
from pathlib import Path

from tests.fakes.zygote import zygote

PATIENCE_S = 900.0
_NUMBERS = count()


@dataclass(frozen=True, kw_only=True)
class ForkedCommand:
    """A running command: its process, and the folder of its output."""

    pid: int
    folder: Path

    def kill(self) -> None:
        """Kill the process as the system would."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the process to end; its exit code, negative if a signal ended it."""
        deadline = time.monotonic() + PATIENCE_S
        while not (status := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                self.kill()
                raise TimeoutError(f"process {self.pid} did not end: {self.err}")
            select.select((), (), (), 0.02)  # tests of the Hub patch time.sleep
        return os.waitstatus_to_exitcode(status[1])

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return (self.folder / "out").read_text(errors="replace")

    @property
    def err(self) -> str:
        """Its standard error so far."""
        return (self.folder / "err").read_text(errors="replace")


def start(folder: Path, module: str, *arguments: str, **environment: str) -> ForkedCommand:
    """Start the command of a module, with its output below `folder`."""
    output = folder / f"said-{next(_NUMBERS)}"
    output.mkdir(parents=True)
    for name in ("out", "err"):
        (output / name).touch()
    keywords = {"module": module, "arguments": arguments, "environment": environment, "folder": str(output)}
    return ForkedCommand(pid=zygote().fork(f"{__name__}:become", (), **keywords), folder=output)


def become(
    _: list[int], *, module: str, arguments: list[str], environment: dict[str, str], folder: str
) -> None:
    """Run as a command, from start to end."""
    for number, name in ((0, os.devnull), (1, f"{folder}/out"), (2, f"{folder}/err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background test runs ignore it
    os.environ.update(environment)
    sys.exit(import_module(module).main(arguments))
