"""What every process that works for another one does first."""

import multiprocessing
import os
import signal
import threading


def end_with_parent() -> None:
    """End this process as soon as its parent has ended, however that ended, and leave Ctrl-C to the parent.

    A child that outlived its parent would hold memory and processors, or write beside the run that follows.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
