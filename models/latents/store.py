"""Latents of a data set on disk: one safetensors file per video, from which any window of frames is read.

index.json            {"000/000": 1024, ...}: frames per video; written last, when the set is finished
latents.json          format version, grid, dtype, SHA-256 of the autoencoder and origin of the frames
000/000.safetensors   level0 (T, n, C) ... level3, states float32 (T, 6), and crc32 int64 (T, levels + 1)
SHA256SUMS            the checksums of index.json and latents.json

`crc32` holds checksums of every frame's row in each level and in the states; reads are verified against it.
Older files have none. The published layout, which has no checksums, can be read as well: index.json or
index_unfiltered.json with .pyramid files. At an address, a video is fetched as a whole.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, Shaped
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from loopcraft.core.checksums import add_sums, read_json, sums_of
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.files import encode_json, is_inside, whole_file
from loopcraft.core.urls import AnyPath, path_at, require_regular
from loopcraft.core.writing import copies_of
from loopcraft.dataset.layout import INDEX, STATE_COLUMNS
from models.latents.pyramid_files import read_pyramid
from models.networks.tokens import Grid

FORMAT = "loopcraft-latents"
FORMAT_VERSION = 1
MANIFEST = "latents.json"
ROW_SUMS = "crc32"
PUBLISHED_INDEX = "index_unfiltered.json"


def video_name(key: str) -> str:
    """Return the path of a video's latents within the folder."""
    return f"{key}.safetensors"


def write_video(
    root: AnyPath, key: str, levels: Sequence[Float[Tensor, "T _ C"]], states: Float32[np.ndarray, "T 6"]
) -> None:
    """Write the latents and states of one video."""
    tensors = {f"level{level}": latents.contiguous() for level, latents in enumerate(levels)}
    tensors["states"] = torch.from_numpy(states)
    sums = [row_sums(f"{key} {name}", rows) for name, rows in tensors.items()]
    with whole_file(root / video_name(key)) as temporary:
        save_file({**tensors, ROW_SUMS: torch.stack(sums, dim=1)}, temporary)


def row_sums(name: str, rows: Shaped[Tensor, "T ..."]) -> Int64[Tensor, " T"]:
    """Return the CRC-32 of every row, seeded with name and dtype so that rows of other videos fail."""
    seed = zlib.crc32(f"{name} {rows.dtype}".encode())
    content = rows.contiguous().flatten(1).view(torch.uint8).numpy()
    return torch.tensor([zlib.crc32(row, seed) for row in content], dtype=torch.int64)


def write_index(root: AnyPath, num_frames: Mapping[str, int]) -> None:
    """Mark the folder as finished: write the checksums of manifest and index, then the index."""
    content = encode_json(num_frames)
    add_sums(root, {**sums_of(root, [MANIFEST]), INDEX: hashlib.sha256(content).hexdigest()})
    with whole_file(root / INDEX) as temporary:
        temporary.write_bytes(content)


def make_manifest(grid: Grid, dtype: torch.dtype, **origin: Any) -> dict[str, Any]:
    """Return the content of latents.json."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "grid": asdict(grid),
        "dtype": str(dtype).removeprefix("torch."),
        **origin,
    }


@dataclass(frozen=True, kw_only=True)
class OwnLatents:
    """Latents in the project's own format."""

    root: AnyPath
    grid: Grid
    num_frames: dict[str, int]
    """The length of every video, by key."""
    autoencoder_sha256: str | None = None
    """SHA-256 of the autoencoder's file (None: random weights)."""

    def read(
        self, key: str, start: int = 0, stop: int | None = None, *, first_level: int = 0
    ) -> tuple[list[Float[Tensor, "T _ C"]], Float32[np.ndarray, "T 6"]]:
        """Read latents from `first_level` on, and states, of frames `start` to `stop` - 1.

        Raises `UserError` if the file is damaged.
        """
        name = video_name(key)
        try:
            with copies_of(self.root, [name]) as folder, _open(folder / name) as file:
                self._check(file, self.num_frames[key])
                levels = [
                    file.get_slice(f"level{level}")[start:stop]
                    for level in range(first_level, self.grid.levels)
                ]
                states = file.get_slice("states")[start:stop]
                if ROW_SUMS in file.keys():  # noqa: SIM118
                    sums = file.get_slice(ROW_SUMS)[start:stop, first_level:]
                    self._check_rows(key, first_level, [*levels, states], sums)
        except UserError:
            raise
        except (SafetensorError, ValueError) as error:
            raise UserError(
                f"{self.root / name}: not a whole file ({error}); delete it and encode again"
            ) from error
        return levels, states.numpy()

    def _check_rows(
        self, key: str, first_level: int, arrays: list[Tensor], sums: Int64[Tensor, "T arrays"]
    ) -> None:
        """Raise `ValueError` if rows of levels or states do not match their checksums."""
        names = [*(f"level{level}" for level in range(first_level, self.grid.levels)), "states"]
        actual = [row_sums(f"{key} {name}", rows) for name, rows in zip(names, arrays, strict=True)]
        if not torch.equal(torch.stack(actual, dim=1), sums):
            raise ValueError("its frames do not match their checksums")

    def _check(self, file: Any, num_frames: int) -> None:
        """Raise `ValueError` if the shapes in the open file do not match index and manifest."""
        grid = self.grid
        expected = {f"level{i}": [num_frames, grid.tokens_at(i), grid.channels] for i in range(grid.levels)}
        expected["states"] = [num_frames, len(STATE_COLUMNS)]
        if ROW_SUMS in file.keys():  # noqa: SIM118
            expected[ROW_SUMS] = [num_frames, grid.levels + 1]
        for name, shape in expected.items():
            if (actual := file.get_slice(name).get_shape()) != shape:
                raise ValueError(f"{name} is {actual}, expected {shape}")


