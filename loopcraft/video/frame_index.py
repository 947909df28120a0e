"""Where to start decoding so as to reach a frame by its number, for any file that FFmpeg reads.

A frame's number is its place among all frames that the file shows from its beginning on. It is counted in
packets, never divided out of time stamps, which may be late, irregular or absent. Only a key frame that no
packet around it overtakes is a place to start; where none is certain, the file is decoded from its beginning:
slow, but right.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

ONE_PACKET_A_FRAME = frozenset({"h264", "hevc", "ffv1", "mjpeg", "png"})
"""Codecs whose packets show one frame each; others have hidden ones (VP8) or empty ones (MPEG-4 in AVI)."""

_LOOK_AHEAD = 20
"""Packets after a key frame that may be shown before it; x264 and x265 allow 16."""


class Place(NamedTuple):
    """A packet of the file: the byte and the time where to find it, and what it is."""

    byte: int | None
    time: int | None
    is_key: bool
    is_shown: bool


def count_shown(container: InputContainer) -> int | None:
    """The frames that the file shows, by its packets; None where those do not tell."""
    stream = container.streams.video[0]
    if stream.codec_context.name not in ONE_PACKET_A_FRAME:
        return None
    places = list(_places(container, stream))
    begins_well = bool(places) and places[0].is_key  # frames before the first key frame are not shown
    return sum(place.is_shown for place in places) if begins_well else None


def seek(container: InputContainer, number: int) -> tuple[int, Iterator[VideoFrame]] | None:
    """Go to the last certain key frame up to frame `number`: its own number, and the frames from it on.

    None where no key frame is certain: decode a newly opened file from its beginning.
    """
    stream = container.streams.video[0]
    if stream.codec_context.name not in ONE_PACKET_A_FRAME:
        return None
    keys = _key_frames(_places(container, stream), number)
    if not keys:
        return None
    try:
        container.seek(max(keys.values())[1], stream=stream)
    except av.error.FFmpegError:
        return None
    packets = container.demux(stream)
    head = list(islice(packets, _LOOK_AHEAD))
    found, time = keys.get(head[0].pos, (0, None))
    if time is None or time != _time(head[0]) or _is_overtaken(head):
        return None
    pictures = (picture for packet in chain(head, packets) for picture in packet.decode())
    first = next(pictures, None)
    # Fields may have a packet each.
    if not isinstance(first, VideoFrame) or first.pts != head[0].pts or first.interlaced_frame:
        return None
    return found, chain([first], pictures)


def _places(container: InputContainer, stream: VideoStream) -> Iterator[Place]:
    """All packets in the order of decoding: from the file's own table where it is whole, else by reading."""
    table = getattr(stream, "index_entries", ())  # PyAV 15 has none
    if "mp4" in container.format.name and len(table) == stream.frames > 0:
        for entry in table:
            yield Place(entry.pos, entry.timestamp, entry.is_keyframe, not entry.is_discard)
        return
    for packet in container.demux(stream):
        if packet.size:
            yield Place(packet.pos, _time(packet), packet.is_keyframe, not packet.is_discard)


def _key_frames(places: Iterable[Place], most: int) -> dict[int | None, tuple[int, int]]:
    """By the byte where it starts, the number (up to `most`) and time of each key frame.

    None if the file begins without one.
    """
    keys: dict[int | None, tuple[int, int]] = {}
    seen: set[int | None] = set()
    shown = 0
    for byte, time, is_key, is_shown in places:
        if shown > most or not (seen or is_key):
            break
        if byte in seen:  # an edit list plays it again
            keys.pop(byte, None)
        elif is_key and byte is not None and time is not None:
            keys[byte] = shown, time
        seen.add(byte)
        shown += is_shown
    return keys


def _time(packet: "Packet[VideoStream]") -> int | None:
    return packet.pts if packet.dts is None else packet.dts


def _is_overtaken(head: list["Packet[VideoStream]"]) -> bool:
    """Whether some packet after the first is shown before it, or could be."""
    first, *others = (packet.pts for packet in head if packet.size)
    return first is None or any(time is None or time <= first for time in others)
