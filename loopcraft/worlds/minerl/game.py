"""Parent's side of a game: a child process that can be killed at any time, with a timeout on every reply."""

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
    """Timeouts of a game, and the policy for retries after failures."""

    start_seconds: float = 120.0
    """To make the environment."""
    reset_seconds: float = 600.0
    """To build a world; the first time this includes the start of the game, which takes 90 s or more."""
    step_seconds: float = 60.0
    """For one tick."""
    close_seconds: float = 10.0
    """For the game to exit by itself before it is killed."""
    first_pause_seconds: float = 5.0
    """Pause before a restart after a failure; doubles with each further failure in a row."""
    longest_pause_seconds: float = 300.0
    max_failures: int = 8
    """After this many failures in a row the run stops, as the cause is not a single episode."""


class Game:
    """An environment in its own process; methods raise `PlayError` if it fails or does not answer in time."""

    def __init__(self, make_environment: EnvironmentFactory, resolution: int, patience: Patience) -> None:
        context = multiprocessing.get_context("spawn")
        self._patience = patience
        self._scratch = Path(tempfile.mkdtemp(prefix="loopcraft-minerl-"))
        self._connection, child_connection = context.Pipe()
        arguments = (child_connection, make_environment, resolution, self._scratch)
        self._process = context.Process(target=serve, args=arguments, daemon=True)
        self._process.start()
        child_connection.close()
        # Also runs when the owner's process exits; `atexit` does not in multiprocessing's child processes.
        resources = (self._process, self._connection, self._scratch, patience.close_seconds)
        self._end = Finalize(self, _end, resources, exitpriority=1)

    def close(self) -> None:
        """Let the game exit, kill it if it does not, and remove its files."""
        self._end()

    def kill(self) -> None:
        """Kill the game at once, with all its processes, and remove its files."""
        assert self._process.pid is not None
        kill_tree(self._process.pid)
        self._end()

    def wait_until_made(self) -> None:
        """Wait until the environment is made."""
        self._receive(self._patience.start_seconds, "starting")

    def reset(self, seed: int) -> None:
        """Build the world of `seed`."""
        self._send(("reset", seed))
        self._receive(self._patience.reset_seconds, f"building the world of seed {seed}")

    def play(self, actions: Integer[np.ndarray, " T"]) -> Iterator[Observation]:
        """Step through the actions; the game plays ahead of the consumer of the observations."""
        self._send(("play", actions))
        for index in range(len(actions)):
            observation = self._receive(self._patience.step_seconds, f"playing step {index}")
            assert isinstance(observation, Observation)
            yield observation

    def log_tail(self) -> str:
        """Return the last lines that the process and the game have printed."""
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
    """Close a game; takes no `Game`, as a reference would keep it from being finalized."""
    connection.close()
    process.join(seconds)
    if process.is_alive():
        assert process.pid is not None
        kill_tree(process.pid)
        process.join()
    shutil.rmtree(scratch, ignore_errors=True)
