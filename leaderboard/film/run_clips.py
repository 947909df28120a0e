"""The clips of a run: generated frames of the videos that it kept, encoded small."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.results.result_file import Result
from leaderboard.entry.folder import video_name
from leaderboard.entry.limits import MOST_VIDEO_BYTES
from leaderboard.film.clips import write_clip
from loopcraft.video.h264 import iterate_frames


def kept_videos(run: Path, result: Result) -> dict[str, Path]:
    """The videos of the run's folder by key, in the order of keys."""
    places = {key: run / "videos" / f"{key}.mp4" for key in result.data.keys}
    return {key: path for key, path in places.items() if path.is_file()}


def write_run_clips(folder: Path, run: Path, result: Result, keys: Sequence[str]) -> dict[str, Path]:
    """Encode those of `keys` that the run kept into `folder`; returns the files by key."""
    written = {}
    for key, source in kept_videos(run, result).items():
        if key in keys:
            written[key] = folder / video_name(key)
            frames = iterate_frames(source, 0, result.protocol.horizon)
            write_clip(written[key], frames, MOST_VIDEO_BYTES)
    return written
