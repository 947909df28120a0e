"""Finished videos in a folder, made by anything: the horizon of each video as KEY.mp4, KEY.npz or KEY/*.png.

An .npz holds one array `frames`, uint8 (horizon, H, W, 3); PNG files are taken in the order of their names.
Frames must be those of the horizon alone, without the context.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from benchmark.episodes import Episodes, FrameStreams, to_tensor
from benchmark.model import ContractError
from benchmark.protocol import EvaluationProtocol
from loopcraft.cli import UserError
from loopcraft.storage import file_sha256
from loopcraft.video import count_frames, iterate_frames

CHUNK = 16
"""Frames that are read at a time."""


class Predictions:
    """A folder of videos, played back by key."""

    frame_shape = None

    def __init__(self, folder: Path, name: str) -> None:
        """Raises `UserError` where there is no such folder."""
        if not folder.is_dir():
            raise UserError(f"--predictions {folder}: no such folder")
        self.folder = folder
        self.name = name

    def play(
        self, episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]
    ) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
        """The videos of `keys`; raises `ContractError` for one that is missing or of another length."""
        for key in keys:
            if problem := self.problem(key, protocol):
                raise ContractError(problem)
        streams = FrameStreams(self, keys, 0, protocol.horizon)
        for start in range(0, protocol.horizon, CHUNK):
            yield to_tensor(streams.take(min(CHUNK, protocol.horizon - start)))

    def problem(self, key: str, protocol: EvaluationProtocol) -> str | None:
        """Why the video cannot be scored, None if it can."""
        found = self._find(key)
        if found is None:
            return f"{self.folder / key}: no .mp4, .npz or folder of PNG files"
        count = _count(found)
        if count == protocol.horizon:
            return None
        hint = "; leave the context out" if count == protocol.num_frames else ""
        return f"{found}: holds {count} frames, and {protocol.id} asks for {protocol.horizon}{hint}"

    def iterate_frames(self, key: str, start: int, stop: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Frames start to stop - 1 of a video's horizon."""
        found = self._find(key)
        assert found is not None
        if found.suffix == ".mp4":
            return iterate_frames(found, start, stop)
        frames = _read_archive(found) if found.suffix == ".npz" else map(_read_picture, _pictures(found))
        return islice(frames, start, stop)

    def fingerprint(self, keys: Sequence[str]) -> str:
        """SHA-256 over the files of `keys`: the same for the same videos, wherever they lie."""
        digest = hashlib.sha256()
        for key in keys:
            found = self._find(key)
            files = [] if found is None else _pictures(found) if found.is_dir() else [found]
            for file in files:
                digest.update(f"{key} {file.name} {file_sha256(file)}\n".encode())
        return digest.hexdigest()

    def _find(self, key: str) -> Path | None:
        candidates = [self.folder / f"{key}.mp4", self.folder / f"{key}.npz", self.folder / key]
        return next((path for path in candidates if path.exists()), None)


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def _read_picture(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _count(path: Path) -> int:
    if path.is_dir():
        return len(_pictures(path))
    return count_frames(path) if path.suffix == ".mp4" else _archive_shape(path)[0]


def _archive_shape(path: Path) -> tuple[int, ...]:
    """The shape of the array `frames`, from its header alone; raises `UserError` if it is no video."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("frames.npy") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UserError(f"{path}: not an .npz with an array `frames` ({error})") from error
    if dtype != np.uint8 or len(shape) != 4 or shape[-1] != 3:
        raise UserError(f"{path}: `frames` is {dtype} {shape}, expected uint8 (horizon, H, W, 3)")
    return shape


def _read_archive(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    with np.load(path, allow_pickle=False) as archive:
        yield from archive["frames"]
