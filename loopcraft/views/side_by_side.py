"""Side-by-side videos: the ground truth, every model and the map of the walk in one picture."""

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
    """A picture with one panel for every label, followed by the map of the walk."""

    def __init__(self, labels: Sequence[str], positions: Float[np.ndarray, "T 2"], num_context: int) -> None:
        """`positions` are (x, z) in blocks, one per frame; the first `num_context` are the context."""
        columns = 2 if len(labels) < 4 else 3
        grid = Grid(tile=PANEL, columns=columns, margin=GAP, top=HEADER, below=_CAPTION)
        self._corners = [grid.corner(index) for index in range(len(labels) + 1)]
        self._num_context = num_context
        self._points = fit_walk(positions, *self._corners[-1], PANEL, 16)
        self._base = Canvas(*grid.size(len(self._corners)), DARK)
        for label, (left, top) in zip([*labels, "walk"], self._corners, strict=True):
            self._base.write(left, top + PANEL + 2, label[:_LONGEST_LABEL], _TEXT)
        self._base.box(*self._corners[-1], PANEL, PANEL, DARK.ground)
        self._base.line(self._points[num_context - 1 :], HORIZON_COLOR)
        self._base.line(self._points[:num_context], CONTEXT_COLOR, 3)

    def draw(self, index: int, frames: Sequence[Frame], note: str = "") -> Frame:
        """Draw frame `index` of the episode: the frame of each panel, and an optional note in the header."""
        canvas = self._base.copy()
        for frame, (left, top) in zip(frames, self._corners[:-1], strict=True):
            canvas.place(left, top, frame, PANEL)
        color = CONTEXT_COLOR if index < self._num_context else HORIZON_COLOR
        canvas.box(0, 0, canvas.width, HEADER - 3, color)
        canvas.write(GAP, 2, self._caption(index) + (f" ({note})" if note else ""), _TEXT, "white")
        canvas.dot(self._points[index], DARK.ink, 4)
        return canvas.pixels

    def _caption(self, index: int) -> str:
        generated = index - self._num_context + 1
        if generated < 1:
            return f"context, frame {index + 1} of {self._num_context}"
        return f"generated frame {generated} of {len(self._points) - self._num_context}"


def write_video(path: Path, pictures: Iterable[Frame]) -> None:
    """Write pictures of the same size, with even sides, as a small MP4 that every browser plays."""
    frames = iter(pictures)
    first = next(frames)
    height, width, _ = first.shape
    with video_writer(path, height=height, width=width, encoder=SMALL) as writer:
        writer.write(first)
        for frame in frames:
            writer.write(frame)
