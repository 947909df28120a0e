"""PyTorch data sets: random windows for training, whole episodes for evaluation.

An item is a dictionary that torch's default collation can batch: `frames` uint8 (T, 3, H, W), `actions` int64
(T,), `states` float32 (T, 6), `key` and `start`. Both classes work with any number of DataLoader workers,
forked or spawned: an item depends only on its index (and the seed and epoch).
"""

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from loopcraft.core.errors import UserError
from loopcraft.core.seeding import generator
from loopcraft.dataset.reader import LoopcraftDataset
from loopcraft.walks.actions import actions_of

Item = dict[str, Any]


class RandomWindows(Dataset[Item]):
    """Random windows of `num_frames` frames, uniform over all windows of the data set.

    An epoch has `length` items (default: the number of episodes). `set_epoch` selects other windows for the
    next epoch, in running workers too.
    """

    def __init__(
        self, dataset: LoopcraftDataset, *, num_frames: int, seed: int = 0, length: int | None = None
    ) -> None:
        self._dataset = dataset
        self._num_frames = num_frames
        self._seed = seed
        counts = [max(0, dataset.num_frames(key) - num_frames + 1) for key in dataset.keys]
        self._ends = np.cumsum(counts)  # number of windows up to and including each episode
        if num_frames < 1 or self._ends[-1] == 0:
            raise UserError(
                f"{dataset.root}: no episode has a window of {num_frames} frames; choose another length"
            )
        self._length = len(dataset.keys) if length is None else length
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, on which the windows depend."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < self._length:
            raise IndexError(index)
        rng = generator(self._seed, "random windows", int(self._epoch), index)
        window = rng.integers(self._ends[-1])
        episode = int(np.searchsorted(self._ends, window, side="right"))
        first = self._ends[episode - 1] if episode else 0
        return _item(self._dataset, self._dataset.keys[episode], int(window - first), self._num_frames)


class Episodes(Dataset[Item]):
    """All episodes, each whole, in the order of the keys."""

    def __init__(self, dataset: LoopcraftDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset.keys)

    def __getitem__(self, index: int) -> Item:
        key = self._dataset.keys[index]
        return _item(self._dataset, key, 0, self._dataset.num_frames(key))


def _item(dataset: LoopcraftDataset, key: str, start: int, num_frames: int) -> Item:
    stop = start + num_frames
    states = dataset.states(key)[start:stop]
    return {
        "frames": torch.from_numpy(dataset.frames(key, start, stop)).permute(0, 3, 1, 2),  # (T, 3, H, W)
        "actions": torch.from_numpy(actions_of(states, dataset.states_path(key))),
        "states": torch.from_numpy(states),
        "key": key,
        "start": start,
    }
