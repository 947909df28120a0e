"""Contact sheets of one episode: its frames at even distances, and what of them the context showed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from loopcraft.core.files import whole_file
from loopcraft.dataset.mask_files import Masks, spread
from loopcraft.views.map import CONTEXT_COLOR, HORIZON_COLOR, REVISIT_COLOR

COLUMNS = 8
ROWS = 6
_TILE = 160
_GAP = 8
_LABEL = 20
_MARGIN = 20
_HEADER = 44
_INK = "#22262b"
_QUIET = "#6b7280"
NEW_COLOR = "#22262b"
_TINT = 0.6
"""How much of a pixel's colour says what it asks of memory."""


def write_sheet(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    num_frames: int,
    num_context: int,
    *,
    title: str,
) -> None:
    """Write the sheet of an episode's `frames`, all of them in order, as a PNG; the context is marked."""
    count = min(num_frames, COLUMNS * ROWS)
    chosen = np.linspace(0, num_frames - 1, count).round().astype(int).tolist()
    legend = {
        f"context 0-{num_context - 1}": CONTEXT_COLOR,
        f"horizon {num_context}-{num_frames - 1}": HORIZON_COLOR,
    }
    colors = [CONTEXT_COLOR if index < num_context else HORIZON_COLOR for index in chosen]
    _save(path, title, legend, chosen, _pick(frames, chosen), colors)


def write_memory_sheet(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    masks: Masks,
    num_context: int,
    *,
    title: str,
) -> None:
    """Write frames of the horizon as a PNG, and below each the same with what it asks of memory in colours.

    `masks` hold seen, age and sky. The sky keeps its colours.
    """
    num_frames = len(masks["seen"])
    count = min(COLUMNS, num_frames - num_context)
    chosen = np.linspace(num_context, num_frames - 1, count).round().astype(int).tolist()
    kinds = {
        "never shown by the context": (NEW_COLOR, ~masks["seen"] & ~masks["sky"]),
        "in sight ever since": (CONTEXT_COLOR, masks["seen"] & (masks["age"] == 0)),
        "shown, and out of sight in between": (REVISIT_COLOR, masks["age"] > 0),
    }
    pictures = _pick(frames, chosen)
    tinted = []
    for index, picture in zip(chosen, pictures, strict=True):
        for color, mask in kinds.values():
            picture = _tint(picture, mask[index], color)
        tinted.append(picture)
    legend = {name: color for name, (color, _) in kinds.items()}
    _save(path, title, legend, chosen * 2, [*pictures, *tinted], [HORIZON_COLOR] * 2 * count, columns=count)


def _pick(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], chosen: Sequence[int]
) -> list[UInt8[np.ndarray, "H W 3"]]:
    """The chosen ones of all frames, in order."""
    wanted = set(chosen)
    return [frame for index, frame in enumerate(frames) if index in wanted]


def _tint(
    picture: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "h w"], color: str
) -> UInt8[np.ndarray, "H W 3"]:
    """Colour where the mask, which may be coarser than the picture, is true."""
    height, width, _ = picture.shape
    fine = spread(mask, height, width, "the episode")
    tinted = (1 - _TINT) * picture + _TINT * np.array(ImageColor.getrgb(color))
    return np.where(fine[..., None], tinted, picture).astype(np.uint8)


def _save(
    path: Path,
    title: str,
    legend: Mapping[str, str],
    numbers: Sequence[int],
    pictures: Sequence[UInt8[np.ndarray, "H W 3"]],
    colors: Sequence[str],
    columns: int = COLUMNS,
) -> None:
    """Write numbered pictures in rows of `columns`, each underlined in its colour."""
    rows = -(-len(pictures) // columns)
    width = 2 * _MARGIN + COLUMNS * (_TILE + _GAP) - _GAP
    height = 2 * _MARGIN + _HEADER + rows * (_TILE + _LABEL + _GAP) - _GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    _draw_header(draw, title, legend, width)
    for place, (number, picture, color) in enumerate(zip(numbers, pictures, colors, strict=True)):
        row, column = divmod(place, columns)
        left = _MARGIN + column * (_TILE + _GAP)
        top = _MARGIN + _HEADER + row * (_TILE + _LABEL + _GAP)
        _draw_tile(sheet, draw, picture, number, left, top, color)
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


def _draw_header(draw: ImageDraw.ImageDraw, title: str, legend: Mapping[str, str], width: int) -> None:
    draw.text((_MARGIN, _MARGIN - 4), title, font=ImageFont.load_default(20), fill=_INK)
    font = ImageFont.load_default(14)
    right = float(width - _MARGIN)
    for text, color in reversed(list(legend.items())):
        right -= draw.textlength(text, font=font)
        draw.text((right, _MARGIN + 1), text, font=font, fill=_QUIET)
        draw.rectangle((right - 22, _MARGIN + 6, right - 6, _MARGIN + 12), fill=color)
        right -= 44
