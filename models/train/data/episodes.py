"""Sources of training data: episodes by number, from a world, a data set or a folder of latents.

Every source is an endless torch data set (finite ones repeat, each time in a new order), so that loaders can
read ahead. `values` are uint8 frames (T, H, W, 3), or latents (T, tokens, C) of all levels, finest first.
Each source imports only what it needs: a world needs no video decoder and no tables.
"""

import hashlib
import time
from pathlib import Path

import torch
from torch.utils.data import Dataset

from loopcraft.core.errors import UserError
from loopcraft.core.seeding import generator
from loopcraft.core.urls import AnyPath, UrlPath
from loopcraft.dataset.layout import INDEX
from loopcraft.walks.actions import actions_of
from models.latents.store import MANIFEST, PUBLISHED_INDEX, Latents
from models.train.data.played import LoadedEpisode, WorldEpisodes


class StoredEpisodes(Dataset[LoadedEpisode]):
    """Base class of stored sources: repeats the keys endlessly, in a new order each time."""

    def __init__(
        self, root: AnyPath, num_frames: dict[str, int], *, identity: str, min_frames: int, seed: int
    ) -> None:
        self._keys = [key for key, frames in sorted(num_frames.items()) if frames >= min_frames]
        if not self._keys:
            longest = max(num_frames.values(), default=0)
            raise UserError(
                f"{root}: its longest episode has {longest} frames, but a sample needs {min_frames}; "
                "give longer episodes, or choose a preset with a smaller budget"
            )
        self._seed = seed
        self.max_frames = max(num_frames[key] for key in self._keys)
        self.identity = identity

    def key(self, index: int) -> str:
        """Return the key of episode number `index`."""
        epoch, position = divmod(index, len(self._keys))
        order = generator(self._seed, "order of episodes", epoch).permutation(len(self._keys))
        return self._keys[int(order[position])]


class DatasetEpisodes(StoredEpisodes):
    """The episodes of a data set on disk or, with hf://ORG/NAME, on the Hub."""

    def __init__(self, root: str | Path, *, min_frames: int, seed: int) -> None:
        from loopcraft.dataset import open_dataset  # imports tables and video, which a world does not need

        self._dataset = open_dataset(root)
        index = {key: self._dataset.num_frames(key) for key in self._dataset.keys}
        super().__init__(
            self._dataset.root, index, identity=self._dataset.fingerprint, min_frames=min_frames, seed=seed
        )
        height, width = self._dataset.frames(self._keys[0], 0, 1).shape[1:3]
        if height != width:
            raise UserError(f"{root}: frames are {height} x {width}; give a data set with square frames")
        self.frame_size = int(height)

    def __getitem__(self, index: int) -> LoadedEpisode:
        begin = time.perf_counter()
        key = self.key(index)
        frames, actions = self._dataset.frames(key), self._dataset.actions(key)
        return LoadedEpisode(frames, actions, time.perf_counter() - begin)


class LatentEpisodes(StoredEpisodes):
    """The videos of a folder of latents."""

    def __init__(self, latents: Latents, *, min_frames: int, seed: int) -> None:
        # The identity includes latents.json, which identifies the frames and the autoencoder.
        names = [name for name in (INDEX, PUBLISHED_INDEX, MANIFEST) if (latents.root / name).is_file()]
        content = b"".join((latents.root / name).read_bytes() for name in names)
        super().__init__(
            latents.root,
            latents.num_frames,
            identity=hashlib.sha256(content).hexdigest(),
            min_frames=min_frames,
            seed=seed,
        )
        self._latents = latents

    def __getitem__(self, index: int) -> LoadedEpisode:
        begin = time.perf_counter()
        levels, states = self._latents.read(self.key(index))
        values = torch.cat(levels, dim=1).float().numpy()
        actions = actions_of(states, f"{self._latents.root}: {self.key(index)}")
        return LoadedEpisode(values, actions, time.perf_counter() - begin)


EpisodeSource = WorldEpisodes | DatasetEpisodes | LatentEpisodes


def holds_latents(root: AnyPath) -> bool:
    """Return whether a folder holds latents, not frames; at an address, only our own format counts."""
    if isinstance(root, UrlPath):
        return (root / MANIFEST).is_file()
    return (root / MANIFEST).is_file() or next(root.rglob("*.pyramid"), None) is not None
