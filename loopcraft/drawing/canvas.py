"""A picture that is being drawn: frames, text, boxes and smooth lines, in the colours of the whole project.

Positions and sizes are in pixels, from the left and the top.
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
    """The colours of paper and ink."""

    paper: str
    ink: str
    quiet: str
    """Of text that steps back."""
    faint: str
    """Of lines that step back."""
    ground: str
    """Of a map."""


LIGHT = Theme(paper="#ffffff", ink="#22262b", quiet="#6b7280", faint="#d4d7dc", ground="#f3f4f6")
DARK = Theme(paper="#15181d", ink="#f3f4f6", quiet="#8b93a1", faint="#343b46", ground="#1c2027")


def fit(frame: Frame, side: int) -> Frame:
    """A frame as a square of `side` pixels: each pixel a square where the factor is whole, else resampled."""
    height, width, _ = frame.shape
    if side % height == 0 and side % width == 0:
        return frame.repeat(side // width, axis=1).repeat(side // height, axis=0)
    return np.asarray(Image.fromarray(frame).resize((side, side), Image.Resampling.LANCZOS))


def enlarged(side: int, least: int) -> int:
    """The smallest multiple of a frame's side that is not below `least`."""
    return side * -(-least // side)


class Canvas:
    """A picture of `width` x `height` pixels; what is drawn later covers what was drawn before."""

    def __init__(self, width: int, height: int, theme: Theme = LIGHT) -> None:
        self.theme = theme
        self._use(Image.new("RGB", (width, height), theme.paper))

    @classmethod
    def of(cls, picture: Frame) -> Self:
        """A canvas that begins as a copy of `picture`."""
        canvas = cls(1, 1)
        canvas._use(Image.fromarray(picture.copy()))
        return canvas

    def _use(self, image: Image.Image) -> None:
        self._image = image
        self._draw = ImageDraw.Draw(image)

    @property
    def width(self) -> int:
        """In pixels."""
        return self._image.width

    @property
    def height(self) -> int:
        """In pixels."""
        return self._image.height

    @property
    def pixels(self) -> Frame:
        """The picture so far, a copy."""
        return np.array(self._image)

    def copy(self) -> Self:
        """Another canvas that begins as this one is."""
        canvas = type(self)(1, 1, self.theme)
        canvas._use(self._image.copy())
        return canvas

    def save(self, path: Path, **options: Any) -> None:
        """Write the whole picture, in the format that the name of the file tells; `options` are Pillow's."""
        with whole_file(path) as temporary:
            self._image.save(temporary, format=Image.registered_extensions()[path.suffix], **options)

    def place(self, left: float, top: float, frame: Frame, side: int | None = None) -> None:
        """Put a frame with its upper left corner there, as a square of `side` or in its own size."""
        shown = frame if side is None else fit(frame, side)
        self._image.paste(Image.fromarray(shown), (round(left), round(top)))

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
        """Write text, of one line or several, and return how wide it is; `anchor` is Pillow's."""
        self._draw.text((left, top), text, color or self.theme.ink, _font(size), anchor)
        return text_width(text, size)

    def box(
        self, left: float, top: float, width: float, height: float, color: str, *, radius: float = 0
    ) -> None:
        """Fill a box, with round corners where `radius` says so."""
        self._draw.rounded_rectangle((left, top, left + width - 1, top + height - 1), radius, fill=color)

    def line(self, points: Float[np.ndarray, "N 2"], color: str, width: int = 2) -> None:
        """Draw a smooth line through points (x, y); through none it is nothing."""
        if not len(points):
            return
        with self._smooth(points, width) as (part, places):
            ink = ImageColor.getrgb(color)
            cv2.polylines(part, [places], False, ink, width, cv2.LINE_AA, _SUBPIXEL_BITS)

    def dot(self, at: Float[np.ndarray, "2"], color: str, radius: float) -> None:
        """Draw a smooth dot around (x, y)."""
        with self._smooth(at[None], radius) as (part, places):
            size = round(radius * (1 << _SUBPIXEL_BITS))
            ink = ImageColor.getrgb(color)
            cv2.circle(part, places[0].tolist(), size, ink, -1, cv2.LINE_AA, _SUBPIXEL_BITS)

    def shape(self, points: Float[np.ndarray, "N 2"], color: str) -> None:
        """Fill a smooth polygon with corners (x, y)."""
        with self._smooth(points, 0) as (part, places):
            cv2.fillPoly(part, [places], ImageColor.getrgb(color), cv2.LINE_AA, _SUBPIXEL_BITS)

    @contextmanager
    def _smooth(
        self, points: Float[np.ndarray, "N 2"], reach: float
    ) -> Iterator[tuple[Frame, Int32[np.ndarray, "N 2"]]]:
        """The part around points as OpenCV, which draws smoothly, takes it, and where they are in it."""
        low = np.floor(points.min(axis=0) - reach - 2).astype(int)
        high = np.ceil(points.max(axis=0) + reach + 2).astype(int)
        part = np.array(self._image.crop((*low.tolist(), *high.tolist())))
        yield part, np.round((points - low) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
        self._image.paste(Image.fromarray(part), (int(low[0]), int(low[1])))


def text_width(text: str, size: int) -> float:
    """Pixels that text takes, the longest of its lines."""
    return max(_font(size).getlength(line) for line in text.split("\n"))


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The one font, in pixels."""
    return ImageFont.load_default(size)
