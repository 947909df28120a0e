"""Who does the work: the flags that commands share, and the executor that they ask for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, is_url, path_at
from loopcraft.executors.base import LONGEST_RANGE, RETRIES, Executor
from loopcraft.executors.local import LocalExecutor

ExecutorName = Literal["local", "ray"]
WHOLE = "1/1"
"""The shard that is all there is to do."""


@dataclass(frozen=True, kw_only=True)
class WorkerFlags:
    """Who does the work; the result is the same."""

    executor: ExecutorName = "local"
    """On this machine, or on a Ray cluster whose machines share the folders."""
    workers: int = 0
    """Worker processes; 0: one a core (of a network: this process), on a cluster one a processor or GPU."""
    address: str | None = None
    """The Ray cluster, as in auto or HOST:6379; by default RAY_ADDRESS, else a Ray of this machine."""
    shard: str = WHOLE
    """Do only part i of n, as in 2/8; when all are done, the command without --shard finishes the whole."""

    @property
    def is_shard(self) -> bool:
        """Whether it is one part of several."""
        return self.shard != WHOLE

    def check(self) -> None:
        """Raise `UserError` for flags that do not fit, and where Ray is missing."""
        if self.workers < 0:
            raise UserError(f"--workers {self.workers}: choose 0 or more")
        if self.executor == "local" and self.address is not None:
            raise UserError(
                f"--address {self.address}: is for --executor ray; give that too, or leave it out"
            )
        if self.executor == "ray" and find_spec("ray") is None:
            raise UserError("--executor ray needs Ray: pip install -e '.[cluster]'")

    def shared_path(self, path: Path) -> AnyPath:
        """A path or an address as workers find it, which may be in another folder than this process."""
        if is_url(path):
            return path_at(path)
        return path if self.executor == "local" or str(path).startswith("hf:/") else path.absolute()


@contextmanager
def open_executor(
    asked: WorkerFlags,
    *,
    num_gpus: int = 0,
    longest_range: int = LONGEST_RANGE,
    retries: int = RETRIES,
) -> Iterator[Executor]:
    """The executor that is asked for, with `num_gpus` GPUs for each worker on Ray.

    On Ray a worker is given up to `longest_range` items at a time. They are done again up to `retries` times
    if it is lost.
    Raises `UserError` for flags that do not fit, for a cluster out of reach, and where Ray is missing.
    """
    asked.check()
    if asked.executor == "local":
        yield LocalExecutor(asked.workers or num_cores())
        return
    from loopcraft.executors.ray_cluster import RayExecutor, connected

    with connected(asked.address):
        yield RayExecutor(asked.workers, num_gpus, longest_range=longest_range, retries=retries)


def num_cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))
