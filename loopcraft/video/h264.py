"""Frame-exact encoding to H.264 in MP4, and decoding of common video files.

Encoding is single-threaded with a fixed structure (closed groups of 16 frames, no B-frames, no scene cuts):
the same frames give the same bytes, and a frame is at most 15 frames after a key frame. The YUV matrix is
BT.601, limited range, tagged as such, so FFmpeg, torchcodec, OpenCV and browsers show the right colours.

Lossless files hold RGB (x264's High 4:4:4 Predictive profile, quantiser 0): every reader built on FFmpeg's
software decoder opens them, but browsers and the hardware decoders of graphics cards do not.

Decoding supports MP4, MOV, Matroska, WebM, AVI, MPEG-TS and raw H.264 with any of FFmpeg's codecs, whatever
the grouping and timing of frames, because frames are counted. Playlists and other text files that refer to
further files are refused. From a URL (`UrlPath`), only the file's index and the decoded parts are fetched.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from jaxtyping import UInt8

from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.core.urls import AnyPath, UrlPath, require_regular
from loopcraft.video import frame_index
from loopcraft.video.yuv import Image, Plane, rgb_to_yuv420, yuv420_to_rgb

FRAMES_PER_SECOND = 20
GROUP_OF_FRAMES = 16

_STRUCTURE = f"keyint={GROUP_OF_FRAMES}:min-keyint={GROUP_OF_FRAMES}:scenecut=0:bframes=0:cpu-independent=1"
LOSSY = {"preset": "ultrafast", "tune": "fastdecode", "crf": "21", "x264-params": _STRUCTURE}
"""Encoder options of a data set's files."""
SMALL = {"preset": "veryfast", "crf": "30"}
"""Encoder options of previews: coarser, with key frames and B-frames chosen by x264."""
_LOSSLESS = {"preset": "ultrafast", "qp": "0", "x264-params": _STRUCTURE}

# Codes of H.264's matrix_coefficients: unspecified; BT.601 for 625 lines and for 525 lines (the same matrix).
_BT601_OR_UNSPECIFIED = (2, 5, 6)

_FILE_ERRORS = (FileNotFoundError, PermissionError, IsADirectoryError)

_CONTAINERS = {"format_whitelist": "mov,matroska,avi,mpegts,h264"}
"""FFmpeg's names. Other formats include text files that refer to files and URLs, which FFmpeg would open."""
_ANY_TITLE: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Accepts titles that are not UTF-8; PyAV 19 and later always do so and lack this argument."""

Video = UInt8[np.ndarray, "T H W 3"]


class VideoWriter:
    """Encoder that appends frames to a file; made by `video_writer`."""

    def __init__(
        self,
        container: OutputContainer,
        *,
        height: int,
        width: int,
        lossless: bool,
        encoder: Mapping[str, str],
    ) -> None:
        codec, options = ("libx264rgb", _LOSSLESS) if lossless else ("libx264", dict(encoder))
        stream = container.add_stream(codec, rate=FRAMES_PER_SECOND, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = height, width
        stream.pix_fmt = "rgb24" if lossless else "yuv420p"
        stream.thread_count = 1
        stream.color_primaries, stream.color_trc = ColorPrimaries.BT709, ColorTrc.IEC61966_2_1
        if not lossless:
            stream.colorspace, stream.color_range = Colorspace.ITU601, ColorRange.MPEG
        self._container, self._stream = container, stream

    def write(self, frame: Image) -> None:
        """Append one frame."""
        assert frame.shape == (self._stream.height, self._stream.width, 3)
        if self._stream.pix_fmt == "rgb24":
            picture = VideoFrame.from_ndarray(frame, format="rgb24")
        else:
            picture = VideoFrame(frame.shape[1], frame.shape[0], "yuv420p")
            luma, blue, red = _planes(picture)
            rgb_to_yuv420(frame, luma, blue, red)
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Write the encoder's remaining packets."""
        self._container.mux(self._stream.encode(None))


@contextmanager
def video_writer(
    path: AnyPath, *, height: int, width: int, lossless: bool = False, encoder: Mapping[str, str] = LOSSY
) -> Iterator[VideoWriter]:
    """Yield a writer for `path`, which appears only if the block succeeds; `encoder` holds x264's options.

    Height and width must be even unless `lossless`.
    """
    options = {"movflags": "faststart", "fflags": "bitexact"}  # bitexact omits FFmpeg's version
    with (
        whole_file(path) as temporary,
        av.open(_for_ffmpeg(temporary), "w", format="mp4", options=options) as container,
    ):
        writer = VideoWriter(container, height=height, width=width, lossless=lossless, encoder=encoder)
        yield writer
        writer.finish()


