"""Synthetic models with known memory, steering and consistency, which memory scores must tell apart.

Each takes the true video (or plays the world again) and spoils it in one stated way. Oracles take what they
do not know from the video two positions further on, which no reference model uses.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, cast

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from benchmark.contract.data import Episodes, MaskedEpisodes, to_tensor
from benchmark.contract.protocol import EvaluationProtocol
from loopcraft.core.errors import UserError
from loopcraft.core.seeding import generator
from loopcraft.dataset.mask_files import DTYPES, spread
from loopcraft.worlds.base import World

CHUNK = 16
"""Frames per chunk."""
Video = UInt8[np.ndarray, "T H W 3"]


class KnownModel(ABC):
    """Base class: looks videos up by key and yields them in chunks."""

    frame_shape: ClassVar[None] = None
    name: str

    @abstractmethod
    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """Return the frames of a video's horizon."""

    def play(self, episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]) -> Iterator[Tensor]:
        """Yield the horizons of several videos in chunks; `episodes` must be `MaskedEpisodes`."""
        masked = cast(MaskedEpisodes, episodes)
        whole = to_tensor(np.stack([self.video(masked, protocol, key) for key in keys]))
        yield from torch.split(whole, CHUNK, dim=1)


class Oracle(KnownModel):
    """Knows the sky, what is in sight, and what the context last showed at most `oldest` frames ago."""

    def __init__(self, oldest: int) -> None:
        self.name = f"oracle-{oldest}"
        self._oldest = oldest

    def oldest(self, key: str) -> float:
        """Return the largest age, in frames, that it remembers in a video."""
        return self._oldest

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """Return the true frames where it knows them, another video's elsewhere.

        Raises `UserError` for a video without complete recall masks.
        """
        true = _horizon(episodes, protocol, key)
        masks = episodes.masks(key)
        if masks is None or set(masks) != set(DTYPES) or episodes.num_context != protocol.context:
            raise UserError(
                f"{key}: {self.name} needs complete recall masks for {protocol.context} frames of context; "
                "make them with python -m loopcraft.masks"
            )
        seen, age, sky = (
            masks[name][protocol.context : protocol.num_frames] for name in ("seen", "age", "sky")
        )
        height, width = true.shape[1:3]
        knows = spread((seen & (age <= self.oldest(key))) | sky, height, width, key)
        return np.where(knows[..., None], true, _horizon(episodes, protocol, _other_video(episodes, key)))


class Forgetter(Oracle):
    """Forgets each video after a random time, with a median of `half_life` frames."""

    def __init__(self, half_life: int) -> None:
        self.name = f"forgets-{half_life}"
        self._half_life = half_life

    def oldest(self, key: str) -> float:
        """Return an exponentially distributed age with that half-life, determined by the key alone."""
        return float(-self._half_life * np.log2(1.0 - generator(0, "known memory", *key.encode()).random()))


class Drifter(KnownModel):
    """Remembers everything, but lets the picture drift sideways by one pixel per frame."""

    name = "drifts"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """Return the true frames, with frame n rolled n + 1 pixels to the left, as if it had turned right."""
        true = _horizon(episodes, protocol, key)
        return np.stack([np.roll(frame, -(index + 1), axis=1) for index, frame in enumerate(true)])


class Repainter(KnownModel):
    """Consistent but wrong, in the true world: every surface has other colours."""

    name = "repaints"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """Return the true frames with the channels (R, G, B) replaced by (G, B, R)."""
        return np.roll(_horizon(episodes, protocol, key), -1, axis=3)


class Average(KnownModel):
    """Knows only the mean colour of its context at every pixel."""

    name = "average"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """Return the mean of the context, repeated."""
        mean = episodes.frames(key, 0, protocol.context).mean(axis=0).round().astype(np.uint8)
        return np.repeat(mean[None], protocol.horizon, axis=0)


class Player(KnownModel):
    """Plays a world; `seeds` are the seeds of the data set's episodes."""

    def __init__(self, world: World, seeds: Mapping[str, int]) -> None:
        self._world, self._seeds = world, seeds

    def play_horizon(self, seed: int, actions: np.ndarray, protocol: EvaluationProtocol) -> Video:
        """Play the world and return the frames of the horizon."""
        frames = [seen.frame for seen in self._world.play(seed, actions)]
        return np.stack(frames[protocol.context : protocol.num_frames])


class OtherWorld(Player):
    """Consistent but wrong: follows the actions, in another episode's world."""

    name = "other-world"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """Play the video's actions in the world of another video."""
        actions = episodes.actions(key)[: protocol.num_frames]
        return self.play_horizon(self._seeds[_other_video(episodes, key)], actions, protocol)


class Ignorer(Player):
    """Remembers the world but follows another video's actions."""

    name = "ignores-actions"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """Play the video's world with its own actions in the context, and another video's in the horizon."""
        own, other = (episodes.actions(name) for name in (key, _other_video(episodes, key)))
        actions = np.concatenate([own[: protocol.context], other[protocol.context : protocol.num_frames]])
        return self.play_horizon(self._seeds[key], actions, protocol)


def known_models(world: World, seeds: Mapping[str, int]) -> tuple[KnownModel, ...]:
    """Return all models; `seeds` are the seeds of the data set's episodes in `world`."""
    oracles = (Oracle(16), Oracle(64), Oracle(256))
    players = (OtherWorld(world, seeds), Ignorer(world, seeds))
    return (*oracles, Forgetter(96), Drifter(), Repainter(), *players, Average())


def _horizon(episodes: Episodes, protocol: EvaluationProtocol, key: str) -> Video:
    return episodes.frames(key, protocol.context, protocol.num_frames)


def _other_video(episodes: Episodes, key: str) -> str:
    """Return the key two positions further on in sorted order, cyclically."""
    order = sorted(episodes.keys)
    if len(order) < 3:
        raise UserError("models with known memory need a data set of at least three videos")
    return order[(order.index(key) + 2) % len(order)]
