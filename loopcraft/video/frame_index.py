"""Seeking to a frame by its number, in any file that FFmpeg reads.

A frame's number is its index among all frames that the file shows. It is counted in packets, never computed
from time stamps, which can start late, be irregular or be missing. Decoding starts only at a key frame that
no other packet overtakes in display order; if none is certain, the file is decoded from its beginning: slow,
but correct.
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
"""Codecs whose packets show one frame each; others have hidden (VP8) or empty packets (MPEG-4 in AVI)."""

_LOOK_AHEAD = 20
"""Packets after a key frame that could be shown before it; x264 and x265 allow 16."""


class PacketInfo(NamedTuple):
    """Position (byte and time stamp) and kind of one packet."""

    byte: int | None
    time: int | None
    is_key: bool
    is_shown: bool


def count_shown(container: InputContainer) -> int | None:
    """Count the frames that the file shows by its packets; None if they do not determine it."""
    stream = container.streams.video[0]
    if stream.codec_context.name not in ONE_PACKET_A_FRAME:
        return None
    packets = list(_packets(container, stream))
    starts_with_key = bool(packets) and packets[0].is_key  # frames before the first key frame are not shown
    return sum(packet.is_shown for packet in packets) if starts_with_key else None


def seek(container: InputContainer, number: int) -> tuple[int, Iterator[VideoFrame]] | None:
    """Seek to a certain key frame at or before frame `number`; return its number and the frames from it on.

    Return None if no key frame is certain; then reopen the file and decode it from its beginning.
    """
    stream = container.streams.video[0]
    if stream.codec_context.name not in ONE_PACKET_A_FRAME:
        return None
    keys = _key_frames(_packets(container, stream), number)
    if not keys:
        return None
    try:
        container.seek(max(keys.values())[1], stream=stream)
    except av.error.FFmpegError:
        return None
    packets = container.demux(stream)
    head = list(islice(packets, _LOOK_AHEAD))
    first_number, time = keys.get(head[0].pos, (0, None))
    if time is None or time != _time(head[0]) or _is_overtaken(head):
        return None
    pictures = (picture for packet in chain(head, packets) for picture in packet.decode())
    first = next(pictures, None)
    # In interlaced video, each field may have its own packet.
    if not isinstance(first, VideoFrame) or first.pts != head[0].pts or first.interlaced_frame:
        return None
    return first_number, chain([first], pictures)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[PacketInfo]:
    """Yield all packets in decoding order, from the file's index if complete, else by reading the file."""
    table = getattr(stream, "index_entries", ())  # PyAV 15 has none
    if "mp4" in container.format.name and len(table) == stream.frames > 0:
        for entry in table:
            yield PacketInfo(entry.pos, entry.timestamp, entry.is_keyframe, not entry.is_discard)
        return
    for packet in container.demux(stream):
        if packet.size:
            yield PacketInfo(packet.pos, _time(packet), packet.is_keyframe, not packet.is_discard)


def _key_frames(packets: Iterable[PacketInfo], last: int) -> dict[int | None, tuple[int, int]]:
    """Return the number (up to `last`) and time of each key frame by its first byte.

    Empty if the file does not start with a key frame.
    """
    keys: dict[int | None, tuple[int, int]] = {}
    seen: set[int | None] = set()
    shown = 0
    for byte, time, is_key, is_shown in packets:
        if shown > last or not (seen or is_key):
            break
        if byte in seen:  # an edit list repeats it
            keys.pop(byte, None)
        elif is_key and byte is not None and time is not None:
            keys[byte] = shown, time
        seen.add(byte)
        shown += is_shown
    return keys


def _time(packet: "Packet[VideoStream]") -> int | None:
    return packet.pts if packet.dts is None else packet.dts


def _is_overtaken(head: list["Packet[VideoStream]"]) -> bool:
    """Return whether a later packet is, or could be, shown before the first."""
    first, *others = (packet.pts for packet in head if packet.size)
    return first is None or any(time is None or time <= first for time in others)
