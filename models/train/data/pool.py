"""The pool of episodes that a process draws samples from, refilled by loader processes."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from models.train.data.episodes import EpisodeSource
from models.train.data.loaders import Loaders
from models.train.data.played import LoadedEpisode
from models.train.data.transfer import send


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """The episodes that a process draws its samples from.

    The pool slides over the data: at step k it holds episode int(k * fresh) and the next `episodes` - 1. The
    data of a step thus depends only on its number, and a resumed run refills the pool.
    """

    episodes: int = 64
    fresh: float = 1.0
    """New episodes per step; an episode serves batch_size / processes / fresh samples on average."""

    def first_episode(self, step: int) -> int:
        """Return the oldest episode in the pool at `step`."""
        return int(step * self.fresh)


Convert = Callable[[Shaped[Tensor, "T *value"]], Shaped[Tensor, "T *stored"]]
"""Converts an episode's values from the source to those that the pool stores (latents, on a device)."""
ENDLESS = 2**40


class EpisodePool:
    """A ring buffer of episodes; process r of n has the episodes r, r + n, r + 2n, ..."""

    def __init__(
        self,
        source: EpisodeSource,
        config: PoolConfig,
        *,
        convert: Convert,
        first_step: int,
        workers: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.config, self._convert = config, convert
        self._max_frames = source.max_frames
        self._workers = max(workers, 1)
        self.next_episode = config.first_episode(first_step)
        self.values = torch.empty(0)  # (episodes, T, *stored), allocated when the first episode arrives
        self.actions = torch.zeros(config.episodes, source.max_frames, dtype=torch.int64)
        self.lengths = np.zeros(config.episodes, np.int64)
        self.seconds_waited = 0.0
        self._load_seconds: list[float] = []
        numbers = range(self.next_episode * processes + rank, ENDLESS, processes)
        self._arriving = Loaders(source, numbers, workers)

    def advance(self, step: int, should_stop: Callable[[], bool]) -> None:
        """Load the episodes that `step` draws from, replacing the oldest, unless a stop is requested.

        Raises `LoaderError` if a loader has died, and re-raises errors from loading an episode.
        """
        begin = time.perf_counter()
        while self.next_episode < self.config.first_episode(step) + self.config.episodes:
            episode = self._arriving.take(should_stop)
            if episode is None:
                break
            self._take_in(episode, self.next_episode % self.config.episodes)
            self.next_episode += 1
        self.seconds_waited += time.perf_counter() - begin

    def close(self) -> None:
        """Kill the loader processes."""
        self._arriving.close()

    @property
    def episodes_per_second(self) -> float:
        """How fast the workers would load if they never had to wait."""
        return self._workers / float(np.mean(self._load_seconds[-100:]))

    def _take_in(self, episode: LoadedEpisode, slot: int) -> None:
        values = self._convert(torch.from_numpy(episode.values))
        if not self.values.numel():
            self.values = values.new_zeros(self.config.episodes, self._max_frames, *values.shape[1:])
            self.actions = self.actions.to(values.device)
        self.values[slot, : len(values)] = values
        self.actions[slot, : len(values)] = send(torch.from_numpy(episode.actions), values.device)
        self.lengths[slot] = len(values)
        self._load_seconds.append(episode.seconds)

    def draw(
        self, rng: np.random.Generator, count: int, clip_length: int
    ) -> tuple[Int64[Tensor, " count"], Int64[Tensor, " count"]]:
        """Draw slots and first frames of clips, uniformly over all clips in the pool."""
        ends = np.cumsum(np.maximum(self.lengths - clip_length + 1, 0))
        clip = rng.integers(ends[-1], size=count)
        slot = np.searchsorted(ends, clip, side="right")
        start = clip - np.concatenate([[0], ends])[slot]
        return torch.from_numpy(slot), torch.from_numpy(start)
