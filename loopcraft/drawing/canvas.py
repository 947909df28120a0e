"""Canvas for frames, text, boxes and antialiased lines, and the project's colours.

Positions and sizes are in pixels, from the top left.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from jaxtyping import Float, Int32, UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from loopcraft.core.files import whole_file

CONTEXT_COLOR = "#2f7ec7"
HORIZON_COLOR = "#f0932b"
REVISIT_COLOR = "#c2185b"

Frame = UInt8[np.ndarray, "H W 3"]

_SUBPIXEL_BITS = 4


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of a picture."""

    paper: str
    """Background."""
    ink: str
    """Text."""
    quiet: str
    """Secondary text."""
    faint: str
    """Secondary lines."""
    ground: str
    """Background of a map."""


LIGHT = Theme(paper="#ffffff", ink="#22262b", quiet="#6b7280", faint="#d4d7dc", ground="#f3f4f6")
DARK = Theme(paper="#15181d", ink="#f3f4f6", quiet="#8b93a1", faint="#343b46", ground="#1c2027")


def fit(frame: Frame, side: int) -> Frame:
    """Resize a frame to a square of `side` pixels: repeat pixels if the factor is whole, else resample."""
    height, width, _ = frame.shape
    if side % height == 0 and side % width == 0:
        return frame.repeat(side // width, axis=1).repeat(side // height, axis=0)
    return np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.LANCZOS))


def enlarged(side: int, least: int) -> int:
    """Return the smallest multiple of a frame's side that is at least `least`."""
    return side * -(-least // side)


class Canvas:
    """A picture of `width` x `height` pixels to draw on."""

    def __init__(self, width: int, height: int, theme: Theme = LIGHT) -> None:
        self.theme = theme
        self._use(Image.new("RGB", (width, height), theme.paper))

    @classmethod
    def of(cls, picture: Frame) -> Self:
        """Return a canvas that starts as a copy of `picture`."""
        canvas = cls(1, 1)
        canvas._use(Image.fromarray(picture.copy()))
        return canvas

    def _use(self, image: Image.Image) -> None:
        self._image = image
        self._draw = ImageDraw.Draw(image)

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self._image.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self._image.height

    @property
    def pixels(self) -> Frame:
        """Copy of the picture."""
        return np.array(self._image)

    def copy(self) -> Self:
        """Return an independent copy of this canvas."""
        canvas = type(self)(1, 1, self.theme)
        canvas._use(self._image.copy())
        return canvas

    def save(self, path: Path, **options: Any) -> None:
        """Write the picture atomically, in the format of the file's suffix, with Pillow's `options`."""
        with whole_file(path) as temporary:
            self._image.save(temporary, format=Image.registered_extensions()[path.suffix], **options)

    def place(self, left: float, top: float, frame: Frame, side: int | None = None) -> None:
        """Paste a frame at its top left corner, as a square of `side` if given, else at its own size."""
        resized = frame if side is None else fit(frame, side)
        self._image.paste(Image.fromarray(resized), (round(left), round(top)))

    def write(
        self,
        left: float,
        top: float,
        text: str,
        size: int = 13,
        color: str | None = None,
        *,
        anchor: str = "la",
    ) -> float:
        """Write text, possibly of several lines, and return its width; `anchor` is Pillow's."""
        self._draw.text((left, top), text, color or self.theme.ink, _font(size), anchor)
        return text_width(text, size)

    def box(
        self, left: float, top: float, width: float, height: float, color: str, *, radius: float = 0
    ) -> None:
        """Fill a box, with corners rounded by `radius`."""
        self._draw.rounded_rectangle((left, top, left + width - 1, top + height - 1), radius, fill=color)

    def line(self, points: Float[np.ndarray, "N 2"], color: str, width: int = 2) -> None:
        """Draw an antialiased line through points (x, y), if there are any."""
        if not len(points):
            return
        with self._patch(points, width) as (patch, fixed):
            ink = ImageColor.getrgb(color)
            cv2.polylines(patch, [fixed], False, ink, width, cv2.LINE_AA, _SUBPIXEL_BITS)

    def dot(self, at: Float[np.ndarray, "2"], color: str, radius: float) -> None:
        """Draw an antialiased dot around (x, y)."""
        with self._patch(at[None], radius) as (patch, fixed):
            size = round(radius * (1 << _SUBPIXEL_BITS))
            ink = ImageColor.getrgb(color)
            cv2.circle(patch, fixed[0].tolist(), size, ink, -1, cv2.LINE_AA, _SUBPIXEL_BITS)

    def shape(self, points: Float[np.ndarray, "N 2"], color: str) -> None:
        """Fill an antialiased polygon with corners (x, y)."""
        with self._patch(points, 0) as (patch, fixed):
            cv2.fillPoly(patch, [fixed], ImageColor.getrgb(color), cv2.LINE_AA, _SUBPIXEL_BITS)

    @contextmanager
    def _patch(
        self, points: Float[np.ndarray, "N 2"], reach: float
    ) -> Iterator[tuple[Frame, Int32[np.ndarray, "N 2"]]]:
        """Yield the part of the picture around points and their fixed-point positions in it, for OpenCV.

        OpenCV draws into it, as Pillow does not antialias. It is pasted back at the end.
        """
        low = np.floor(points.min(axis=0) - reach - 2).astype(int)
        high = np.ceil(points.max(axis=0) + reach + 2).astype(int)
        patch = np.array(self._image.crop((*low.tolist(), *high.tolist())))
        yield patch, np.round((points - low) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        self._image.paste(Image.fromarray(patch), (int(low[0]), int(low[1])))


def text_width(text: str, size: int) -> float:
    """Return the width of a text's longest line in pixels."""
    return max(_font(size).getlength(line) for line in text.split("\n"))


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
