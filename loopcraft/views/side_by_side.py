"""Videos to look at: the truth, every model and the map of the walk in one picture, frame by frame."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from loopcraft.drawing.canvas import CONTEXT_COLOR, DARK, HORIZON_COLOR, Canvas
from loopcraft.drawing.grid import GAP, Grid
from loopcraft.drawing.walk import fit_walk
from loopcraft.video.h264 import SMALL, video_writer

PANEL = 256
HEADER = 26
_CAPTION = 26
_TEXT = 15
_LONGEST_LABEL = 32

Frame = UInt8[np.ndarray, "H W 3"]


class Board:
    """The picture that the panels stand on: one for every label, and last the walk."""

    def __init__(self, labels: Sequence[str], places: Float[np.ndarray, "T 2"], num_context: int) -> None:
        """`places` are the positions (x, z) of every frame in blocks, of which the first are the context."""
        columns = 2 if len(labels) < 4 else 3
        grid = Grid(tile=PANEL, columns=columns, margin=GAP, top=HEADER, below=_CAPTION)
        self._corners = [grid.corner(place) for place in range(len(labels) + 1)]
        self._num_context = num_context
        self._places = fit_walk(places, *self._corners[-1], PANEL, 16)
        self._base = Canvas(*grid.size(len(self._corners)), DARK)
        for label, (left, top) in zip([*labels, "walk"], self._corners, strict=True):
            self._base.write(left, top + PANEL + 2, label[:_LONGEST_LABEL], _TEXT)
        self._base.box(*self._corners[-1], PANEL, PANEL, DARK.ground)
        self._base.line(self._places[num_context - 1 :], HORIZON_COLOR)
        self._base.line(self._places[:num_context], CONTEXT_COLOR, 3)

    def draw(self, index: int, frames: Sequence[Frame], note: str = "") -> Frame:
        """The picture of frame `index` of the episode, with what each panel shows and a note on the frame."""
        canvas = self._base.copy()
        for frame, (left, top) in zip(frames, self._corners[:-1], strict=True):
            canvas.place(left, top, frame, PANEL)
        color = CONTEXT_COLOR if index < self._num_context else HORIZON_COLOR
        canvas.box(0, 0, canvas.width, HEADER - 3, color)
        canvas.write(GAP, 2, self._caption(index) + (f" ({note})" if note else ""), _TEXT, "white")
        canvas.dot(self._places[index], DARK.ink, 4)
        return canvas.pixels

    def _caption(self, index: int) -> str:
        generated = index - self._num_context + 1
        if generated < 1:
            return f"context, frame {index + 1} of {self._num_context}"
        return f"generated frame {generated} of {len(self._places) - self._num_context}"


def write_video(path: Path, pictures: Iterable[Frame]) -> None:
    """Write pictures of one size, of even sides, as a small MP4 that every browser plays."""
    frames = iter(pictures)
    first = next(frames)
    height, width, _ = first.shape
    with video_writer(path, height=height, width=width, encoder=SMALL) as writer:
        writer.write(first)
        for frame in frames:
            writer.write(frame)
