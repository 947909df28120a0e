"""Clips of a run: the videos that it kept, encoded small enough for a repository and any browser."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from benchmark.results.result_file import Result
from leaderboard.entry.folder import video_name
from leaderboard.entry.limits import MOST_VIDEO_BYTES
from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.video.h264 import iterate_frames, video_writer

QUALITIES = (23, 26, 29, 32, 35, 38, 41, 44, 47, 50)
"""x264 constant rate factors to try, from fine to coarse."""
_STRUCTURE = "keyint=32:min-keyint=32:scenecut=0:bframes=0:cpu-independent=1"
"""No B-frames and a key frame every 32 frames, so that browsers step and seek exactly."""

Frame = UInt8[np.ndarray, "H W 3"]


def kept_videos(run: Path, result: Result) -> dict[str, Path]:
    """Return the videos in the run's folder by key, in the order of keys."""
    paths = {key: run / "videos" / f"{key}.mp4" for key in result.data.keys}
    return {key: path for key, path in paths.items() if path.is_file()}


def write_run_clips(folder: Path, run: Path, result: Result, keys: Sequence[str]) -> dict[str, Path]:
    """Encode the videos of `keys` that the run kept into `folder`; return the files by key."""
    written = {}
    for key, source in kept_videos(run, result).items():
        if key in keys:
            written[key] = folder / video_name(key)
            frames = iterate_frames(source, 0, result.protocol.horizon)
            write_clip(written[key], frames, MOST_VIDEO_BYTES)
    return written


def write_clip(path: Path, frames: Iterable[Frame], most_bytes: int) -> None:
    """Write frames as H.264 at the best quality within `most_bytes`; raise `UserError` if none fits."""
    frames = list(frames)
    height, width, _ = frames[0].shape
    with whole_file(path) as temporary:
        for quality in QUALITIES:
            encoder = {"preset": "slow", "crf": str(quality), "x264-params": _STRUCTURE}
            with video_writer(temporary, height=height, width=width, encoder=encoder) as writer:
                for frame in frames:
                    writer.write(frame)
            if temporary.stat().st_size <= most_bytes:
                return
        raise UserError(
            f"{path}: {len(frames)} frames do not fit into {most_bytes} bytes; leave the video out"
        )
