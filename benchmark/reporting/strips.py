"""Frame strips: a row for the truth and for every model, a column for each of a few generated frames.

If the agent returns often enough, the columns are returns, and the first row shows the context frame of the
nearest pose: what a model could remember.
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
    """Write the strip of `key` as a PNG; `predictions` maps a model's label to its generated video."""
    poses = dataset.states(key)[: protocol.num_frames, 1:]
    returns = choose_returns(np.flatnonzero(revisit_ages(poses, protocol.context)) + 1)
    chosen = returns or choose_frames(protocol)
    rows = []
    if returns:
        context = dataset.frames(key, 0, protocol.context)
        nearest = nearest_context_frames(poses, protocol.context)
        shown = [context[nearest[frame - 1]] for frame in chosen]
        rows = [Row(label="nearest context frame", frames=shown)]
    truth = dataset.iterate_frames(key, protocol.context, protocol.num_frames)
    rows.append(Row(label="truth", frames=_pick(truth, chosen)))
    for label, video in predictions.items():
        rows.append(Row(label=label, frames=_pick(iterate_frames(video), chosen)))
    draw_rows(rows, [f"frame {frame}" for frame in chosen], tile=TILE).save(path)


def choose_frames(protocol: EvaluationProtocol) -> list[int]:
    """Return up to `COLUMNS` generated frames, counted from 1, geometrically spaced from first to last."""
    frames = np.geomspace(1, protocol.horizon, COLUMNS).round().astype(int)
    return sorted({int(frame) for frame in frames})


def choose_returns(returns: Int64[np.ndarray, " returns"]) -> list[int]:
    """Return `COLUMNS` of the returns, evenly spread; none if there are fewer."""
    if len(returns) < COLUMNS:
        return []
    indices = np.linspace(0, len(returns) - 1, COLUMNS).round().astype(int)
    return [int(frame) for frame in returns[indices]]


def _pick(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], chosen: Sequence[int]
) -> list[UInt8[np.ndarray, "H W 3"]]:
    return [frame for number, frame in enumerate(frames, start=1) if number in chosen]
