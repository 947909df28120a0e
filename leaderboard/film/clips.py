"""Frames to MP4 files so small that a repository can hold them and any browser plays them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from jaxtyping import UInt8

from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.video.h264 import FRAMES_PER_SECOND

QUALITIES = (23, 26, 29, 32, 35, 38, 41, 44, 47, 50)
"""x264's constant rate factors that are tried, from fine to coarse."""
_STRUCTURE = "keyint=32:min-keyint=32:scenecut=0:bframes=0:cpu-independent=1"
"""No frame depends on later ones and every 32nd on none: a browser steps and seeks exactly."""

Frame = UInt8[np.ndarray, "H W 3"]


def write_clip(path: Path, frames: Iterable[Frame], most_bytes: int) -> None:
    """Write frames as H.264, as finely as `most_bytes` allow; raises `UserError` where nothing does."""
    kept = list(frames)
    with whole_file(path) as temporary:
        for quality in QUALITIES:
            encode(temporary, kept, quality)
            if temporary.stat().st_size <= most_bytes:
                return
        raise UserError(f"{path}: {len(kept)} frames do not fit into {most_bytes} bytes; leave the video out")


def encode(path: Path, frames: Sequence[Frame], quality: int) -> None:
    """Write an MP4 file; the same frames give the same bytes."""
    height, width, _ = frames[0].shape
    options = {"movflags": "faststart", "fflags": "bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        parameters = {"preset": "slow", "crf": str(quality), "x264-params": _STRUCTURE}
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=parameters)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.thread_count = 1
        stream.colorspace, stream.color_range = Colorspace.ITU601, ColorRange.MPEG
        stream.color_primaries, stream.color_trc = ColorPrimaries.BT709, ColorTrc.IEC61966_2_1
        for frame in frames:
            container.mux(stream.encode(VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
