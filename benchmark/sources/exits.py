"""A model must not end the process of the benchmark: its `sys.exit` and `os._exit` become its own failure."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from benchmark.contract.compute import draw_within

Item = TypeVar("Item")


class ModelExitError(Exception):
    """A model's code tried to end the process; the message says how."""


@contextmanager
def refused() -> Iterator[None]:
    """Turn an exit of this process within the block into `ModelExitError`; children may end as they like.

    What ends the process without Python's knowledge (a crash, a signal) is not seen.
    """
    real, process = os._exit, os.getpid()

    def exit_now(status: int) -> NoReturn:
        if os.getpid() == process:
            raise _NotNow(f"os._exit({status})")
        real(status)

    os._exit = exit_now
    try:
        yield
    except SystemExit as error:
        how = str(error) if isinstance(error, _NotNow) else f"sys.exit({error.code!r})"
        raise ModelExitError(f"{how} was called: raise an exception instead") from error
    finally:
        os._exit = real


def refused_between(items: Callable[[], Iterator[Item]]) -> Iterator[Item]:
    """Draw items with exits refused; what is done with them between draws may exit."""
    with refused():
        iterator = iter(items())
    yield from draw_within(iterator, refused)


class _NotNow(SystemExit):
    """What `os._exit` raises while it is refused: models that catch every `Exception` do not catch it."""
