"""A still to look at: a row for the truth and for every model, a column for each of some generated frames.

Where the agent comes back often enough, the frames are returns, and the first row is what the context showed
from there: what a model could remember.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image, ImageDraw, ImageFont

from benchmark.contract.protocol import EvaluationProtocol
from loopcraft.core.files import whole_file
from loopcraft.dataset import LoopcraftDataset
from loopcraft.video.h264 import iterate_frames
from loopcraft.walks.revisits import nearest_context_frames, revisit_ages

COLUMNS = 8
_TILE = 128
_GAP = 4
_LABEL = 20


def write_strip(
    path: Path,
    dataset: LoopcraftDataset,
    key: str,
    protocol: EvaluationProtocol,
    predictions: Mapping[str, Path],
) -> None:
    """Write the still of `key` as a PNG; `predictions` maps a model's label to its generated video."""
    poses = dataset.states(key)[: protocol.num_frames, 1:]
    returns = chosen_returns(np.flatnonzero(revisit_ages(poses, protocol.context)) + 1)
    chosen = returns or chosen_frames(protocol)
    rows: dict[str, list[UInt8[np.ndarray, "H W 3"]]] = {}
    if returns:
        context = dataset.frames(key, 0, protocol.context)
        nearest = nearest_context_frames(poses, protocol.context)
        rows["what the context showed from there"] = [context[nearest[frame - 1]] for frame in chosen]
    rows["truth"] = _pick(dataset.iterate_frames(key, protocol.context, protocol.num_frames), chosen)
    rows |= {label: _pick(iterate_frames(video), chosen) for label, video in predictions.items()}
    size = (COLUMNS * (_TILE + _GAP) - _GAP, _LABEL + len(rows) * (_TILE + _LABEL))
    sheet = Image.new("RGB", size, "white")
    drawing, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, frame in enumerate(chosen):
        drawing.text((column * (_TILE + _GAP), 2), f"frame {frame}", font=font, fill="#6b7280")
    for row, (label, frames) in enumerate(rows.items()):
        top = _LABEL + row * (_TILE + _LABEL)
        for column, picture in enumerate(frames):
            sheet.paste(_tile(picture), (column * (_TILE + _GAP), top))
        drawing.text((0, top + _TILE + 2), label, font=font, fill="#22262b")
    with whole_file(path) as temporary:
        sheet.save(temporary, format="PNG")


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


def _tile(frame: UInt8[np.ndarray, "H W 3"]) -> Image.Image:
    return Image.fromarray(cv2.resize(frame, (_TILE, _TILE), interpolation=cv2.INTER_AREA))
