"""Processes that `multiprocessing` spawns are forks of a clean process that has imported what they import.

Each gets what a spawned one gets, and through the same pipe: nothing of the process that asks for it is in it
but its environment, its folder, its standard streams and its blocked signals. What a fresh interpreter does
beyond that, tests marked `fresh` use.
"""

import fcntl
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import spawn, util

import pytest

from tests.fakes.zygote import Zygote, own_zygote, zygote

_ABOVE = 512
"""Above the descriptors that a process is given."""
_spawn_fresh = util.spawnv_passfds


@contextmanager
def forked_spawn() -> Iterator[None]:
    """Spawned processes of this one are forks, and its children all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(util, "spawnv_passfds", partial(_spawn, zygote))
        yield


def use_forks() -> None:
    """The same in a process that has one thread and has imported all, for the rest of its life."""
    ours = own_zygote()
    util.spawnv_passfds = partial(_spawn, lambda: ours)


def _spawn(
    zygote: Callable[[], Zygote], path: str | bytes, command: Sequence[str], passed: Sequence[int]
) -> int:
    """The process id of the fork."""
    found = re.search(r"import spawn_main; spawn_main\((.*)\)", " ".join(map(str, command)))
    if found is None:  # another process of multiprocessing
        return _spawn_fresh(path, command, passed)
    numbers = sorted({0, 1, 2, *map(int, passed)})
    return zygote().fork(
        f"{__name__}:become",
        numbers,
        numbers=numbers,
        keywords={name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", found[1])},
        environment=dict(os.environ),
        folder=os.getcwd(),
        blocked=[int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
    )


def become(
    descriptors: list[int],
    *,
    numbers: list[int],
    keywords: dict[str, int],
    environment: dict[str, str],
    folder: str,
    blocked: list[int],
) -> None:
    """A spawned process's whole life."""
    apart = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, _ABOVE) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(apart, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["-c", "--multiprocessing-fork"]
    asked = select.poll()
    asked.register(keywords["pipe_handle"])
    if not asked.poll()[0][1] & select.POLLIN:  # its parent was killed before it said what to do
        os._exit(1)
    spawn.spawn_main(**keywords)
