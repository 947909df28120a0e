"""A contact sheet: frames of one episode at even distances, numbered, the context marked."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from loopcraft.maps import CONTEXT_COLOR, HORIZON_COLOR
from loopcraft.storage import whole_file

COLUMNS = 8
ROWS = 6
_TILE = 160
_GAP = 8
_LABEL = 20
_MARGIN = 20
_HEADER = 44
_INK = "#22262b"
_QUIET = "#6b7280"


def write_sheet(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    num_frames: int,
    num_context: int,
    *,
    title: str,
) -> None:
    """Write the sheet of an episode's `frames`, all of them in order, as a PNG."""
    count = min(num_frames, COLUMNS * ROWS)
    chosen = np.linspace(0, num_frames - 1, count).round().astype(int).tolist()
    rows = -(-count // COLUMNS)
    width = 2 * _MARGIN + COLUMNS * (_TILE + _GAP) - _GAP
    height = 2 * _MARGIN + _HEADER + rows * (_TILE + _LABEL + _GAP) - _GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    _draw_header(draw, title, num_context, num_frames, width)
    places = {frame: place for place, frame in enumerate(chosen)}
    for index, frame in enumerate(frames):
        if index in places:
            row, column = divmod(places[index], COLUMNS)
            left = _MARGIN + column * (_TILE + _GAP)
            top = _MARGIN + _HEADER + row * (_TILE + _LABEL + _GAP)
            color = CONTEXT_COLOR if index < num_context else HORIZON_COLOR
            _draw_tile(sheet, draw, frame, index, left, top, color)
    with whole_file(path) as temporary:
        sheet.save(temporary, format="PNG")


def _draw_tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    frame: UInt8[np.ndarray, "H W 3"],
    index: int,
    left: int,
    top: int,
    color: str,
) -> None:
    """One frame with its number below, underlined in the colour of its stretch."""
    sheet.paste(Image.fromarray(frame).resize((_TILE, _TILE), Image.Resampling.LANCZOS), (left, top))
    draw.rectangle((left, top + _TILE, left + _TILE - 1, top + _TILE + 3), fill=color)
    draw.text((left, top + _TILE + 6), f"{index}", font=ImageFont.load_default(12), fill=_QUIET)


def _draw_header(
    draw: ImageDraw.ImageDraw, title: str, num_context: int, num_frames: int, width: int
) -> None:
    draw.text((_MARGIN, _MARGIN - 4), title, font=ImageFont.load_default(20), fill=_INK)
    font = ImageFont.load_default(14)
    right = float(width - _MARGIN)
    stretches = (
        (HORIZON_COLOR, f"horizon {num_context}-{num_frames - 1}"),
        (CONTEXT_COLOR, f"context 0-{num_context - 1}"),
    )
    for color, text in stretches:
        right -= draw.textlength(text, font=font)
        draw.text((right, _MARGIN + 1), text, font=font, fill=_QUIET)
        draw.rectangle((right - 22, _MARGIN + 6, right - 6, _MARGIN + 12), fill=color)
        right -= 44
