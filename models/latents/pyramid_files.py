"""The published file formats: `.pyramid` (latents and actions of one video) and `.frames` (a list of blobs).

A .pyramid file has one section per start level a, finest first. Section a holds, frame by frame, the latents
of level a and all coarser levels (channel, row, column; little-endian bfloat16) and the frame's six action
columns (float32). Coarse data is repeated so that any range of frames, from any level on, is a single read.
A .frames file starts with one 64-bit end offset per blob, relative to the end of this header.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import BFloat16, Float, Float32
from torch import Tensor

from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.core.urls import require_regular
from models.networks.tokens import Grid

ACTION_COLUMNS = 6

FrameLatents = list[BFloat16[Tensor, "T _ C"]]
"""The latents of consecutive frames of one video, finest of the read levels first."""


def record_bytes(grid: Grid, first_level: int) -> int:
    """Return the bytes per frame in the section that starts at `first_level`."""
    tokens = sum(grid.tokens_per_level[first_level:])
    return 2 * grid.channels * tokens + 4 * ACTION_COLUMNS


def write_pyramid(
    path: Path, latents: Sequence[Float[Tensor, "T _ C"]], actions: Float32[np.ndarray, "T 6"]
) -> None:
    """Write the latents of all levels, rounded to bfloat16, and the actions."""
    parts = [
        level.to(torch.bfloat16).mT.contiguous().flatten(1).view(torch.uint8).cpu().numpy()
        for level in latents
    ]
    tail = np.ascontiguousarray(actions, "<f4").view(np.uint8)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        for first in range(len(parts)):
            file.write(np.concatenate([*parts[first:], tail], axis=1).tobytes())


def read_pyramid(
    path: Path, grid: Grid, num_frames: int, *, start: int = 0, stop: int | None = None, first_level: int = 0
) -> tuple[FrameLatents, Float32[np.ndarray, "T 6"]]:
    """Read latents from `first_level` on, and actions, of frames `start` to `stop` - 1 of `num_frames`.

    Raises `UserError` for frames or levels out of range, and for a damaged file.
    """
    stop = num_frames if stop is None else stop
    if not (0 <= start <= stop <= num_frames and 0 <= first_level < grid.levels):
        raise UserError(
            f"{path}: cannot read frames {start} to {stop} from level {first_level} on; it holds "
            f"{num_frames} frames and {grid.levels} levels"
        )
    sizes = [num_frames * record_bytes(grid, level) for level in range(grid.levels)]
    require_regular(path)
    if (size := path.stat().st_size) != sum(sizes):
        raise UserError(
            f"{path}: has {size} bytes, but {num_frames} frames of this shape take {sum(sizes)}; fetch it "
            "again"
        )
    width = record_bytes(grid, first_level)
    with path.open("rb") as file:
        file.seek(sum(sizes[:first_level]) + start * width)
        raw = np.frombuffer(file.read((stop - start) * width), np.uint8).reshape(stop - start, width)
    latents, offset = [], 0
    for tokens in grid.tokens_per_level[first_level:]:
        part = raw[:, offset : offset + 2 * grid.channels * tokens].copy()
        bits = torch.from_numpy(part.view(np.int16)).view(torch.bfloat16)
        latents.append(bits.view(stop - start, grid.channels, tokens).mT.contiguous())
        offset += part.shape[1]
    return latents, raw[:, offset:].copy().view("<f4")


def write_frames(path: Path, blobs: Sequence[bytes]) -> None:
    """Write a .frames file."""
    ends = np.cumsum([len(blob) for blob in blobs], dtype="<u8")
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(ends.tobytes())
        file.writelines(blobs)


def read_frames(path: Path, num_frames: int, start: int = 0, stop: int | None = None) -> list[bytes]:
    """Read blobs `start` to `stop` - 1 of a file that holds `num_frames`.

    Raises `UserError` for blobs out of range, and for a damaged file.
    """
    stop = num_frames if stop is None else stop
    if not 0 <= start <= stop <= num_frames:
        raise UserError(f"{path}: cannot read blobs {start} to {stop}; it holds {num_frames}")
    require_regular(path)
    with path.open("rb") as file:
        raw = file.read(8 * num_frames)
        header = np.frombuffer(raw[: len(raw) // 8 * 8], "<u8").tolist()
        is_whole = len(header) == num_frames and header == sorted(header)
        if not is_whole or path.stat().st_size != 8 * num_frames + (header[-1] if header else 0):
            raise UserError(f"{path}: does not hold {num_frames} whole blobs; fetch it again")
        bounds = [0, *header][start : stop + 1]
        file.seek(8 * num_frames + bounds[0])
        return [file.read(end - begin) for begin, end in itertools.pairwise(bounds)]
