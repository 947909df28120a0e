"""Save generated videos while they are scored, losslessly: the files hold exactly the scored frames."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack

import numpy as np
from jaxtyping import UInt8

from loopcraft.core.urls import AnyPath
from loopcraft.video.h264 import VideoWriter, video_writer


def record_blocks(
    blocks: Iterator[UInt8[np.ndarray, "B n H W 3"]], paths: Sequence[AnyPath | None]
) -> Generator[UInt8[np.ndarray, "B n H W 3"]]:
    """Yield the blocks and write each video to its path, if any; leave no file if the blocks end early."""
    writers: list[VideoWriter | None] = []
    with ExitStack() as files:
        for block in blocks:
            if not writers:
                _, _, height, width, _ = block.shape
                writers = [
                    None
                    if path is None
                    else files.enter_context(video_writer(path, height=height, width=width, lossless=True))
                    for path in paths
                ]
            for writer, frames in zip(writers, block, strict=True):
                if writer is not None:
                    for frame in frames:
                        writer.write(frame)
            yield block
