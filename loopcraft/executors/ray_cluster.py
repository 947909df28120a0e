"""Jobs spread over a Ray cluster, whose machines share the folder of the output and have the same packages.

Each worker is an actor with one processor (and one GPU, where asked) that makes its state once and is given
ranges of items. When a worker or its node is lost, another worker does its range again; nothing else is lost.
Nodes that join are used. Workers end once no range is left: their place may be what another one waits for.
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
"""Ranges are as long as gives each worker so many, but for the longest: a lost worker loses one."""
_ANSWERS_WITHIN_S = 10.0
_LOOK_AGAIN_S = 5.0
"""How long until nodes that joined are noticed."""


class _Worker:
    """What runs on the cluster."""

    def __init__(self, make_state: Callable[[], Any], job: Callable[[Any, Any], Any]) -> None:
        self._make_state, self._job = make_state, job
        self._states: list[Any] = []

    def do(self, items: Sequence[Any]) -> list[Any]:
        """The results of a range. The state is made here: what that raises is a job's error."""
        if not self._states:
            cv2.setNumThreads(1)
            self._states.append(self._make_state())
        return [self._job(self._states[0], item) for item in items]


class RayExecutor:
    """`num_workers` workers (0: one a processor, or a GPU) of the cluster that `ray` is connected to."""

    def __init__(
        self,
        num_workers: int = 0,
        num_gpus: int = 0,
        *,
        longest_range: int = LONGEST_RANGE,
        retries: int = RETRIES,
    ) -> None:
        self._num_workers = num_workers
        self._num_gpus = num_gpus
        self._longest_range = longest_range
        self._retries = retries

    def run(
        self, job: Callable[[State, Item], Result], items: Sequence[Item], *, make_state: Callable[[], State]
    ) -> Iterator[tuple[Item, Result]]:
        """As `Executor.run` says. Raises `UserError` for a range that lost its worker again and again."""
        actor: Any = ray.remote(num_cpus=1, num_gpus=self._num_gpus)(_Worker)
        held = [ray.put(make_state), ray.put(job)]  # sent to each worker once
        ranges = _Ranges(items, self._room(), self._longest_range, self._retries)
        idle: list[Any] = []
        busy: dict[Any, tuple[Any, range]] = {}
        try:
            while ranges.are_left or busy:
                while ranges.are_left and (idle or len(busy) < self._room()):
                    worker = idle.pop() if idle else actor.remote(*held)
                    part = ranges.take()
                    busy[worker.do.remote(items[part.start : part.stop])] = worker, part
                while idle:
                    ray.kill(idle.pop())
                ended, _ = ray.wait(list(busy), timeout=_LOOK_AGAIN_S)
                for promise in ended:
                    worker, part = busy.pop(promise)
                    results = _results(promise)
                    if isinstance(results, Exception):
                        ray.kill(worker)
                        ranges.give_back(part, results)
                        continue
                    idle.append(worker)
                    yield from zip(items[part.start : part.stop], results, strict=True)
        finally:
            for worker in [*idle, *(worker for worker, _ in busy.values())]:
                ray.kill(worker)

    def _room(self) -> int:
        """How many workers there should be."""
        if self._num_workers:
            return self._num_workers
        kind = "GPU" if self._num_gpus else "CPU"
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        if self._num_gpus and not resources.get(kind):
            raise UserError("the Ray cluster has no GPU: choose --device cpu, or --workers N to wait for N")
        return max(1, int(resources.get(kind, 0)))


class _Ranges:
    """The ranges of items still to be done, first those that were lost."""

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

    def give_back(self, part: range, error: Exception) -> None:
        """Have a range done again. Raises `UserError` where that has been tried often enough."""
        self._losses[part] = self._losses.get(part, 0) + 1
        if self._losses[part] > self._retries:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"Ray lost the worker of some items {self._losses[part]} times ({reason}): run the same "
                "command again to go on, with fewer --workers if memory is short"
            ) from error
        self._left.appendleft(part)


def _results(promise: Any) -> list[Any] | RayError | SpentWorkerError:
    """The results of a range, or how its worker was lost; raises what its job raised."""
    try:
        found: list[Any] = ray.get(promise)
    except RayTaskError as error:
        if isinstance(error.cause, SpentWorkerError):
            return error.cause
        raise error.cause from error
    except RayError as error:
        return error
    return found


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to the cluster at `address` during the block.

    None is what RAY_ADDRESS names, else a Ray of this machine alone, which ends with the block, also where
    another one runs on this machine. Raises `UserError` where no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    if ray.is_initialized():
        yield
        return
    _require_listener(address)
    logging.getLogger("ray").setLevel(logging.ERROR)  # the command has one line of progress, and no other
    when_told_to_end = signal.getsignal(signal.SIGTERM)
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
        signal.signal(signal.SIGTERM, when_told_to_end)  # Ray has put its own there
    try:
        yield
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Raise `UserError` where nobody listens at HOST:PORT: Ray itself would try for ten minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWERS_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(_why_not_connected(address, error)) from error


def _why_not_connected(address: str, error: Exception) -> str:
    """What a user can do about a cluster that cannot be reached."""
    if "InvalidAuthToken" in str(error.__cause__):
        return (
            f"--address {address}: the cluster wants a token; set RAY_AUTH_MODE=token, with which Ray sends "
            "the one in ~/.ray/auth_token or RAY_AUTH_TOKEN"
        )
    reason = str(error).strip().partition("\n")[0]
    return f"--address {address}: no Ray cluster answers ({reason}); start one with `ray start --head`"
