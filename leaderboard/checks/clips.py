"""Whether the short videos of an entry are what they should be: H.264 of the horizon's length, in small frames."""

from collections.abc import Iterator

from leaderboard.checks.findings import Finding, refused
from leaderboard.entry.folder import Entry
from loopcraft.core.errors import UserError
from loopcraft.video.h264 import iterate_frames

_AGAIN = "let python -m leaderboard.submit make the videos"
MOST_PIXELS = 512
"""Height and width of a frame that is decoded to be counted."""


def check_clips(entry: Entry) -> Iterator[Finding]:
    """Every video decodes, has a frame for each generated one, and their size."""
    horizon = entry.result.protocol.horizon
    _, height, width = entry.result.data.frame_shape
    for key, path in entry.videos.items():
        if path.read_bytes()[4:8] != b"ftyp":
            yield refused(f"the video of {key} is no MP4", _AGAIN)
            continue
        try:
            count = 0
            for frame in iterate_frames(path, 0, horizon + 1):
                count += 1
                if frame.shape[:2] != (height, width) or max(frame.shape) > MOST_PIXELS:
                    yield refused(
                        f"the video of {key} has frames of {frame.shape[1]}x{frame.shape[0]}", _AGAIN
                    )
                    break
            else:
                if count != horizon:
                    yield refused(
                        f"the video of {key} has {count} frames, not the horizon's {horizon}", _AGAIN
                    )
        except UserError:
            yield refused(f"the video of {key} cannot be decoded", _AGAIN)
