"""Videos as other tools make them: other containers, codecs, groups of pictures and timestamps."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8

TICKS = 512
"""Ticks per frame at 20 frames per second."""

Frames = UInt8[np.ndarray, "T H W 3"]


def encode(
    path: Path,
    frames: Frames,
    *,
    codec: str = "libx264rgb",
    pix_fmt: str = "rgb24",
    times: Callable[[int], int] = lambda frame: frame * TICKS,
    options: dict[str, str] | None = None,
    **container: object,
) -> None:
    """Encode frames, by default losslessly, frame t at `times(t)` ticks; `container` goes to `av.open`."""
    with av.open(str(path), "w", **container) as output:
        stream = output.add_stream(codec, rate=20, options={"qp": "0", **(options or {})})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        stream.codec_context.time_base = Fraction(1, 20 * TICKS)
        for t, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = times(t), Fraction(1, 20 * TICKS)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))


def copy_stream(source: Path, path: Path, first: int = 0, shift: int = 0, **container: object) -> None:
    """Copy packets from `first` on, `shift` ticks earlier, without decoding, as `ffmpeg -c copy` does."""
    with av.open(str(source)) as opened, av.open(str(path), "w", **container) as output:
        read = opened.streams.video[0]
        stream = output.add_stream_from_template(read)
        for index, packet in enumerate(opened.demux(read)):
            if packet.size and index >= first:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, stream
                output.mux(packet)


def decoded(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Every frame that FFmpeg shows, in order."""
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            yield picture.to_ndarray(format="rgb24")
