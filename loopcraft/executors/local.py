"""Jobs spread over processes of this machine: each worker makes its state once and works on one thread.

Workers do not hear Ctrl-C (their parent ends them in order) and die with their parent, however it died: a
worker that outlived it would write beside the run that follows.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import cv2

from loopcraft.core.children import end_with_parent
from loopcraft.core.errors import UserError
from loopcraft.executors.base import Item, Result, State

# Enough that no worker waits for the parent, few enough that 200,000 items do not lie in memory.
_JOBS_IN_FLIGHT_PER_WORKER = 3

_work: list[tuple[Any, Callable[[Any, Any], Any]]] = []  # a worker's own state, and what it does


class LocalExecutor:
    """`num_workers` processes; one is this process, and more need jobs, items and makers that pickle."""

    def __init__(self, num_workers: int = 1) -> None:
        self._num_workers = num_workers

    def run(
        self, job: Callable[[State, Item], Result], items: Sequence[Item], *, make_state: Callable[[], State]
    ) -> Iterator[tuple[Item, Result]]:
        """As `Executor.run` says. What a job raises comes after the jobs under way have ended.

        Raises `UserError` when a worker process dies.
        """
        num_workers = min(self._num_workers, len(items))
        if num_workers <= 1:
            state = make_state() if items else None
            for item in items:
                yield item, job(state, item)  # type: ignore[arg-type]  # there is a state where there are items
            return
        context = multiprocessing.get_context("spawn")
        with _children_deaf():
            workers = ProcessPoolExecutor(num_workers, context, _start_worker, (make_state, job))
        with workers as pool:
            try:
                yield from _run_in(pool, items, num_workers * _JOBS_IN_FLIGHT_PER_WORKER)
            except BrokenProcessPool as error:
                raise UserError(
                    "a worker process died (killed, or out of memory?): run the same command again to go on, "
                    "with fewer --workers if memory is short"
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


def _run_in(
    pool: ProcessPoolExecutor, items: Sequence[Item], max_in_flight: int
) -> Iterator[tuple[Item, Any]]:
    in_flight: dict[Future[Any], Item] = {}
    for item in items:
        with _children_deaf():
            in_flight[pool.submit(_run_job, item)] = item
        if len(in_flight) >= max_in_flight:
            yield from _take_finished(in_flight)
    while in_flight:
        yield from _take_finished(in_flight)


@contextmanager
def _children_deaf() -> Iterator[None]:
    """Start processes that never hear Ctrl-C or a hang-up; this one hears it after the block."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _take_finished(in_flight: dict[Future[Any], Item]) -> list[tuple[Item, Any]]:
    wait(in_flight, return_when=FIRST_COMPLETED)
    finished = [future for future in in_flight if future.done()]
    return [(in_flight.pop(future), future.result()) for future in finished]


def _start_worker(make_state: Callable[[], Any], job: Callable[[Any, Any], Any]) -> None:
    end_with_parent()
    cv2.setNumThreads(1)
    _work.append((make_state(), job))


def _run_job(item: Any) -> Any:
    state, job = _work[0]
    return job(state, item)
