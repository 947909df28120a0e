"""Setup of child processes: they end when their parent does."""

import fcntl
import multiprocessing
import os
import select
import signal
import threading
from collections.abc import Callable


def end_with_parent(tidy: Callable[[], object] = lambda: None) -> None:
    """End this process when its parent ends for any reason, after calling `tidy`; leave Ctrl-C to the parent.

    A child that outlives its parent would hold memory and processors, or write alongside the next run.
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
    """End this process and its group when its standard input is closed; the input itself is never read.

    The process must lead its group. On Linux the kernel does it, even if the process is stuck.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lifeline = os.dup(0)
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    os.close(devnull)
    if not hasattr(fcntl, "F_SETSIG"):
        threading.Thread(target=_die_at_end_of, args=[lifeline], daemon=True).start()
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline)
    if poll.poll(0):  # it was closed before the kernel could signal
        _die_at_end_of(lifeline)


def _die_at_end_of(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.killpg(0, signal.SIGKILL)
