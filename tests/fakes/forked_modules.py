"""Run commands `python -m MODULE` in forks of a process that has made their imports."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import IO, Any

from tests.fakes.forked_companions import Forked
from tests.fakes.zygote import zygote


class ForkedModule(Forked):
    """The part of `subprocess.Popen` that `perf.gpu` uses."""

    def __init__(self, module: str, arguments: Sequence[str], log: IO[bytes], env: dict[str, str]) -> None:
        is_package = find_spec(module).submodule_search_locations is not None
        self.pid = zygote().fork(
            f"{__name__}:become",
            (log.fileno(),),
            module=f"{module}.__main__" if is_package else module,
            arguments=arguments,
            environment=env,
        )
        self.returncode: int | None = None
        self._reaping = threading.Lock()


def popen(command: Sequence[str], *, stdout: IO[bytes], env: dict[str, str], **more: Any) -> Any:
    """Start a command with all its output in `stdout`: a module in a fork, anything else as usual."""
    interpreter, flag, module, *arguments = command
    if (interpreter, flag) == (sys.executable, "-m"):
        return ForkedModule(module, arguments, stdout, env)
    return subprocess.Popen(command, stdout=stdout, env=env, **more)


def become(descriptors: list[int], *, module: str, arguments: list[str], environment: dict[str, str]) -> None:
    """Run as a command, from start to end."""
    for number in (1, 2):
        os.dup2(descriptors[0], number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    sys.exit(import_module(module).main(arguments))
