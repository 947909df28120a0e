"""An executor on a Ray cluster whose machines share the output folder and have the same packages.

Each worker is an actor with one processor (and one GPU, if requested) that makes its state once and receives
ranges of items. If a worker or its node is lost, another worker repeats its range; nothing else is lost. New
nodes are used as they join. Workers end when no range is left, because other work may wait for their place.
"""

import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import ray
from ray.exceptions import RayError, RayTaskError

from loopcraft.core.errors import UserError
from loopcraft.executors.base import LONGEST_RANGE, RETRIES, Item, Result, SpentWorkerError, State

RANGES_PER_WORKER = 8
"""Minimum number of ranges per worker, given enough items: a lost worker loses one range."""
_ANSWERS_WITHIN_S = 10.0
_LOOK_AGAIN_S = 5.0
"""How often to look for nodes that joined."""


class _Worker:
    def __init__(self, make_state: Callable[[], Any], job: Callable[[Any, Any], Any]) -> None:
        self._make_state, self._job = make_state, job
        self._states: list[Any] = []

    def do(self, items: Sequence[Any]) -> list[Any]:
        """Return the results of a range; makes the state first, so that its errors count as a job's."""
        if not self._states:
            cv2.setNumThreads(1)
            self._states.append(self._make_state())
        return [self._job(self._states[0], item) for item in items]


class RayExecutor:
    """`num_workers` workers (0: one per processor or GPU) on the cluster that `ray` is connected to."""

    def __init__(
        self,
        num_workers: int = 0,
        num_gpus: int = 0,
        *,
        longest_range: int = LONGEST_RANGE,
        retries: int = RETRIES,
    ) -> None:
        self._num_workers, self._num_gpus = num_workers, num_gpus
        self._longest_range, self._retries = longest_range, retries

    def run(
        self, job: Callable[[State, Item], Result], items: Sequence[Item], *, make_state: Callable[[], State]
    ) -> Iterator[tuple[Item, Result]]:
        """Run jobs as in `Executor.run`; raises `UserError` for a range that loses its worker too often."""
        actor: Any = ray.remote(num_cpus=1, num_gpus=self._num_gpus)(_Worker)
        arguments = [ray.put(make_state), ray.put(job)]  # sent to each worker once
        ranges = _Ranges(items, self._capacity(), self._longest_range, self._retries)
        idle: list[Any] = []
        busy: dict[Any, tuple[Any, range]] = {}
        try:
            while ranges.are_left or busy:
                while ranges.are_left and (idle or len(busy) < self._capacity()):
                    worker = idle.pop() if idle else actor.remote(*arguments)
                    part = ranges.take()
                    busy[worker.do.remote(items[part.start : part.stop])] = worker, part
                while idle:
                    ray.kill(idle.pop())
                finished, _ = ray.wait(list(busy), timeout=_LOOK_AGAIN_S)
                for promise in finished:
                    worker, part = busy.pop(promise)
                    results = _results(promise)
                    if isinstance(results, Exception):
                        ray.kill(worker)
                        ranges.requeue(part, results)
                        continue
                    idle.append(worker)
                    yield from zip(items[part.start : part.stop], results, strict=True)
        finally:
            for worker in [*idle, *(worker for worker, _ in busy.values())]:
                ray.kill(worker)

    def _capacity(self) -> int:
        if self._num_workers:
            return self._num_workers
        kind = "GPU" if self._num_gpus else "CPU"
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        if self._num_gpus and not resources.get(kind):
            raise UserError("the Ray cluster has no GPU: choose --device cpu, or --workers N to wait for N")
        return max(1, int(resources.get(kind, 0)))


class _Ranges:
    """Queue of the ranges of items still to do, lost ones first."""

    def __init__(self, items: Sequence[Any], num_workers: int, longest: int, retries: int) -> None:
        length = min(longest, max(1, len(items) // (num_workers * RANGES_PER_WORKER)))
        starts = range(0, len(items), length)
        self._left = deque(range(start, min(start + length, len(items))) for start in starts)
        self._losses: dict[range, int] = {}
        self._retries = retries

    @property
    def are_left(self) -> bool:
        return bool(self._left)

    def take(self) -> range:
        return self._left.popleft()

    def requeue(self, part: range, error: Exception) -> None:
        """Put a lost range back; raises `UserError` if its retries are used up."""
        self._losses[part] = self._losses.get(part, 0) + 1
        if self._losses[part] > self._retries:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"Ray lost the worker of some items {self._losses[part]} times ({reason}): run the same "
                "command again to continue, with fewer --workers if memory is short"
            ) from error
        self._left.appendleft(part)


def _results(promise: Any) -> list[Any] | RayError | SpentWorkerError:
    """Return the results of a range, or the error that lost its worker; raises what its job raised."""
    try:
        results: list[Any] = ray.get(promise)
    except RayTaskError as error:
        if isinstance(error.cause, SpentWorkerError):
            return error.cause
        raise error.cause from error
    except RayError as error:
        return error
    return results


@contextmanager
def connect(address: str | None) -> Iterator[None]:
    """Connect to the Ray cluster at `address` during the block.

    None means RAY_ADDRESS if set, else a new Ray on this machine that ends with the block, even if another
    one runs here already. Raises `UserError` if no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if ray.is_initialized():
        yield
        return
    _require_listener(address)
    logging.getLogger("ray").setLevel(logging.ERROR)  # commands print only their own line of progress
    sigterm_handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=False,
        )
    except (ConnectionError, TimeoutError, RuntimeError, ValueError, RayError) as error:
        raise UserError(_why_not_connected(address, error)) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, sigterm_handler)  # Ray has installed its own
    try:
        yield
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raise `UserError` if nothing listens at HOST:PORT; Ray itself would retry for ten minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(_why_not_connected(address, error)) from error


def _why_not_connected(address: str, error: Exception) -> str:
    if "InvalidAuthToken" in str(error.__cause__):
        return (
            f"--address {address}: the cluster requires a token; set RAY_AUTH_MODE=token, so that Ray sends "
            "the one in ~/.ray/auth_token or RAY_AUTH_TOKEN"
        )
    reason = str(error).strip().partition("\n")[0]
    return f"--address {address}: no Ray cluster answers ({reason}); start one with `ray start --head`"
