"""Command-line flags that choose an executor, and the executor that they choose."""

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
"""The shard that is the whole."""


@dataclass(frozen=True, kw_only=True)
class WorkerFlags:
    """Where the work runs; the result is the same."""

    executor: ExecutorName = "local"
    """Run on this machine, or on a Ray cluster whose machines share the folders."""
    workers: int = 0
    """Worker processes; 0: one per core (neural networks: this process), on a cluster one per CPU or GPU."""
    address: str | None = None
    """Ray cluster, such as auto or HOST:6379; by default RAY_ADDRESS, else a new Ray on this machine."""
    shard: str = WHOLE
    """Do only part i of n, such as 2/8; after all parts, run the command without --shard to finish."""

    @property
    def is_shard(self) -> bool:
        """Whether this is one part of several."""
        return self.shard != WHOLE

    def check(self) -> None:
        """Raise `UserError` for flags that contradict each other, and if Ray is missing."""
        if self.workers < 0:
            raise UserError(f"--workers {self.workers}: choose 0 or more")
        if self.executor == "local" and self.address is not None:
            raise UserError(
                f"--address {self.address}: is for --executor ray; add that flag or leave this one out"
            )
        if self.executor == "ray" and find_spec("ray") is None:
            raise UserError("--executor ray needs Ray: pip install -e '.[cluster]'")

    def shared_path(self, path: Path) -> AnyPath:
        """Return a path or URL that workers can use, whose working directory may differ."""
        if is_url(path):
            return path_at(path)
        return path if self.executor == "local" or str(path).startswith("hf:/") else path.absolute()


@contextmanager
def open_executor(
    flags: WorkerFlags,
    *,
    num_gpus: int = 0,
    longest_range: int = LONGEST_RANGE,
    retries: int = RETRIES,
) -> Iterator[Executor]:
    """Yield the chosen executor.

    A worker on Ray has `num_gpus` GPUs and receives up to `longest_range` items at a time, which are retried
    up to `retries` times if it is lost. Raises `UserError` for contradictory flags, an unreachable cluster,
    and if Ray is missing.
    """
    flags.check()
    if flags.executor == "local":
        yield LocalExecutor(flags.workers or num_cores())
        return
    from loopcraft.executors.ray_cluster import RayExecutor, connect

    with connect(flags.address):
        yield RayExecutor(flags.workers, num_gpus, longest_range=longest_range, retries=retries)


def num_cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))
