"""Synthetic models whose memory, steering and consistency are known: what scores of memory must tell apart.

They are playbacks: each is shown the true video (or plays the world again) and spoils it in one stated way.
What an oracle does not know it shows from the video two further on, so that no reference has the same.
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
"""Frames handed out at a time."""
Video = UInt8[np.ndarray, "T H W 3"]


class KnownModel(ABC):
    """What they share: frames by key, handed out in chunks."""

    frame_shape: ClassVar[None] = None
    name: str

    @abstractmethod
    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """The frames of a video's horizon."""

    def play(self, episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]) -> Iterator[Tensor]:
        """The same of several videos, chunk by chunk; `episodes` are those of a data set, masks and all."""
        masked = cast(MaskedEpisodes, episodes)
        whole = to_tensor(np.stack([self.video(masked, protocol, key) for key in keys]))
        yield from torch.split(whole, CHUNK, dim=1)


class Oracle(KnownModel):
    """Remembers what the context showed for `oldest` frames; sees what is in sight, and the sky."""

    def __init__(self, oldest: int) -> None:
        self.name = f"oracle-{oldest}"
        self._oldest = oldest

    def oldest(self, key: str) -> float:
        """How many frames ago it may have been."""
        return self._oldest

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """The true frames where it knows them, another video's elsewhere.

        Raises `UserError` for a video without whole recall masks.
        """
        true = _horizon(episodes, protocol, key)
        masks = episodes.masks(key)
        if masks is None or set(masks) != set(DTYPES) or episodes.num_context != protocol.context:
            raise UserError(
                f"{key}: {self.name} needs whole recall masks for {protocol.context} frames of context; make "
                "them with python -m loopcraft.masks"
            )
        seen, age, sky = (
            masks[name][protocol.context : protocol.num_frames] for name in ("seen", "age", "sky")
        )
        height, width = true.shape[1:3]
        knows = spread((seen & (age <= self.oldest(key))) | sky, height, width, key)
        return np.where(knows[..., None], true, _horizon(episodes, protocol, _further_on(episodes, key)))


class Forgetter(Oracle):
    """Forgets everything at a random time, another a video: half of them by `half_life` frames."""

    def __init__(self, half_life: int) -> None:
        self.name = f"forgets-{half_life}"
        self._half_life = half_life

    def oldest(self, key: str) -> float:
        """Exponentially distributed with that half-life, by the video's key alone."""
        return float(-self._half_life * np.log2(1.0 - generator(0, "known memory", *key.encode()).random()))


class Drifter(KnownModel):
    """Remembers everything, and lets the picture slide to the side by a pixel a frame."""

    name = "drifts"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """The true frames, frame n rolled by n + 1 pixels to the left: as if it had turned right."""
        true = _horizon(episodes, protocol, key)
        return np.stack([np.roll(frame, -(place + 1), axis=1) for place, frame in enumerate(true)])


class Repainter(KnownModel):
    """Consistent but wrong, in the true world: every surface has the colours of another."""

    name = "repaints"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """The true frames, green for red, blue for green and red for blue."""
        return np.roll(_horizon(episodes, protocol, key), -1, axis=3)


class Average(KnownModel):
    """Knows the colours of its context and nothing else: their mean at every place of the picture."""

    name = "average"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """One picture for ever."""
        mean = episodes.frames(key, 0, protocol.context).mean(axis=0).round().astype(np.uint8)
        return np.repeat(mean[None], protocol.horizon, axis=0)


class Player(KnownModel):
    """Plays a world; `seeds` are those of the data set's episodes."""

    def __init__(self, world: World, seeds: Mapping[str, int]) -> None:
        self._world, self._seeds = world, seeds

    def played(self, seed: int, actions: np.ndarray, protocol: EvaluationProtocol) -> Video:
        """The frames of the horizon."""
        frames = [seen.frame for seen in self._world.play(seed, actions)]
        return np.stack(frames[protocol.context : protocol.num_frames])


class OtherWorld(Player):
    """Consistent but wrong: it goes where the actions say, in another episode's world."""

    name = "other-world"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """The same actions in the world of the video two further on."""
        actions = episodes.actions(key)[: protocol.num_frames]
        return self.played(self._seeds[_further_on(episodes, key)], actions, protocol)


class Ignorer(Player):
    """Remembers the world and ignores the actions: it goes as another video's actions say."""

    name = "ignores-actions"

    def video(self, episodes: MaskedEpisodes, protocol: EvaluationProtocol, key: str) -> Video:
        """The right world up to the horizon, then the walk of the video two further on."""
        own, other = (episodes.actions(name) for name in (key, _further_on(episodes, key)))
        actions = np.concatenate([own[: protocol.context], other[protocol.context : protocol.num_frames]])
        return self.played(self._seeds[key], actions, protocol)


def known_models(world: World, seeds: Mapping[str, int]) -> tuple[KnownModel, ...]:
    """All of them; with a world, and the seeds of the data set's episodes in it."""
    return (
        Oracle(16),
        Oracle(64),
        Oracle(256),
        Forgetter(96),
        Drifter(),
        Repainter(),
        OtherWorld(world, seeds),
        Ignorer(world, seeds),
        Average(),
    )


def _horizon(episodes: Episodes, protocol: EvaluationProtocol, key: str) -> Video:
    return episodes.frames(key, protocol.context, protocol.num_frames)


def _further_on(episodes: Episodes, key: str) -> str:
    """The video two further on, in key order."""
    order = sorted(episodes.keys)
    if len(order) < 3:
        raise UserError("models of known memory need a data set of at least three videos")
    return order[(order.index(key) + 2) % len(order)]