def read_frames(path: AnyPath, start: int, stop: int) -> Video:
    """Decode frames `start` to `stop` - 1; raises `UserError` if the file is too short."""
    frames = list(iterate_frames(path, start, stop))
    if len(frames) != stop - start:
        raise UserError(f"{path}: too short for frames {start} to {stop - 1}; restore it or ask for fewer")
    return np.stack(frames)


def iterate_frames(path: AnyPath, start: int = 0, stop: int | None = None) -> Iterator[Image]:
    """Decode frames one at a time from `start` to `stop` (exclusive) or the end of the file.

    Frames are numbered by their order in the file, regardless of their time stamps. Raises `UserError` if
    the file is damaged or its frames differ in size, and `FileNotFoundError` if it is missing.
    """
    size = None
    for number, picture in islice(_numbered_pictures(path, start), None if stop is None else stop - start):
        size = size or (picture.width, picture.height)
        if (picture.width, picture.height) != size:
            raise UserError(
                f"{path}: frame {number} is {picture.width}x{picture.height}, but frames before it are "
                f"{size[0]}x{size[1]}; encode it again in one size"
            )
        yield _to_rgb(picture)


def frame_size(path: AnyPath) -> tuple[int, int]:
    """Read height and width from the file's header without decoding; raises as `iterate_frames` does."""
    with _open(path) as container:
        codec = container.streams.video[0].codec_context
        return codec.height, codec.width


def count_frames(path: AnyPath) -> int:
    """Count the frames that the file shows, by its packets if they determine it, else by decoding."""
    with _open(path) as container:
        count = frame_index.count_shown(container)
    return count_decodable(path) if count is None else count


def count_decodable(path: AnyPath) -> int:
    """Count the frames by decoding the whole file."""
    return sum(1 for _ in _numbered_pictures(path, 0))


def _for_ffmpeg(path: Path) -> str:
    """Return an absolute path: FFmpeg would take "12:30/a.mp4" for a URL of the protocol 12."""
    return str(path.absolute())


@contextmanager
def _open(path: AnyPath) -> Iterator[InputContainer]:
    """Open a file for reading; FFmpeg's errors about its content become `UserError`s."""
    require_regular(path)
    try:
        with (
            path.open("rb") if isinstance(path, UrlPath) else nullcontext(_for_ffmpeg(path)) as file,
            av.open(file, "r", container_options=_CONTAINERS, **_ANY_TITLE) as container,
        ):
            codec = container.streams.video[0].codec_context
            if codec is None:
                raise UserError(f"{path}: not a readable video (unknown codec); restore it or make it again")
            codec.thread_count = 1
            yield container
    except _FILE_ERRORS:
        raise
    except (av.error.FFmpegError, IndexError) as error:
        raise UserError(f"{path}: not a readable video ({error}); restore it or make it again") from error


def _numbered_pictures(path: AnyPath, start: int) -> Iterator[tuple[int, VideoFrame]]:
    """Yield the frames from `start` on with their numbers; earlier ones are not converted."""
    if start > 0:
        with _open(path) as container:
            if (position := frame_index.seek(container, start)) is not None:
                number, pictures = position
                yield from islice(enumerate(pictures, number), start - number, None)
                return
    with _open(path) as container:
        yield from islice(enumerate(container.decode(container.streams.video[0])), start, None)


def _to_rgb(picture: VideoFrame) -> Image:
    """Convert with `yuv420_to_rgb` where it applies, else with FFmpeg."""
    if picture.format.name == "gbrp":
        return picture.to_ndarray()  # only reorders planes; FFmpeg's converter would use threads per frame
    is_601 = picture.colorspace in _BT601_OR_UNSPECIFIED and picture.color_range != ColorRange.JPEG
    is_odd = picture.width % 2 or picture.height % 2 or picture.interlaced_frame
    if picture.format.name != "yuv420p" or not is_601 or is_odd:
        return picture.to_ndarray(format="rgb24")
    rgb = np.empty((picture.height, picture.width, 3), np.uint8)
    luma, blue, red = _planes(picture)
    yuv420_to_rgb(luma, blue, red, rgb)
    return rgb


def _planes(picture: VideoFrame) -> list[Plane]:
    """Return views of the picture's planes without row padding."""
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        for plane in picture.planes
    ]
