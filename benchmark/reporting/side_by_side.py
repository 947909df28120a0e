"""The video of an example: the truth, every model and the walk in one picture, frame by frame.

During the context all panels show the true frames; from the first generated frame on each shows its own.
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
    places = dataset.states(key)[: protocol.num_frames, [1, 3]]
    board = Board(["truth", *predictions], places, protocol.context)
    truth = dataset.iterate_frames(key, start, protocol.num_frames)
    context = list(dataset.iterate_frames(key, start, protocol.context))
    generated = [chain(context, iterate_frames(video)) for video in predictions.values()]
    panels = enumerate(zip(truth, *generated, strict=True), start)
    write_video(path, (board.draw(index, frames, window_of(index, protocol)) for index, frames in panels))


def window_of(index: int, protocol: EvaluationProtocol) -> str:
    """The window in which frame `index` of the episode is scored; empty for the context's."""
    generated = index - protocol.context + 1
    return next((w.name for w in protocol.windows if w.first <= generated <= w.last), "")
