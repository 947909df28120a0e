"""Processes that load episodes ahead of the trainer, and never outlive it.

Each hands its episodes over by a pipe of its own: one that dies, however it dies, closes its pipe, and the
trainer knows. Loaders write nothing, so they are killed when they are no longer needed. They are spawned
(forked ones would share CUDA and compiled threads), and arrays travel through pipes, for containers have
little shared memory.
"""

import pickle
import queue
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from loopcraft.core.children import end_with_parent
from loopcraft.core.errors import UserError
from models.train.data.episodes import EpisodeSource
from models.train.data.played import LoadedEpisode

READ_AHEAD = 2
"""Episodes that each loader has ready or on their way, beside the one that it loads."""
_LOOK_S = 0.2
"""How long to wait for an episode before looking whether the run is to stop."""
_GRACE_S = 2.0
"""A loader and its trainer may be told to stop at the same time: how long to wait for the latter's signal."""


class LoaderError(UserError):
    """A loader has died."""


class Loaders:
    """The episodes `numbers` of a source, in their order; with no `workers` this process loads them."""

    def __init__(self, source: EpisodeSource, numbers: range, workers: int) -> None:
        self._source, self._numbers, self._next = source, numbers, 0
        self._loaders = [_Loader(source, numbers[first::workers]) for first in range(workers)]

    def take(self, should_stop: Callable[[], bool]) -> LoadedEpisode | None:
        """The next episode; None if the run is to stop before it is there.

        Raises `LoaderError` where a loader has died, and what loading the episode raised.
        """
        if should_stop():
            return None
        if not self._loaders:
            episode = self._source[self._numbers[self._next]]
        else:
            found = self._loaders[self._next % len(self._loaders)].take(should_stop)
            if found is None:
                return None
            episode = found
        self._next += 1
        return episode

    def close(self) -> None:
        """End the processes."""
        for loader in self._loaders:
            loader.close()


class _Loader:
    """One process and the end of its pipe."""

    def __init__(self, source: EpisodeSource, numbers: range) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_load, args=(source, numbers, theirs), daemon=True)
        self._process.start()
        theirs.close()  # or the end of the process would not end the pipe

    def take(self, should_stop: Callable[[], bool]) -> LoadedEpisode | None:
        while not self._pipe.poll(_LOOK_S):
            if should_stop():
                return None
        try:
            episode, error = self._pipe.recv()
        except (EOFError, OSError) as ended:
            self._explain(should_stop, ended)
            return None
        if error is not None:
            raise error
        taken: LoadedEpisode = episode
        return taken

    def _explain(self, should_stop: Callable[[], bool], ended: Exception) -> None:
        """Raise what the end of the process means, unless the whole run is ending."""
        self._process.join(_GRACE_S)
        until = time.monotonic() + _GRACE_S
        while time.monotonic() < until:
            if should_stop():
                return
            time.sleep(0.05)
        code = self._process.exitcode
        how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        raise LoaderError(
            f"a process that loads episodes died ({how}: killed, or out of memory?); run the same command "
            "again to go on, with fewer --workers if memory is short"
        ) from ended

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _load(source: EpisodeSource, numbers: range, pipe: Connection) -> None:
    """The whole life of a loader."""
    end_with_parent()
    torch.set_num_threads(1)
    ready: queue.Queue[Any] = queue.Queue(READ_AHEAD - 1)
    sender = threading.Thread(target=_send, args=(ready, pipe), daemon=True)
    sender.start()
    try:
        for number in numbers:
            ready.put((source[number], None))
    except Exception as error:
        ready.put((None, _portable(error)))
        sender.join()


def _send(ready: queue.Queue[Any], pipe: Connection) -> None:
    """Hand over what is ready; ends after an error, or where the trainer has been killed."""
    error = None
    with suppress(BrokenPipeError):
        while error is None:
            item = ready.get()
            error = item[1]
            pipe.send(item)


def _portable(error: Exception) -> Exception:
    """The error as it is, with its traceback for whoever prints it; as text where it cannot travel."""
    told = "".join(traceback.format_exception(error))
    error.add_note(f"In a process that loads episodes:\n{told}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its class does when it is pickled
        return RuntimeError(told)
    return error
