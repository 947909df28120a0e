"""One game as its owner sees it: a process that can be killed at any time, a time-out on every answer."""

import multiprocessing
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Integer

from loopcraft.worlds.base import Observation, PlayError
from loopcraft.worlds.minerl.child import LOG, Failure, serve
from loopcraft.worlds.minerl.environment import EnvironmentFactory
from loopcraft.worlds.minerl.processes import kill_tree

_LOG_LINES = 5


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a game may take, and how failures are followed by another attempt."""

    start_seconds: float = 120.0
    """For the environment to be made."""
    reset_seconds: float = 600.0
    """For a world to be built; the first time the game itself starts, which takes 90 s and more."""
    step_seconds: float = 60.0
    """For one tick."""
    close_seconds: float = 10.0
    """For the game to end by itself before it is killed."""
    first_pause_seconds: float = 5.0
    """Before the game is started again after a failure; twice as long after each further one."""
    longest_pause_seconds: float = 300.0
    max_failures: int = 8
    """So many in a row, and the run ends: what is wrong is not one episode."""


class Game:
    """An environment in a process of its own; methods raise `PlayError` when it does not do its part."""

    def __init__(self, make_environment: EnvironmentFactory, resolution: int, patience: Patience) -> None:
        context = multiprocessing.get_context("spawn")
        self._patience = patience
        self._scratch = Path(tempfile.mkdtemp(prefix="loopcraft-minerl-"))
        self._connection, theirs = context.Pipe()
        arguments = (theirs, make_environment, resolution, self._scratch)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        # Runs when the owner's process ends, too; `atexit` does not in multiprocessing's own processes.
        ends = (self._process, self._connection, self._scratch, patience.close_seconds)
        self._end = Finalize(self, _end, ends, exitpriority=1)

    def close(self) -> None:
        """End the game, politely if it answers, and remove all that it has written."""
        self._end()

    def kill(self) -> None:
        """End the game at once, with all that it has started."""
        assert self._process.pid is not None
        kill_tree(self._process.pid)
        self._end()

    def wait_until_made(self) -> None:
        """Return once the environment is there."""
        self._receive(self._patience.start_seconds, "starting")

    def reset(self, seed: int) -> None:
        """Build the world of `seed`."""
        self._send(("reset", seed))
        self._receive(self._patience.reset_seconds, f"building the world of seed {seed}")

    def play(self, actions: Integer[np.ndarray, " T"]) -> Iterator[Observation]:
        """Step through the actions; the game is one frame ahead of who takes them."""
        self._send(("play", actions))
        for index in range(len(actions)):
            seen = self._receive(self._patience.step_seconds, f"playing step {index}")
            assert isinstance(seen, Observation)
            yield seen

    def last_words(self) -> str:
        """The end of what process and game have printed."""
        log = self._scratch / LOG
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return "\n".join(lines[-_LOG_LINES:])

    def _send(self, command: tuple[str, Any]) -> None:
        try:
            self._connection.send(command)
        except OSError as error:
            raise self._crash("waiting") from error

    def _receive(self, seconds: float, doing: str) -> Any:
        try:
            if not self._connection.poll(seconds):
                raise PlayError("timeout", f"{doing} took more than {seconds:g} seconds")
            reply = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._crash(doing) from error
        if isinstance(reply, Failure):
            raise PlayError(reply.reason, reply.detail)
        return reply

    def _crash(self, doing: str) -> PlayError:
        self._process.join(self._patience.close_seconds)
        return PlayError("crash", f"the process ended while {doing} (exit code {self._process.exitcode})")


def _end(process: SpawnProcess, connection: Connection, scratch: Path, seconds: float) -> None:
    """Close a game; it knows no `Game`, so that one nobody holds is closed."""
    connection.close()
    process.join(seconds)
    if process.is_alive():
        assert process.pid is not None
        kill_tree(process.pid)
        process.join()
    shutil.rmtree(scratch, ignore_errors=True)
