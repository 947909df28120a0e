"""A still to look at: a row for the truth and for every model, a column for each of some generated frames."""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from benchmark.protocol import EvaluationProtocol
from loopcraft.dataset import LoopcraftDataset
from loopcraft.storage import whole_file
from loopcraft.video import iterate_frames

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
    chosen = chosen_frames(protocol)
    truth = dataset.iterate_frames(key, protocol.context, protocol.num_frames)
    rows = {"truth": truth, **{label: iterate_frames(video) for label, video in predictions.items()}}
    size = (COLUMNS * (_TILE + _GAP) - _GAP, _LABEL + len(rows) * (_TILE + _LABEL))
    sheet = Image.new("RGB", size, "white")
    drawing, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, frame in enumerate(chosen):
        drawing.text((column * (_TILE + _GAP), 2), f"frame {frame}", font=font, fill="#6b7280")
    for row, (label, frames) in enumerate(rows.items()):
        top = _LABEL + row * (_TILE + _LABEL)
        picked = [picture for count, picture in enumerate(frames, start=1) if count in chosen]
        for column, picture in enumerate(picked):
            sheet.paste(_tile(picture), (column * (_TILE + _GAP), top))
        drawing.text((0, top + _TILE + 2), label, font=font, fill="#22262b")
    with whole_file(path) as temporary:
        sheet.save(temporary, format="PNG")


def chosen_frames(protocol: EvaluationProtocol) -> list[int]:
    """Generated frames, counted from 1, at distances that grow from the first to the last."""
    frames = np.geomspace(1, protocol.horizon, COLUMNS).round().astype(int)
    return sorted({int(frame) for frame in frames})


def _tile(frame: UInt8[np.ndarray, "H W 3"]) -> Image.Image:
    return Image.fromarray(cv2.resize(frame, (_TILE, _TILE), interpolation=cv2.INTER_AREA))
