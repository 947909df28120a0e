"""Finished videos in a folder, from any source: the horizon of each as KEY.mp4, KEY.npz or KEY/*.png.

Other containers (.mkv, .webm, .mov, .avi), KEY.npy and other pictures (see pictures.py) work too. An .npz
holds one array `frames` and an .npy is one array: uint8 (horizon, H, W, 3). Pictures are sorted by the
numbers in their names. The frames are those of the horizon only, without the context.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from benchmark.contract.conditioning import ACTIONS, Conditioning
from benchmark.contract.data import Episodes, FrameStreams, to_tensor
from benchmark.contract.model import ContractError
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.sources.arrays import array_shape, read_array
from benchmark.sources.pictures import is_companion, list_pictures, read_pictures
from loopcraft.core.cli import describe_os_error
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from loopcraft.core.urls import COPY, require_folder
from loopcraft.video.h264 import count_frames, iterate_frames

CHUNK = 16
"""Frames to read at a time."""

VIDEOS = (".mp4", ".mkv", ".webm", ".mov", ".avi")
ARRAYS = (".npz", ".npy")


class Predictions:
    """A folder of videos, played back by key."""

    frame_shape = None

    def __init__(self, folder: Path, name: str, conditioning: Conditioning = ACTIONS) -> None:
        """`conditioning` is what the videos' model was given; raises `UserError` for a missing folder."""
        require_folder(folder, COPY)
        if not folder.is_dir():
            raise UserError(f"--predictions {folder}: no such folder")
        self.folder = folder
        self.name = name
        self.conditioning = conditioning
        self._paths_by_stem = cache(_paths_by_stem)

    def play(
        self, episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]
    ) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
        """Yield the videos of `keys` in chunks; raises `ContractError` for one that cannot be scored."""
        for key in keys:
            if problem := self.problem(key, protocol):
                raise ContractError(problem)
        streams = FrameStreams(self, keys, 0, protocol.horizon)
        for start in range(0, protocol.horizon, CHUNK):
            try:
                frames = streams.take(min(CHUNK, protocol.horizon - start))
            except (OSError, UserError) as error:  # the fault of one file, not of the run
                text = describe_os_error(error) if isinstance(error, OSError) else str(error)
                raise ContractError(text) from error
            yield to_tensor(frames)

    def problem(self, key: str, protocol: EvaluationProtocol) -> str | None:
        """Return why the video cannot be scored, judging by names and headers; None if it can."""
        try:
            path = self._find(key)
            count = _count(path)
        except OSError as error:
            return describe_os_error(error)
        except UserError as error:
            return str(error)
        if count == protocol.horizon:
            return None
        hint = "; leave the context out" if count == protocol.num_frames else ""
        return f"{path}: holds {count} frames, and {protocol.id} asks for {protocol.horizon}{hint}"

    def iterate_frames(self, key: str, start: int, stop: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Yield frames start to stop - 1 of a video's horizon."""
        return islice(_read(self._find(key)), start, stop)

    def fingerprint(self, keys: Sequence[str]) -> str:
        """Return the SHA-256 over the files of `keys`, regardless of the folder's location."""
        digest = hashlib.sha256()
        for key in keys:
            try:
                path = self._find(key)
                files = list_pictures(path) if path.is_dir() else [path]
            except ContractError:  # it cannot be scored, so its files do not count
                continue
            for file in files:
                digest.update(f"{key} {file.name} {file_sha256(file)}\n".encode())
        return digest.hexdigest()

    def _find(self, key: str) -> Path:
        """Return the video's file or folder; raises `ContractError` unless there is exactly one."""
        path = self.folder / key
        siblings = self._paths_by_stem(path.parent).get(path.name, [])
        videos = [path for path in siblings if path.is_dir() or path.suffix.lower() in (*VIDEOS, *ARRAYS)]
        if len(videos) > 1:  # ignore the .npy states of a data set, and empty folders
            videos = [
                path for path in videos if path.suffix.lower() != ".npy" and not _is_empty(path)
            ] or videos
        if len(videos) == 1:
            return videos[0]
        if not videos:
            other = f", but {siblings[0].name}" if siblings else ""
            raise ContractError(f"{path}: no .mp4, .npz, .npy or folder of pictures{other}")
        names = " and ".join(sorted(path.name for path in videos))
        raise ContractError(f"{path}: found {names}; keep only the one to score")


def _paths_by_stem(folder: Path) -> dict[str, list[Path]]:
    """Group a folder's files by their names without the suffix, and its folders by their names."""
    paths: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not is_companion(path.name):
            paths.setdefault(path.name if path.is_dir() else path.stem, []).append(path)
    return paths


def _is_empty(path: Path) -> bool:
    return path.is_dir() and all(is_companion(child.name) for child in path.iterdir())


def _count(path: Path) -> int:
    if path.is_dir():
        return len(list_pictures(path))
    return array_shape(path)[0] if path.suffix.lower() in ARRAYS else count_frames(path)


def _read(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    if path.is_dir():
        return read_pictures(list_pictures(path))
    return read_array(path) if path.suffix.lower() in ARRAYS else iterate_frames(path)
