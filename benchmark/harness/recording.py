"""Keep generated videos while they are scored, as lossless files that hold exactly what was scored."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack

import numpy as np
from jaxtyping import UInt8

from loopcraft.core.urls import AnyPath
from loopcraft.video.h264 import VideoWriter, video_writer


def record_blocks(
    blocks: Iterator[UInt8[np.ndarray, "B n H W 3"]], paths: Sequence[AnyPath | None]
) -> Generator[UInt8[np.ndarray, "B n H W 3"]]:
    """Pass blocks on; a video with a path is in its file once all have passed, and in none if they stop."""
    writers: list[VideoWriter | None] = []
    with ExitStack() as files:
        for block in blocks:
            if not writers:
                _, _, height, width, _ = block.shape
                writers = [_open(path, height, width, files) for path in paths]
            for writer, frames in zip(writers, block, strict=True):
                if writer is not None:
                    for frame in frames:
                        writer.write(frame)
            yield block


def _open(path: AnyPath | None, height: int, width: int, files: ExitStack) -> VideoWriter | None:
    if path is None:
        return None
    return files.enter_context(video_writer(path, height=height, width=width, lossless=True))