@dataclass(frozen=True, kw_only=True)
class PublishedLatents:
    """Latents in the published .pyramid format, in a folder."""

    root: Path
    grid: Grid
    num_frames: dict[str, int]

    def read(
        self, key: str, start: int = 0, stop: int | None = None, *, first_level: int = 0
    ) -> tuple[list[Float[Tensor, "T _ C"]], Float32[np.ndarray, "T 6"]]:
        """Read as `OwnLatents.read` does, in one contiguous read."""
        return read_pyramid(
            self.root / f"{key}.pyramid",
            self.grid,
            self.num_frames[key],
            start=start,
            stop=stop,
            first_level=first_level,
        )


Latents = OwnLatents | PublishedLatents


def open_latents(root: str | AnyPath, published_grid: Grid | None = None) -> Latents:
    """Open a folder of either format, or latents in our own format at an address.

    `published_grid` is the shape of .pyramid files (None: the paper's). Raises `UserError` if the folder has
    no index.
    """
    root = path_at(root)
    names = [name for name in (INDEX, PUBLISHED_INDEX) if (root / name).is_file()]
    if not names:
        raise UserError(
            f"{root}: holds no {INDEX}; give a finished folder of models.encode, or published latents"
        )
    num_frames = _read_lengths(root / names[0])
    if isinstance(root, Path) and not (root / MANIFEST).is_file():
        return PublishedLatents(root=root, grid=published_grid or Grid(), num_frames=num_frames)
    manifest = _read_manifest(root / MANIFEST)
    return OwnLatents(
        root=root, grid=manifest.grid, num_frames=num_frames, autoencoder_sha256=manifest.autoencoder_sha256
    )


def _open(path: Path) -> Any:
    require_regular(path)
    return safe_open(path, framework="pt")


@dataclass(frozen=True, kw_only=True)
class _Manifest:
    """The fields of latents.json that are read; it may contain others."""

    grid: Grid
    autoencoder_sha256: str | None = None


def _read_manifest(path: AnyPath) -> _Manifest:
    """Read the manifest; raise `UserError` if it is not in our format."""
    content = read_json(path.parent, path.name)
    is_ours = isinstance(content, dict) and content.get("format") == FORMAT
    if not is_ours or content.get("version") != FORMAT_VERSION:
        raise UserError(f"{path}: not a {FORMAT} manifest of version {FORMAT_VERSION}; encode again")
    names = [field.name for field in fields(_Manifest)]
    try:
        return decode(_Manifest, {name: content[name] for name in names if name in content})
    except (SchemaError, UserError) as error:
        raise UserError(f"{path}: damaged ({error}); restore it or encode again") from error


def _read_lengths(path: AnyPath) -> dict[str, int]:
    """Read the number of frames of each video; raise `UserError` if the file is not an index."""
    index = read_json(path.parent, path.name)
    if not isinstance(index, dict):
        raise UserError(f"{path}: not an index of videos; restore it or encode again")
    for key, frames in index.items():
        if not is_inside(key) or type(frames) is not int or frames < 1:
            raise UserError(f"{path}: invalid entry {key!r}: {frames!r}; restore it or encode again")
    return index
