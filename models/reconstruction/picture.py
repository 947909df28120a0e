"""Draws reconstructions as in figure 5 of the paper: one column per frame, a row per level, truth on top."""

from collections.abc import Sequence
from pathlib import Path

from loopcraft.drawing.canvas import enlarged
from loopcraft.drawing.grid import Row, draw_rows
from models.reconstruction.scores import Example

SMALLEST_TILE = 128
"""Smaller frames are enlarged by an integer factor to at least this many pixels a side."""
LEVEL_SPACE = 14


def draw_reconstructions(path: Path, examples: Sequence[Example], tokens_per_level: Sequence[int]) -> None:
    """Write the examples as a PNG with, at each level, one row per autoencoder in the given order."""
    rows = [Row(label="truth", frames=[example.true for example in examples])]
    for level, tokens in enumerate(tokens_per_level):
        note = f"level {level}: {tokens} token{'s' if tokens > 1 else ''} per frame"
        for position, name in enumerate(examples[0].reconstructions):
            frames = [example.reconstructions[name][level] for example in examples]
            rows.append(Row(label=name, note=note, frames=frames, space=0 if position else LEVEL_SPACE))
    titles = [f"{example.key}, frame {example.index}" for example in examples]
    draw_rows(rows, titles, tile=enlarged(examples[0].true.shape[0], SMALLEST_TILE)).save(path)
