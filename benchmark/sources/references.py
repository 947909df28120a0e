"""References for every table: the true frames, another video's frames, and a still picture."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from jaxtyping import Int64, UInt8
from torch import Tensor

from benchmark.contract.data import Episodes, load_frames, to_tensor
from benchmark.contract.protocol import EvaluationProtocol
from loopcraft.core.errors import UserError

CHUNK = 16
"""Frames per chunk of a reference."""


class GroundTruth:
    """Upper reference: the true frames themselves."""

    name = "ground-truth"
    role: ClassVar = "bound"
    frame_shape: ClassVar[None] = None

    def play(self, episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]) -> Iterator[Tensor]:
        """Yield the horizon of each video."""
        return _horizon(episodes, protocol, keys)


class OtherVideo:
    """Lower reference: the next video of the set, in key order; a model that drifts can fall below it."""

    name = "other-video"
    role: ClassVar = "bound"
    frame_shape: ClassVar[None] = None

    def play(self, episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]) -> Iterator[Tensor]:
        """Yield the horizon of each video's neighbour; the last video's neighbour is the first.

        Raises `UserError` for a data set of one video.
        """
        order = sorted(episodes.keys)
        if len(order) < 2:
            raise UserError(
                "other-video needs a data set of at least two videos: generate more with --num-episodes"
            )
        neighbours = dict(zip(order, [*order[1:], order[0]], strict=True))
        return _horizon(episodes, protocol, [neighbours[key] for key in keys])


class CopyLast:
    """Baseline: the last frame of the context, repeated."""

    name = "copy-last"
    role: ClassVar = "bound"
    frame_shape: ClassVar[None] = None
    max_context = 1

    def rollout(
        self,
        context: UInt8[Tensor, "B C 3 H W"],
        actions: Int64[Tensor, "B C+horizon"],
        *,
        seeds: Sequence[int],
    ) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
        """Repeat the newest frame."""
        horizon = actions.shape[1] - context.shape[1]
        for start in range(0, horizon, CHUNK):
            yield context[:, -1:].expand(-1, min(CHUNK, horizon - start), -1, -1, -1)


def _horizon(episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]) -> Iterator[Tensor]:
    for start in range(protocol.context, protocol.num_frames, CHUNK):
        stop = min(start + CHUNK, protocol.num_frames)
        yield to_tensor(load_frames(episodes, keys, start, stop))
