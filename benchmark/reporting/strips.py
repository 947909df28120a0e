"""A still to look at: a row for the truth and for every model, a column for each of some generated frames.

Where the agent comes back often enough, the frames are returns, and the first row is what the context showed
from there: what a model could remember.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from benchmark.contract.protocol import EvaluationProtocol
from loopcraft.core.urls import AnyPath
from loopcraft.dataset import LoopcraftDataset
from loopcraft.drawing.grid import Row, draw_rows
from loopcraft.video.h264 import iterate_frames
from loopcraft.walks.revisits import nearest_context_frames, revisit_ages

COLUMNS = 8
TILE = 128


def write_strip(
    path: Path,
    dataset: LoopcraftDataset,
    key: str,
    protocol: EvaluationProtocol,
    predictions: Mapping[str, AnyPath],
) -> None:
    """Write the still of `key` as a PNG; `predictions` maps a model's label to its generated video."""
    poses = dataset.states(key)[: protocol.num_frames, 1:]
    returns = chosen_returns(np.flatnonzero(revisit_ages(poses, protocol.context)) + 1)
    chosen = returns or chosen_frames(protocol)
    rows = []
    if returns:
        context = dataset.frames(key, 0, protocol.context)
        nearest = nearest_context_frames(poses, protocol.context)
        shown = [context[nearest[frame - 1]] for frame in chosen]
        rows = [Row(label="what the context showed from there", frames=shown)]
    truth = dataset.iterate_frames(key, protocol.context, protocol.num_frames)
    rows.append(Row(label="truth", frames=_pick(truth, chosen)))
    for label, video in predictions.items():
        rows.append(Row(label=label, frames=_pick(iterate_frames(video), chosen)))
    draw_rows(rows, [f"frame {frame}" for frame in chosen], tile=TILE).save(path)


def chosen_frames(protocol: EvaluationProtocol) -> list[int]:
    """Generated frames, counted from 1, at distances that grow from the first to the last."""
    frames = np.geomspace(1, protocol.horizon, COLUMNS).round().astype(int)
    return sorted({int(frame) for frame in frames})


def chosen_returns(returns: Int64[np.ndarray, " returns"]) -> list[int]:
    """As many of the returns, spread evenly over them; none where there are too few."""
    if len(returns) < COLUMNS:
        return []
    places = np.linspace(0, len(returns) - 1, COLUMNS).round().astype(int)
    return [int(frame) for frame in returns[places]]


def _pick(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], chosen: Sequence[int]
) -> list[UInt8[np.ndarray, "H W 3"]]:
    return [frame for count, frame in enumerate(frames, start=1) if count in chosen]
