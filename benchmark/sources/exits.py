"""Keep a model from ending the benchmark's process: its `sys.exit` and `os._exit` raise `ModelExitError`."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from benchmark.contract.compute import draw_within

Item = TypeVar("Item")


class ModelExitError(Exception):
    """Raised when a model's code tries to exit the process; the message says how."""


@contextmanager
def forbid_exit() -> Iterator[None]:
    """Turn an exit of this process within the block into `ModelExitError`; child processes may exit.

    What ends the process without Python (a crash, a signal) is not caught.
    """
    real_exit, process = os._exit, os.getpid()

    def raise_exit(status: int) -> NoReturn:
        if os.getpid() == process:
            raise _ForbiddenExit(f"os._exit({status})")
        real_exit(status)

    os._exit = raise_exit
    try:
        yield
    except SystemExit as error:
        call = str(error) if isinstance(error, _ForbiddenExit) else f"sys.exit({error.code!r})"
        raise ModelExitError(f"{call} was called: raise an exception instead") from error
    finally:
        os._exit = real_exit


def forbid_exit_in_draws(items: Callable[[], Iterator[Item]]) -> Iterator[Item]:
    """Draw items with exits forbidden; the code that uses them between draws may exit."""
    with forbid_exit():
        iterator = iter(items())
    yield from draw_within(iterator, forbid_exit)


class _ForbiddenExit(SystemExit):
    """Raised by `os._exit` while it is forbidden; a model's `except Exception` does not catch it."""
