"""Jobs that need a world, spread over processes: each worker makes its world once and works on one thread.

Workers do not hear Ctrl-C (their parent ends them in order) and die with their parent, however it died: a
worker that outlived it would write beside the run that follows.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2

from loopcraft.core.children import end_with_parent
from loopcraft.core.errors import UserError
from loopcraft.worlds.base import World

Item = TypeVar("Item")
Result = TypeVar("Result")
AnyWorld = TypeVar("AnyWorld", bound=World)
WorldFactory = Callable[[], World]

# Enough that no worker waits for the parent, few enough that 200,000 items do not lie in memory.
_JOBS_IN_FLIGHT_PER_WORKER = 3

_worlds: list[World] = []  # a worker's own world


def run_jobs(
    job: Callable[[AnyWorld, Item], Result],
    items: Iterable[Item],
    *,
    make_world: Callable[[], AnyWorld],
    num_workers: int,
) -> Iterator[tuple[Item, Result]]:
    """Yield (item, job(world, item)) as they end; they start in the order of `items`.

    One worker means this process. More need `job`, `make_world` and items that pickle. Raises what a job
    raises, after those under way have ended, and `UserError` when a worker process dies.
    """
    if num_workers == 1:
        world = make_world()
        for item in items:
            yield item, job(world, item)
        return
    context = multiprocessing.get_context("spawn")
    with _children_deaf():
        workers = ProcessPoolExecutor(num_workers, context, _start_worker, (make_world,))
    with workers as pool:
        try:
            yield from _run_in(pool, job, items, num_workers * _JOBS_IN_FLIGHT_PER_WORKER)
        except BrokenProcessPool as error:
            raise UserError(
                "a worker process died (killed, or out of memory?): run the same command again to go on, "
                "with fewer --workers if memory is short"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _run_in(
    pool: ProcessPoolExecutor,
    job: Callable[[AnyWorld, Item], Result],
    items: Iterable[Item],
    max_in_flight: int,
) -> Iterator[tuple[Item, Result]]:
    in_flight: dict[Future[Result], Item] = {}
    for item in items:
        with _children_deaf():
            in_flight[pool.submit(_run_job, job, item)] = item
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


def _take_finished(in_flight: dict[Future[Result], Item]) -> list[tuple[Item, Result]]:
    wait(in_flight, return_when=FIRST_COMPLETED)
    finished = [future for future in in_flight if future.done()]
    return [(in_flight.pop(future), future.result()) for future in finished]


def _start_worker(make_world: WorldFactory) -> None:
    end_with_parent()
    cv2.setNumThreads(1)
    _worlds.append(make_world())


def _run_job(job: Callable[[Any, Item], Result], item: Item) -> Result:
    return job(_worlds[0], item)
