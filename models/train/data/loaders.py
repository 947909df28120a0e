"""Processes that load episodes ahead of the trainer and never outlive it.

Each loader sends its episodes through its own pipe, which closes however the process dies, so the trainer
always notices. Loaders write no files and are killed when no longer needed. They are spawned because forked
ones would share CUDA and compiled threads, and use pipes because containers have little shared memory.
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
"""Episodes that each loader has ready or in transit, in addition to the one being loaded."""
_POLL_S = 0.2
"""Time to wait for an episode before checking for a stop request."""
_GRACE_S = 2.0
"""Time to wait for a stop request after a loader died, as a signal may reach loader and trainer together."""


class LoaderError(UserError):
    """Raised when a loader process has died."""


class Loaders:
    """Loads the episodes `numbers` of a source in order; with 0 `workers`, in this process."""

    def __init__(self, source: EpisodeSource, numbers: range, workers: int) -> None:
        self._source, self._numbers, self._next = source, numbers, 0
        self._loaders = [_Loader(source, numbers[first::workers]) for first in range(workers)]

    def take(self, should_stop: Callable[[], bool]) -> LoadedEpisode | None:
        """Return the next episode, or None if a stop is requested before it arrives.

        Raises `LoaderError` if a loader has died, and re-raises errors from loading the episode.
        """
        if should_stop():
            return None
        episode: LoadedEpisode | None
        if not self._loaders:
            episode = self._source[self._numbers[self._next]]
        else:
            episode = self._loaders[self._next % len(self._loaders)].take(should_stop)
        if episode is not None:
            self._next += 1
        return episode

    def close(self) -> None:
        """Kill the processes."""
        for loader in self._loaders:
            loader.close()


class _Loader:
    """One loader process and the trainer's end of its pipe."""

    def __init__(self, source: EpisodeSource, numbers: range) -> None:
        context = get_context("spawn")
        self._pipe, child_pipe = context.Pipe(duplex=False)
        self._process = context.Process(target=_load, args=(source, numbers, child_pipe), daemon=True)
        self._process.start()
        child_pipe.close()  # else the pipe would stay open after the process has died

    def take(self, should_stop: Callable[[], bool]) -> LoadedEpisode | None:
        while not self._pipe.poll(_POLL_S):
            if should_stop():
                return None
        try:
            episode, error = self._pipe.recv()
        except (EOFError, OSError) as ended:
            self._explain(should_stop, ended)
            return None
        if error is not None:
            raise error
        loaded: LoadedEpisode = episode
        return loaded

    def _explain(self, should_stop: Callable[[], bool], ended: Exception) -> None:
        """Raise `LoaderError` with the cause of death, unless the whole run is stopping."""
        self._process.join(_GRACE_S)
        deadline = time.monotonic() + _GRACE_S
        while time.monotonic() < deadline:
            if should_stop():
                return
            time.sleep(0.05)
        code = self._process.exitcode
        cause = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        raise LoaderError(
            f"a process that loads episodes died ({cause}: killed, or out of memory?); run the same command "
            "again to resume, with fewer --workers if memory is short"
        ) from ended

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _load(source: EpisodeSource, numbers: range, pipe: Connection) -> None:
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
    """Send what is ready until an error has been sent or the trainer is gone."""
    error = None
    with suppress(BrokenPipeError):
        while error is None:
            item = ready.get()
            error = item[1]
            pipe.send(item)


def _portable(error: Exception) -> Exception:
    """Return the error with its traceback as a note, or as text if it cannot be pickled."""
    text = "".join(traceback.format_exception(error))
    error.add_note(f"In a process that loads episodes:\n{text}")
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an error's class may raise anything when pickled
        return RuntimeError(text)
    return error
