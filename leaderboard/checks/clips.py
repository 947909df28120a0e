"""Check that an entry's videos decode and have the horizon's length and the data's frame size."""

from collections.abc import Iterator

from leaderboard.checks.findings import Finding, refused
from leaderboard.entry.folder import Entry
from loopcraft.core.errors import UserError
from loopcraft.core.urls import content_of
from loopcraft.video.h264 import frame_size, iterate_frames

_REMEDY = "create the videos with python -m leaderboard.submit"


def check_clips(entry: Entry) -> Iterator[Finding]:
    """Yield a refusal for each video that does not decode or has the wrong length or frame size."""
    horizon = entry.result.protocol.horizon
    _, height, width = entry.result.data.frame_shape
    for key, path in entry.videos.items():
        try:
            if content_of(path)[4:8] != b"ftyp":
                yield refused(f"the video of {key} is not an MP4", _REMEDY)
                continue
            if frame_size(path) != (height, width):  # before anything is decoded
                size = f"{frame_size(path)}, not {(height, width)}"
                yield refused(f"the video of {key} has frames of {size}", _REMEDY)
                continue
            shapes = [frame.shape[:2] for frame in iterate_frames(path, 0, horizon + 1)]
        except UserError:
            yield refused(f"the video of {key} cannot be decoded", _REMEDY)
            continue
        if len(shapes) != horizon:
            count = f"{len(shapes)} or more" if len(shapes) > horizon else len(shapes)
            yield refused(f"the video of {key} has {count} frames, not {horizon}", _REMEDY)
