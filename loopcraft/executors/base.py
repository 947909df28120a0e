"""The interface of executors, which apply a job to many items and yield results as they finish.

A job is `job(state, item)`. Each worker makes the state (a world, a codec, a model) once, and the job object
is sent to each worker once, not with every item. A job may run again if its worker is lost, so it must write
files atomically and with the same bytes each time.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath

LONGEST_RANGE = 64
"""Most items that a cluster's worker receives at a time, and so the most that are lost with it."""
RETRIES = 5
"""How often items are retried after their worker was lost."""
ARRIVAL_S = 60.0
"""How long a file may take to appear on another machine: network disks cache that it did not exist."""

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")


class SpentWorkerError(UserError):
    """Raised by a job whose process is unusable; on a cluster, another worker retries its items."""


class Executor(Protocol):
    """Something that runs jobs on workers."""

    def run(
        self, job: Callable[[State, Item], Result], items: Sequence[Item], *, make_state: Callable[[], State]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, job(state, item)) as jobs finish; they start in the order of `items`.

        Raises what a job or `make_state` raises, and `UserError` if workers are lost for good.
        """


def require_arrived(root: AnyPath, missing: Callable[[], Sequence[str]], what: str) -> None:
    """Wait until no files made by workers are missing here; raises `UserError` after `ARRIVAL_S`."""
    deadline = time.monotonic() + ARRIVAL_S
    while names := missing():
        if time.monotonic() >= deadline:
            raise UserError(
                f"{root}: {len(names)} {what} were made but are not here, such as {names[0]}: let all "
                "workers write to the same folder, on a shared disk or at a URL that they can reach"
            )
        time.sleep(min(1.0, ARRIVAL_S))
