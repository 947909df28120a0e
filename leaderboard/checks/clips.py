"""Whether the short videos of an entry are as they should be: as long as the horizon, of its frames' size."""

from collections.abc import Iterator

from leaderboard.checks.findings import Finding, refused
from leaderboard.entry.folder import Entry
from loopcraft.core.errors import UserError
from loopcraft.core.urls import content_of
from loopcraft.video.h264 import frame_size, iterate_frames

_AGAIN = "let python -m leaderboard.submit make the videos"


def check_clips(entry: Entry) -> Iterator[Finding]:
    """Every video decodes, has a frame for each generated one, and their size."""
    horizon = entry.result.protocol.horizon
    _, height, width = entry.result.data.frame_shape
    for key, path in entry.videos.items():
        try:
            if content_of(path)[4:8] != b"ftyp":
                yield refused(f"the video of {key} is no MP4", _AGAIN)
                continue
            if frame_size(path) != (height, width):  # before anything is decoded
                yield refused(
                    f"the video of {key} has frames of {frame_size(path)}, not {(height, width)}", _AGAIN
                )
                continue
            shapes = [frame.shape[:2] for frame in iterate_frames(path, 0, horizon + 1)]
        except UserError:
            yield refused(f"the video of {key} cannot be decoded", _AGAIN)
            continue
        if len(shapes) != horizon:
            yield refused(f"the video of {key} has {len(shapes)} frames or more, not {horizon}", _AGAIN)
