"""Contact sheets of one episode: evenly spaced frames, and which of their pixels the context has shown."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import ImageColor

from loopcraft.dataset.mask_files import Masks, spread
from loopcraft.drawing.canvas import CONTEXT_COLOR, HORIZON_COLOR, LIGHT, REVISIT_COLOR, Canvas, text_width
from loopcraft.drawing.grid import Grid

COLUMNS = 8
ROWS = 6
TILE = 160
MARGIN = 20
HEADER = 44
LABEL = 20
NEW_COLOR = LIGHT.ink
_TINT = 0.6
"""Share of the tint in a pixel's colour."""


def write_sheet(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    num_frames: int,
    num_context: int,
    *,
    title: str,
) -> None:
    """Write a sheet of an episode as a PNG, with the context marked; `frames` are all its frames in order."""
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
    """Write horizon frames as a PNG, each above a copy tinted by what the context has shown of its pixels.

    `masks` hold seen, age and sky. The sky is not tinted.
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
    """Select the frames with the `chosen` indices."""
    wanted = set(chosen)
    return [frame for index, frame in enumerate(frames) if index in wanted]


def _tint(
    picture: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "h w"], color: str
) -> UInt8[np.ndarray, "H W 3"]:
    """Tint a picture where the mask, which may be coarser, is true."""
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
    """Write pictures in rows of `columns`, each with its number and underlined in its colour."""
    grid = Grid(tile=TILE, columns=columns, gap=8, margin=MARGIN, top=HEADER, below=LABEL)
    width = dataclasses.replace(grid, columns=COLUMNS).size(1)[0]  # full width, for the legend
    canvas = Canvas(width, grid.size(len(pictures))[1])
    _draw_header(canvas, title, legend)
    for tile, (number, picture, color) in enumerate(zip(numbers, pictures, colors, strict=True)):
        left, top = grid.corner(tile)
        canvas.place(left, top, picture, TILE)
        canvas.box(left, top + TILE, TILE, 4, color)
        canvas.write(left, top + TILE + 6, f"{number}", 12, LIGHT.quiet)
    canvas.save(path)


def _draw_header(canvas: Canvas, title: str, legend: Mapping[str, str]) -> None:
    canvas.write(MARGIN, MARGIN - 4, title, 20)
    right = float(canvas.width - MARGIN)
    for text, color in reversed([*legend.items()]):
        right -= text_width(text, 14)
        canvas.write(right, MARGIN + 1, text, 14, LIGHT.quiet)
        canvas.box(right - 22, MARGIN + 6, 17, 7, color)
        right -= 44
