"""What an executor is: jobs on items go in, results come out as they end.

A job is `job(state, item)`. The state (a world, a codec, a model) is made once by each worker, and whatever a
job holds is sent to each worker once, not with every item. A job may be run again after its worker was lost:
it writes whole files, with the same bytes each time.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath

LONGEST_RANGE = 64
"""How many items a worker of a cluster is given at a time at most: if it is lost, so many are."""
RETRIES = 5
"""How often items are done again whose worker was lost."""
ARRIVAL_S = 60.0
"""How long a file may take to be seen on another machine: a network disk remembers that it was not there."""

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")


class SpentWorkerError(UserError):
    """A job says so that its process can do no more: on a cluster, another worker does its items again."""


class Executor(Protocol):
    """Runs jobs on workers."""

    def run(
        self, job: Callable[[State, Item], Result], items: Sequence[Item], *, make_state: Callable[[], State]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, job(state, item)) as they end; they start in the order of `items`.

        Raises what a job or `make_state` raises, and `UserError` where workers are lost for good.
        """


def require_arrived(root: AnyPath, missing: Callable[[], Sequence[str]], what: str) -> None:
    """Raise `UserError` unless the files that workers have made are seen here: in the end none is missing."""
    give_up = time.monotonic() + ARRIVAL_S
    while names := missing():
        if time.monotonic() >= give_up:
            raise UserError(
                f"{root}: {len(names)} {what} were made and are not here, {names[0]} for one: let all "
                "workers write to one folder, on a disk that they share or at an address that they reach"
            )
        time.sleep(min(1.0, ARRIVAL_S))
