"""Grids of frames: the positions of tiles, and pictures with row labels and column titles."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from loopcraft.drawing.canvas import Canvas, Frame, text_width

GAP = 4
MARGIN = 12
TITLES = 20
"""Height of the column titles in pixels."""
_LABEL_SIZE, _NOTE_SIZE, _LINE = 14, 12, 17
_LONGEST_LINE, _MOST_LINES = 22, 5
"""Maximum characters per line and lines of a label."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Layout of square tiles, numbered row by row; all sizes in pixels."""

    tile: int
    columns: int
    gap: int = GAP
    margin: int = 0
    left: int = 0
    """Space to the left of all tiles."""
    top: int = 0
    """Space above all tiles."""
    above: int = 0
    """Space above each tile, for text."""
    below: int = 0
    """Space below each tile, for text."""

    def corner(self, index: int) -> tuple[int, int]:
        """Return the top left corner (x, y) of a tile."""
        row, column = divmod(index, self.columns)
        across, down = self._steps
        return self.margin + self.left + column * across, self.margin + self.top + row * down + self.above

    def size(self, count: int) -> tuple[int, int]:
        """Return the width and height of a picture of `count` tiles."""
        rows, (across, down) = -(-count // self.columns), self._steps
        width = 2 * self.margin + self.left + self.columns * across - self.gap
        return width, 2 * self.margin + self.top + rows * down - self.gap

    @property
    def _steps(self) -> tuple[int, int]:
        return self.tile + self.gap, self.above + self.tile + self.below + self.gap


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of frames with its label, a note in smaller type below it, and `space` pixels above the row."""

    label: str
    frames: Sequence[Frame]
    note: str = ""
    space: int = 0


def draw_rows(
    rows: Sequence[Row], titles: Sequence[str] = (), *, tile: int, title_color: str | None = None
) -> Canvas:
    """Draw rows of frames as tiles of `tile` pixels, with labels on the left and titles above the columns."""
    labels = ["\n".join(textwrap.wrap(row.label, _LONGEST_LINE)[:_MOST_LINES]) for row in rows]
    widths = [text_width(label, _LABEL_SIZE) for label in labels]
    widths += [text_width(row.note, _NOTE_SIZE) for row in rows]
    columns = max(len(row.frames) for row in rows)
    grid = Grid(
        tile=tile,
        columns=columns,
        margin=MARGIN,
        left=MARGIN + round(max(widths)),
        top=TITLES if titles else 0,
    )
    width, height = grid.size(columns * len(rows))
    canvas = Canvas(width, height + sum(row.space for row in rows))
    for column, title in enumerate(titles):
        canvas.write(grid.corner(column)[0], MARGIN, title, _NOTE_SIZE, title_color or canvas.theme.quiet)
    space = 0
    for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
        space += row.space
        _draw_label(canvas, grid.corner(number * columns)[1] + space + tile / 2, label, row.note)
        for column, frame in enumerate(row.frames):
            left, top = grid.corner(number * columns + column)
            canvas.place(left, top + space, frame, tile)
    return canvas


def _draw_label(canvas: Canvas, middle: float, label: str, note: str) -> None:
    """Write a label and its note, together vertically centred on `middle`."""
    lines = label.count("\n") + 1
    top = middle - (lines + bool(note)) * _LINE / 2
    canvas.write(MARGIN, top, label, _LABEL_SIZE)
    canvas.write(MARGIN, top + lines * _LINE + 1, note, _NOTE_SIZE, canvas.theme.quiet)
