"""Latents of a data set on disk: a safetensors file a video, a tensor a level, read by any window of frames.

index.json        {"000/000": 1024, ...}: frames of each video; written last: the set is finished
latents.json      format version, grid, dtype, sha256 of the autoencoder, and where the frames came from
000/000.safetensors   level0 (T, n, C) ... level3, and states float32 (T, 6)

The published layout (index.json or index_unfiltered.json with .pyramid files) opens as well.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from loopcraft.cli import UserError
from loopcraft.storage import INDEX, read_json, whole_file
from models.pyramid_files import read_pyramid
from models.tokens import Grid

FORMAT = "loopcraft-latents"
FORMAT_VERSION = 1
MANIFEST = "latents.json"
PUBLISHED_INDEX = "index_unfiltered.json"


def video_file(root: Path, key: str) -> Path:
    """Where a video's latents lie."""
    return root / f"{key}.safetensors"


def write_video(
    root: Path, key: str, levels: Sequence[Float[Tensor, "T _ C"]], states: Float32[np.ndarray, "T 6"]
) -> None:
    """Write the latents and states of one video, whole."""
    tensors = {f"level{level}": latents.contiguous() for level, latents in enumerate(levels)}
    tensors["states"] = torch.from_numpy(states)
    with whole_file(video_file(root, key)) as temporary:
        save_file(tensors, temporary)


def manifest_of(grid: Grid, dtype: torch.dtype, **origin: Any) -> dict[str, Any]:
    """What latents.json says."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "grid": asdict(grid),
        "dtype": str(dtype).removeprefix("torch."),
        **origin,
    }


@dataclass(frozen=True, kw_only=True)
class OwnLatents:
    """Latents in our own format."""

    root: Path
    grid: Grid
    num_frames: dict[str, int]
    """The length of every video, by key."""
    autoencoder_sha256: str | None = None
    """The file of the autoencoder that made them (None: random weights)."""

    def read(
        self, key: str, start: int = 0, stop: int | None = None, *, first_level: int = 0
    ) -> tuple[list[Float[Tensor, "T _ C"]], Float32[np.ndarray, "T 6"]]:
        """Latents from `first_level` on, and states, of frames `start` to `stop` - 1: one slice a level."""
        path = video_file(self.root, key)
        try:
            with safe_open(path, framework="pt") as file:
                levels = [
                    file.get_slice(f"level{level}")[start:stop]
                    for level in range(first_level, self.grid.levels)
                ]
                states = file.get_slice("states")[start:stop].numpy()
        except SafetensorError as error:
            raise UserError(f"{path}: not a whole file ({error}); delete it and encode again") from error
        return levels, states


@dataclass(frozen=True, kw_only=True)
class PublishedLatents:
    """Latents in the published .pyramid format."""

    root: Path
    grid: Grid
    num_frames: dict[str, int]

    def read(
        self, key: str, start: int = 0, stop: int | None = None, *, first_level: int = 0
    ) -> tuple[list[Float[Tensor, "T _ C"]], Float32[np.ndarray, "T 6"]]:
        """The same; one contiguous read."""
        return read_pyramid(
            self.root / f"{key}.pyramid",
            self.grid,
            self.num_frames[key],
            start=start,
            stop=stop,
            first_level=first_level,
        )


Latents = OwnLatents | PublishedLatents


def open_latents(root: Path, published_grid: Grid | None = None) -> Latents:
    """Open a folder of either format; `published_grid` is the shape of .pyramid files (None: the paper's)."""
    names = [name for name in (INDEX, PUBLISHED_INDEX) if (root / name).is_file()]
    if not names:
        raise UserError(
            f"{root}: holds no {INDEX}; give a finished folder of models.encode, or published latents"
        )
    num_frames: dict[str, int] = read_json(root / names[0])
    if not (root / MANIFEST).is_file():
        return PublishedLatents(root=root, grid=published_grid or Grid(), num_frames=num_frames)
    manifest = read_json(root / MANIFEST)
    if (manifest.get("format"), manifest.get("version")) != (FORMAT, FORMAT_VERSION):
        raise UserError(f"{root / MANIFEST}: no {FORMAT} of version {FORMAT_VERSION}; encode again")
    return OwnLatents(
        root=root,
        grid=Grid(**manifest["grid"]),
        num_frames=num_frames,
        autoencoder_sha256=manifest.get("autoencoder_sha256"),
    )
