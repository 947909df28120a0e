"""Draws reconstructions as in figure 5 of the paper: a column a frame, a row a level, the truth on top."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from loopcraft.core.files import whole_file
from models.reconstruction.scores import Example

SMALLEST_TILE = 128
"""Frames of fewer pixels a side are enlarged by a whole factor to at least this."""
_GAP, _LEVEL_GAP, _MARGIN = 4, 18, 20
_LABELS, _HEADER = 190, 22
_INK, _QUIET = "#22262b", "#6b7280"

Row = tuple[int, str, str, Sequence[UInt8[np.ndarray, "H W 3"]]]
"""Pixels above it, its label, the smaller label below, and its frames."""


def draw_reconstructions(path: Path, examples: Sequence[Example], tokens_per_level: Sequence[int]) -> None:
    """Write the examples as a PNG; at every level the autoencoders follow each other in their order."""
    rows = _rows(examples, tokens_per_level)
    side = examples[0].true.shape[0]
    tile = side * -(-SMALLEST_TILE // side)
    width = 2 * _MARGIN + _LABELS + len(examples) * (tile + _GAP) - _GAP
    height = 2 * _MARGIN + _HEADER + sum(above + tile for above, *_ in rows)
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    lefts = [_MARGIN + _LABELS + column * (tile + _GAP) for column in range(len(examples))]
    for left, example in zip(lefts, examples, strict=True):
        title = f"{example.key}, frame {example.index}"
        draw.text((left, _MARGIN), title, font=ImageFont.load_default(12), fill=_QUIET)
    top = _MARGIN + _HEADER
    for above, label, below, frames in rows:
        top += above
        draw.text((_MARGIN, top + tile // 2 - 18), label, font=ImageFont.load_default(16), fill=_INK)
        draw.text((_MARGIN, top + tile // 2 + 4), below, font=ImageFont.load_default(13), fill=_QUIET)
        for left, frame in zip(lefts, frames, strict=True):
            picture.paste(Image.fromarray(frame).resize((tile, tile), Image.Resampling.NEAREST), (left, top))
        top += tile
    with whole_file(path) as temporary:
        picture.save(temporary, format="PNG")


def _rows(examples: Sequence[Example], tokens_per_level: Sequence[int]) -> list[Row]:
    rows: list[Row] = [(0, "truth", "", [example.true for example in examples])]
    for level, tokens in enumerate(tokens_per_level):
        below = f"level {level}: {tokens} token{'s' if tokens > 1 else ''} a frame"
        for place, name in enumerate(examples[0].given_back):
            frames = [example.given_back[name][level] for example in examples]
            rows.append((_GAP if place else _LEVEL_GAP, name, below, frames))
    return rows
