"""Commands in processes of their own that need import nothing: forks of a process that has done so."""

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
        while not (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
            if time.monotonic() > until:
                self.kill()
                raise TimeoutError(f"process {self.pid} did not end: {self.err}")
            select.select((), (), (), 0.02)  # tests of the Hub take time.sleep away
        return os.waitstatus_to_exitcode(ended[1])

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
    given = {"module": module, "arguments": arguments, "environment": environment, "said": str(said)}
    return Born(pid=zygote().fork(f"{__name__}:become", (), **given), said=said)


def become(
    _: list[int], *, module: str, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    """A command's whole life."""
    for number, name in ((0, os.devnull), (1, f"{said}/out"), (2, f"{said}/err")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
    os.environ.update(environment)
    sys.exit(import_module(module).main(arguments))
