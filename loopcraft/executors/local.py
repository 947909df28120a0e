"""An executor on processes of this machine; each worker makes its state once and uses one thread.

Workers ignore Ctrl-C (their parent ends them cleanly) and end when their parent ends for any reason: a worker
that outlives it would write alongside the next run.
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

# Enough that no worker waits for the parent, few enough that 200,000 items are not in memory at once.
_JOBS_IN_FLIGHT_PER_WORKER = 3

_work: list[tuple[Any, Callable[[Any, Any], Any]]] = []  # in a worker: its state and its job


class LocalExecutor:
    """`num_workers` processes; 1 means this process, more require that job, items and `make_state` pickle."""

    def __init__(self, num_workers: int = 1) -> None:
        self._num_workers = num_workers

    def run(
        self, job: Callable[[State, Item], Result], items: Sequence[Item], *, make_state: Callable[[], State]
    ) -> Iterator[tuple[Item, Result]]:
        """Run jobs as in `Executor.run`; an error of a job is raised after the running jobs have finished.

        Raises `UserError` if a worker process dies.
        """
        num_workers = min(self._num_workers, len(items))
        if num_workers <= 1:
            state = make_state() if items else None
            for item in items:
                yield item, job(state, item)  # type: ignore[arg-type]  # state is None only without items
            return
        context = multiprocessing.get_context("spawn")
        with _block_signals():
            workers = ProcessPoolExecutor(num_workers, context, _start_worker, (make_state, job))
        with workers as pool:
            try:
                yield from _run_in(pool, items, num_workers * _JOBS_IN_FLIGHT_PER_WORKER)
            except BrokenProcessPool as error:
                raise UserError(
                    "a worker process died (killed, or out of memory?): run the same command again to "
                    "continue, with fewer --workers if memory is short"
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


def _run_in(
    pool: ProcessPoolExecutor, items: Sequence[Item], max_in_flight: int
) -> Iterator[tuple[Item, Any]]:
    in_flight: dict[Future[Any], Item] = {}
    for item in items:
        with _block_signals():
            in_flight[pool.submit(_run_job, item)] = item
        if len(in_flight) >= max_in_flight:
            yield from _take_finished(in_flight)
    while in_flight:
        yield from _take_finished(in_flight)


@contextmanager
def _block_signals() -> Iterator[None]:
    """Block SIGINT and SIGHUP in processes started in the block; this one receives them afterwards."""
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
