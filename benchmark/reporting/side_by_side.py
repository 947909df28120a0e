"""Videos to look at: the truth, every model and the map of the walk in one picture, frame by frame.

During the context all panels show the true frames; from the first generated frame on each shows its own.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from benchmark.contract.protocol import EvaluationProtocol
from loopcraft.core.files import whole_file
from loopcraft.dataset import LoopcraftDataset
from loopcraft.video.h264 import FRAMES_PER_SECOND, iterate_frames
from loopcraft.views.map import CONTEXT_COLOR, HORIZON_COLOR

PANEL = 256
_CAPTION = 26
_GAP = 4
_LONGEST_LABEL = 32
_PAPER, _INK, _FAINT, _GROUND = "#15181d", "#f3f4f6", "#4a525f", "#1c2027"
_ENCODER = {"preset": "veryfast", "crf": "30"}

Picture = UInt8[np.ndarray, "H W 3"]


def write_side_by_side(
    path: Path,
    dataset: LoopcraftDataset,
    key: str,
    protocol: EvaluationProtocol,
    predictions: Mapping[str, Path],
    *,
    lead_in: int,
) -> None:
    """Write the video of `key` as an MP4: the last `lead_in` frames of the context, then the horizon.

    `predictions` maps a model's label to the video of its generated frames.
    """
    start = protocol.context - min(lead_in, protocol.context)
    board = Board(
        ["truth", *predictions, "walk"], dataset.states(key)[: protocol.num_frames, [1, 3]], protocol
    )
    truth = dataset.iterate_frames(key, start, protocol.num_frames)
    context = list(dataset.iterate_frames(key, start, protocol.context))
    generated = [chain(context, iterate_frames(video)) for video in predictions.values()]
    pictures = (
        board.draw(start + place, frames) for place, frames in enumerate(zip(truth, *generated, strict=True))
    )
    _encode(path, board.size, pictures)


class Board:
    """The picture that the panels stand on, two to a row."""

    def __init__(
        self, labels: list[str], places: Float[np.ndarray, "T 2"], protocol: EvaluationProtocol
    ) -> None:
        self._protocol = protocol
        self._places = _fit_to_panel(places)
        rows = -(-len(labels) // 2)
        self.size = (2 * PANEL + 3 * _GAP, rows * (PANEL + _CAPTION + _GAP) + _GAP + _CAPTION)
        self._corners = [
            (_GAP + (place % 2) * (PANEL + _GAP), _CAPTION + _GAP + (place // 2) * (PANEL + _CAPTION + _GAP))
            for place in range(len(labels))
        ]
        self._base = Image.new("RGB", self.size, _PAPER)
        drawing = ImageDraw.Draw(self._base)
        for label, (left, top) in zip(labels, self._corners, strict=True):
            drawing.text(
                (left, top + PANEL + 2), label[:_LONGEST_LABEL], font=ImageFont.load_default(15), fill=_INK
            )
        self._draw_walk(drawing)

    def draw(self, index: int, frames: tuple[Picture, ...]) -> Picture:
        """The picture of frame `index` of the episode, with what each panel shows."""
        is_context = index < self._protocol.context
        color = CONTEXT_COLOR if is_context else HORIZON_COLOR
        picture = self._base.copy()
        drawing = ImageDraw.Draw(picture)
        for frame, (left, top) in zip(frames, self._corners, strict=False):
            resized = cv2.resize(frame, (PANEL, PANEL), interpolation=cv2.INTER_NEAREST)
            picture.paste(Image.fromarray(resized), (left, top))
        drawing.rectangle((0, 0, picture.width, _CAPTION - 4), fill=color)
        drawing.text((_GAP, 2), self._caption(index), font=ImageFont.load_default(15), fill="white")
        x, y = self._places[index] + np.array(self._corners[len(frames)])
        drawing.ellipse((x - 4, y - 4, x + 4, y + 4), fill=_INK)
        return np.asarray(picture)

    def _caption(self, index: int) -> str:
        generated = index - self._protocol.context + 1
        if generated < 1:
            return f"context, frame {index + 1} of {self._protocol.context}"
        window = next(w.name for w in self._protocol.windows if w.first <= generated <= w.last)
        return f"generated frame {generated} of {self._protocol.horizon} ({window})"

    def _draw_walk(self, drawing: ImageDraw.ImageDraw) -> None:
        left, top = self._corners[-1]
        drawing.rectangle((left, top, left + PANEL, top + PANEL), fill=_GROUND)
        points = [(float(x) + left, float(y) + top) for x, y in self._places]
        drawing.line(points[self._protocol.context - 1 :], fill=HORIZON_COLOR, width=2)
        drawing.line(points[: self._protocol.context], fill=CONTEXT_COLOR, width=3)


def _fit_to_panel(places: Float[np.ndarray, "T 2"]) -> Float[np.ndarray, "T 2"]:
    """Pixels of the map for positions (x, z) in blocks: the whole walk, north up."""
    middle = (places.min(axis=0) + places.max(axis=0)) / 2
    blocks = max(float(np.ptp(places, axis=0).max()), 8.0)
    pixels: Float[np.ndarray, "T 2"] = PANEL / 2 + (places - middle) * (PANEL - 32) / blocks
    return pixels


def _encode(path: Path, size: tuple[int, int], pictures: Iterator[Picture]) -> None:
    """A small H.264 file that every browser plays."""
    with whole_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=_ENCODER)
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = "yuv420p"
        stream.width, stream.height = size
        for picture in pictures:
            container.mux(stream.encode(VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
