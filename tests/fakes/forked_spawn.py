"""Replace processes that `multiprocessing` spawns with forks of a clean process that has made their imports.

Each gets what a spawned process gets, through the same pipe. From the process that asks for it, it inherits
only the environment, working directory, standard streams and blocked signals. Tests that need a fresh
interpreter are marked `fresh`.
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
"""A descriptor number above all those that a process is given."""
_spawn_fresh = util.spawnv_passfds


@contextmanager
def forked_spawn() -> Iterator[None]:
    """Make processes that this one spawns forks, which are still its children."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(util, "spawnv_passfds", partial(_spawn, zygote))
        yield


def use_forks() -> None:
    """Do so for the rest of this process, which must have one thread and have made all imports."""
    own = own_zygote()
    util.spawnv_passfds = partial(_spawn, lambda: own)


def _spawn(
    zygote: Callable[[], Zygote], path: str | bytes, command: Sequence[str], passed: Sequence[int]
) -> int:
    """Fork and return the process id."""
    call = re.search(r"import spawn_main; spawn_main\((.*)\)", " ".join(map(str, command)))
    if call is None:  # a helper process of multiprocessing
        return _spawn_fresh(path, command, passed)
    numbers = sorted({0, 1, 2, *map(int, passed)})
    return zygote().fork(
        f"{__name__}:become",
        numbers,
        numbers=numbers,
        keywords={name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", call[1])},
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
    """Run as a spawned process, from start to end."""
    copies = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, _ABOVE) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(copies, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["-c", "--multiprocessing-fork"]
    pipe = select.poll()
    pipe.register(keywords["pipe_handle"])
    if not pipe.poll()[0][1] & select.POLLIN:  # the parent was killed before it sent any work
        os._exit(1)
    spawn.spawn_main(**keywords)
