"""Preview video: each frame with its number, part (context or horizon), action and the walk so far."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from loopcraft.drawing.canvas import CONTEXT_COLOR, DARK, HORIZON_COLOR, REVISIT_COLOR, Canvas
from loopcraft.drawing.walk import fit_walk, headings
from loopcraft.video.h264 import video_writer
from loopcraft.walks.actions import Action, actions_of
from loopcraft.walks.revisits import find_revisits

SIZE = 512
PANEL = 288
_MARGIN = 20
_LEFT = SIZE + _MARGIN
_MAP = PANEL - 2 * _MARGIN
_MAP_TOP = SIZE - _MARGIN - 34 - _MAP
_BAR_TOP = SIZE - _MARGIN - 10


def write_preview(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    states: Float32[np.ndarray, "T 6"],
    num_context: int,
    *,
    title: str,
) -> None:
    """Write an MP4 preview of an episode."""
    view = _View(states, num_context, title)
    with video_writer(path, height=SIZE, width=SIZE + PANEL) as writer:
        for index, frame in enumerate(frames):
            writer.write(view.draw(index, frame))


class _View:
    """Renderer of frames with a side panel; frames must be drawn in order, as the trail on the map grows."""

    def __init__(self, states: Float32[np.ndarray, "T 6"], num_context: int, title: str) -> None:
        self._actions = [Action(action) for action in actions_of(states, title)]
        self._num_context = num_context
        self._is_revisit = np.zeros(len(states), bool)
        self._is_revisit[num_context:] = find_revisits(states[:, 1:], num_context)
        self._points = fit_walk(states[:, [1, 3]], _LEFT, _MAP_TOP, _MAP, 12)
        self._headings = headings(states[:, 4])
        self._base = _draw_base(self._is_revisit, num_context, title)
        self._base.line(self._points, DARK.faint)

    def draw(self, index: int, frame: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
        """Draw the picture of frame `index`."""
        color = CONTEXT_COLOR if index < self._num_context else HORIZON_COLOR
        self._base.line(self._points[max(0, index - 1) : index + 1], color)
        if self._is_revisit[index]:
            self._base.dot(self._points[index], REVISIT_COLOR, 2.5)
        canvas = self._base.copy()
        canvas.place(0, 0, frame, SIZE)
        tip = self._points[index] + 14 * self._headings[index]
        canvas.line(np.stack([self._points[index], tip]), DARK.ink)
        canvas.dot(self._points[index], DARK.ink, 4.5)
        self._draw_text(canvas, index, color)
        return canvas.pixels

    def _draw_text(self, canvas: Canvas, index: int, color: str) -> None:
        right = _LEFT + 8 + canvas.write(_LEFT, 48, f"{index}", 40)
        canvas.write(right, 72, f"of {len(self._actions) - 1}", 15, DARK.quiet)
        _draw_pill(canvas, _LEFT, "context" if index < self._num_context else "horizon", color)
        if self._is_revisit[index]:
            _draw_pill(canvas, _LEFT + 92, "revisit", REVISIT_COLOR)
        canvas.write(_LEFT, 144, self._actions[index].name.lower(), 20)
        now = _LEFT + _MAP * (index + 0.5) / len(self._actions)
        canvas.box(now - 1, _BAR_TOP - 5, 3, 21, DARK.ink)


def _draw_pill(canvas: Canvas, left: int, text: str, color: str) -> None:
    canvas.box(left, 106, 85, 25, color, radius=12)
    canvas.write(left + 42, 118, text, 15, "white", anchor="mm")


def _draw_base(is_revisit: Bool[np.ndarray, " T"], num_context: int, title: str) -> Canvas:
    """Draw the static part: the title, the map's background, and the timeline with its revisits."""
    canvas = Canvas(SIZE + PANEL, SIZE, DARK)
    canvas.write(_LEFT, 18, title, 15, DARK.quiet)
    canvas.box(_LEFT - 8, _MAP_TOP - 8, _MAP + 17, _MAP + 17, DARK.ground, radius=8)
    tick = _MAP / len(is_revisit)
    canvas.box(_LEFT, _BAR_TOP, _MAP, 11, HORIZON_COLOR)
    canvas.box(_LEFT, _BAR_TOP, num_context * tick, 11, CONTEXT_COLOR)
    for start in np.flatnonzero(is_revisit):
        canvas.box(_LEFT + start * tick, _BAR_TOP, tick + 1, 11, REVISIT_COLOR)
    return canvas
