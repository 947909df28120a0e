"""Example videos with the truth, every model and the walk side by side.

All panels show the true frames during the context; after it, each model's panel shows its generated frames.
"""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from benchmark.contract.protocol import EvaluationProtocol
from loopcraft.core.urls import AnyPath
from loopcraft.dataset import LoopcraftDataset
from loopcraft.video.h264 import iterate_frames
from loopcraft.views.side_by_side import Board, write_video


def write_side_by_side(
    path: Path,
    dataset: LoopcraftDataset,
    key: str,
    protocol: EvaluationProtocol,
    predictions: Mapping[str, AnyPath],
    *,
    lead_in: int,
) -> None:
    """Write the video of `key` as an MP4: the last `lead_in` frames of the context, then the horizon.

    `predictions` maps a model's label to the video of its generated frames.
    """
    start = protocol.context - min(lead_in, protocol.context)
    positions = dataset.states(key)[: protocol.num_frames, [1, 3]]
    board = Board(["truth", *predictions], positions, protocol.context)
    truth = dataset.iterate_frames(key, start, protocol.num_frames)
    context = list(dataset.iterate_frames(key, start, protocol.context))
    generated = [chain(context, iterate_frames(video)) for video in predictions.values()]
    panels = enumerate(zip(truth, *generated, strict=True), start)
    write_video(path, (board.draw(index, frames, _window_name(index, protocol)) for index, frames in panels))


def _window_name(index: int, protocol: EvaluationProtocol) -> str:
    """Return the window that scores frame `index` of the episode; empty if none does, as in the context."""
    generated = index - protocol.context + 1
    return next((w.name for w in protocol.windows if w.first <= generated <= w.last), "")
