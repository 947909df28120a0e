"""A labelled preview video: each frame beside its number, its stretch, its action and the walk so far."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32, UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from loopcraft.video.h264 import video_writer
from loopcraft.views.map import CONTEXT_COLOR, HORIZON_COLOR, REVISIT_COLOR, headings
from loopcraft.walks.actions import Action, actions_of
from loopcraft.walks.revisits import find_revisits

SIZE = 512
PANEL = 288
_MARGIN = 20
_MAP = PANEL - 2 * _MARGIN
_MAP_TOP = SIZE - _MARGIN - 34 - _MAP
_BAR_TOP = SIZE - _MARGIN - 10
_PAPER = "#15181d"
_INK = "#f3f4f6"
_QUIET = "#8b93a1"
_FAINT = "#343b46"
_GROUND = "#1c2027"
_SUBPIXEL_BITS = 4


def write_preview(
    path: Path,
    frames: Iterable[UInt8[np.ndarray, "H W 3"]],
    states: Float32[np.ndarray, "T 6"],
    num_context: int,
    *,
    title: str,
) -> None:
    """Write the preview of an episode's frames and states as an MP4."""
    panel = _Panel(states, num_context, title)
    with video_writer(path, height=SIZE, width=SIZE + PANEL) as writer:
        for index, frame in enumerate(frames):
            picture = cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST)
            writer.write(np.hstack([picture, panel.draw(index)]))


class _Panel:
    """The part beside the frame; drawn in the order of the frames, as the trail on the map grows."""

    def __init__(self, states: Float32[np.ndarray, "T 6"], num_context: int, title: str) -> None:
        self._actions = [Action(action) for action in actions_of(states, title)]
        self._num_context = num_context
        self._is_revisit = np.zeros(len(states), bool)
        self._is_revisit[num_context:] = find_revisits(states[:, 1:], num_context)
        self._places = _to_map(states[:, [1, 3]])
        self._looks = headings(states[:, 4])
        self._base = np.asarray(_draw_base(self._is_revisit, num_context, title)).copy()
        _draw_line(self._base, self._places, _FAINT, 2)

    def draw(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """The panel of frame `index`."""
        color = self._color(index)
        _draw_line(self._base, self._places[max(0, index - 1) : index + 1], color, 2)
        if self._is_revisit[index]:
            _draw_dot(self._base, self._places[index], REVISIT_COLOR, 2.5)
        picture = self._base.copy()
        tip = self._places[index] + 14 * self._looks[index]
        _draw_line(picture, np.stack([self._places[index], tip]), _INK, 2)
        _draw_dot(picture, self._places[index], _INK, 4.5)
        return self._draw_words(picture, index, color)

    def _color(self, index: int) -> str:
        return CONTEXT_COLOR if index < self._num_context else HORIZON_COLOR

    def _draw_words(
        self, picture: UInt8[np.ndarray, "H W 3"], index: int, color: str
    ) -> UInt8[np.ndarray, "H W 3"]:
        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image)
        number, font = f"{index}", ImageFont.load_default(40)
        draw.text((_MARGIN, 48), number, font=font, fill=_INK)
        right = _MARGIN + 8 + draw.textlength(number, font=font)
        draw.text((right, 72), f"of {len(self._actions) - 1}", font=ImageFont.load_default(15), fill=_QUIET)
        _draw_pill(draw, _MARGIN, "context" if index < self._num_context else "horizon", color)
        if self._is_revisit[index]:
            _draw_pill(draw, _MARGIN + 92, "revisit", REVISIT_COLOR)
        action = self._actions[index].name.lower()
        draw.text((_MARGIN, 144), action, font=ImageFont.load_default(20), fill=_INK)
        now = _MARGIN + _MAP * (index + 0.5) / len(self._actions)
        draw.rectangle((now - 1, _BAR_TOP - 5, now + 1, _BAR_TOP + 15), fill=_INK)
        return np.asarray(image)


def _draw_pill(draw: ImageDraw.ImageDraw, left: int, text: str, color: str) -> None:
    draw.rounded_rectangle((left, 106, left + 84, 130), 12, fill=color)
    draw.text((left + 42, 118), text, font=ImageFont.load_default(15), fill="white", anchor="mm")


def _draw_base(is_revisit: Bool[np.ndarray, " T"], num_context: int, title: str) -> Image.Image:
    """What stays: the title, the frame of the map, and the bar of time with its stretches and revisits."""
    image = Image.new("RGB", (PANEL, SIZE), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((_MARGIN, 18), title, font=ImageFont.load_default(15), fill=_QUIET)
    frame = (_MARGIN - 8, _MAP_TOP - 8, PANEL - _MARGIN + 8, _MAP_TOP + _MAP + 8)
    draw.rounded_rectangle(frame, 8, fill=_GROUND)
    ticks = _MARGIN + _MAP * np.arange(len(is_revisit) + 1) / len(is_revisit)
    draw.rectangle((ticks[0], _BAR_TOP, ticks[num_context], _BAR_TOP + 10), fill=CONTEXT_COLOR)
    draw.rectangle((ticks[num_context], _BAR_TOP, ticks[-1], _BAR_TOP + 10), fill=HORIZON_COLOR)
    for index in np.flatnonzero(is_revisit):
        draw.rectangle((ticks[index], _BAR_TOP, ticks[index + 1], _BAR_TOP + 10), fill=REVISIT_COLOR)
    return image


def _to_map(ground: Float[np.ndarray, "T 2"]) -> Float[np.ndarray, "T 2"]:
    """Pixels of the panel for positions (x, z): the whole walk fits the map's square, north up."""
    center = (ground.min(axis=0) + ground.max(axis=0)) / 2
    blocks = max(float(np.ptp(ground, axis=0).max()), 8.0)
    middle = np.array([_MARGIN + _MAP / 2, _MAP_TOP + _MAP / 2])
    pixels: Float[np.ndarray, "T 2"] = middle + (ground - center) * (_MAP - 24) / blocks
    return pixels


def _fixed_point(points: Float[np.ndarray, "*shape"]) -> Int32[np.ndarray, "*shape"]:
    return np.round(points * (1 << _SUBPIXEL_BITS)).astype(np.int32)


def _draw_line(
    picture: UInt8[np.ndarray, "H W 3"], points: Float[np.ndarray, "N 2"], color: str, width: int
) -> None:
    ink = ImageColor.getrgb(color)
    cv2.polylines(picture, [_fixed_point(points)], False, ink, width, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_dot(
    picture: UInt8[np.ndarray, "H W 3"], at: Float[np.ndarray, "2"], color: str, radius: float
) -> None:
    x, y = _fixed_point(at).tolist()
    ink = ImageColor.getrgb(color)
    cv2.circle(picture, (x, y), round(radius * (1 << _SUBPIXEL_BITS)), ink, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
