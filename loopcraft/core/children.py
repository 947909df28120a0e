"""What every process that works for another one does first."""

import fcntl
import multiprocessing
import os
import select
import signal
import threading
from collections.abc import Callable


def end_with_parent(tidy: Callable[[], object] = lambda: None) -> None:
    """End this process as soon as its parent has ended, however that ended, and leave Ctrl-C to the parent.

    A child that outlived its parent would hold memory and processors, or write beside the run that follows.
    `tidy` is called first.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(tidy,), daemon=True).start()


def _die_with_parent(tidy: Callable[[], object]) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    tidy()
    os._exit(1)


def end_with_input() -> None:
    """End this process and its group as soon as nobody holds its standard input open; nothing is read there.

    The process must lead its group. On Linux the kernel sees to it, whatever the process is stuck in.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    life = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if not hasattr(fcntl, "F_SETSIG"):
        threading.Thread(target=_die_at_end_of, args=[life], daemon=True).start()
        return
    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(life, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(life, fcntl.F_SETFL, os.O_ASYNC)
    poll = select.poll()
    poll.register(life)
    if poll.poll(0):  # the end came before the kernel was asked
        _die_at_end_of(life)


def _die_at_end_of(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.killpg(0, signal.SIGKILL)
