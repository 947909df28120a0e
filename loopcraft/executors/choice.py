"""An executor by its name, as the flags --executor, --address and --workers give it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, is_url, path_at
from loopcraft.executors.base import LONGEST_RANGE, RETRIES, Executor
from loopcraft.executors.local import LocalExecutor

ExecutorName = Literal["local", "ray"]


@contextmanager
def open_executor(
    name: ExecutorName,
    *,
    workers: int,
    address: str | None = None,
    num_gpus: int = 0,
    longest_range: int = LONGEST_RANGE,
    retries: int = RETRIES,
) -> Iterator[Executor]:
    """The executor called so; 0 workers are one a core, for Ray one a processor (or GPU) of the cluster.

    On Ray a worker is given up to `longest_range` items at a time. They are done again up to `retries` times
    if it is lost.
    Raises `UserError` for flags that do not fit, for a cluster out of reach, and where Ray is missing.
    """
    check_workers(name, workers, address)
    if name == "local":
        yield LocalExecutor(workers or num_cores())
        return
    from loopcraft.executors.ray_cluster import RayExecutor, connected

    with connected(address):
        yield RayExecutor(workers, num_gpus, longest_range=longest_range, retries=retries)


def check_workers(name: ExecutorName, workers: int, address: str | None) -> None:
    """Raise `UserError` for flags that do not fit, and where Ray is missing."""
    if workers < 0:
        raise UserError(f"--workers {workers}: choose 0 or more")
    if name == "local" and address is not None:
        raise UserError(f"--address {address}: is for --executor ray; give that too, or leave it out")
    if name == "ray" and find_spec("ray") is None:
        raise UserError("--executor ray needs Ray: pip install -e '.[cluster]'")


def shared_path(path: Path, name: ExecutorName) -> AnyPath:
    """A path or an address as workers find it, which may be in another folder than this process."""
    if is_url(path):
        return path_at(path)
    return path if name == "local" or str(path).startswith("hf:/") else path.absolute()


def num_cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0))
