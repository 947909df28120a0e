"""A local Ray cluster of a head and a node with one processor each, and jobs for it."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from loopcraft.core.urls import UrlPath
from loopcraft.executors.base import SpentWorkerError

_STORE_BYTES = 100 * 2**20


@contextmanager
def two_nodes() -> Iterator[tuple[Any, Any]]:
    """Start a cluster (with an `address`) and a node, for `cluster.remove_node`; stop both at the end."""
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": _STORE_BYTES, "include_dashboard": False}
    size |= {"include_log_monitor": False}  # nobody reads what the workers print
    cluster = Cluster(initialize_head=True, head_node_args=size)
    try:
        yield cluster, cluster.add_node(**size)
    finally:
        cluster.shutdown()


def die_once(folder: Path, item: int) -> int:
    """Kill the process at the first attempt at item 3."""
    marker = folder / f"{item}.died"
    if item == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def die(folder: Path, item: int) -> int:
    """Kill the process at every attempt."""
    os.kill(os.getpid(), signal.SIGKILL)
    return item


def be_spent_once(folder: Path, item: int) -> int:
    """Report at the first attempt at item 3 that the process is spent; otherwise return the process id."""
    marker = folder / f"{item}.died"
    if item == 3 and not marker.exists():
        marker.touch()
        raise SpentWorkerError("no more")
    return os.getpid()


def fail(folder: Path, item: int) -> int:
    """Fail as a job on a full disk does."""
    raise OSError(28, "No space left on device", "/disk/000.mp4")


def be_killed_once(marker: Path, module: str, function: str, state: object, key: str, **given: Any) -> None:
    """Do the job `function` of a module, but be killed once before an episode's file gets its final name."""
    if key == "000/001" and not marker.exists():
        marker.touch()
        os.replace = UrlPath.put = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
    getattr(import_module(module), function)(state, key, **given)


def state_of(folder: Path) -> partial[Path]:
    """A factory of a worker's state."""
    return partial(Path, folder)
