"""Finished videos in a folder, made by anything: the horizon of each as KEY.mp4, KEY.npz or KEY/*.png.

Other containers (.mkv, .webm, .mov, .avi), KEY.npy and other pictures (see pictures.py) do too. An .npz holds
one array `frames` and an .npy is one array: uint8 (horizon, H, W, 3). Pictures are taken in the order of the
numbers in their names. Frames must be those of the horizon alone, without the context.
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
"""Frames that are read at a time."""

VIDEOS = (".mp4", ".mkv", ".webm", ".mov", ".avi")
ARRAYS = (".npz", ".npy")


class Predictions:
    """A folder of videos, played back by key."""

    frame_shape = None

    def __init__(self, folder: Path, name: str, conditioning: Conditioning = ACTIONS) -> None:
        """`conditioning` is what their maker was told. Raises `UserError` where there is no such folder."""
        require_folder(folder, COPY)
        if not folder.is_dir():
            raise UserError(f"--predictions {folder}: no such folder")
        self.folder = folder
        self.name = name
        self.conditioning = conditioning
        self._listed = cache(_by_stem)

    def play(
        self, episodes: Episodes, protocol: EvaluationProtocol, keys: Sequence[str]
    ) -> Iterator[UInt8[Tensor, "B n 3 H W"]]:
        """The videos of `keys`; raises `ContractError` for one that cannot be scored."""
        for key in keys:
            if problem := self.problem(key, protocol):
                raise ContractError(problem)
        streams = FrameStreams(self, keys, 0, protocol.horizon)
        for start in range(0, protocol.horizon, CHUNK):
            try:
                frames = streams.take(min(CHUNK, protocol.horizon - start))
            except (OSError, UserError) as error:  # one file's fault, not the run's
                text = describe_os_error(error) if isinstance(error, OSError) else str(error)
                raise ContractError(text) from error
            yield to_tensor(frames)

    def problem(self, key: str, protocol: EvaluationProtocol) -> str | None:
        """Why the video cannot be scored, as far as its names and headers tell; None if it can."""
        try:
            found = self._find(key)
            count = _count(found)
        except OSError as error:
            return describe_os_error(error)
        except UserError as error:
            return str(error)
        if count == protocol.horizon:
            return None
        hint = "; leave the context out" if count == protocol.num_frames else ""
        return f"{found}: holds {count} frames, and {protocol.id} asks for {protocol.horizon}{hint}"

    def iterate_frames(self, key: str, start: int, stop: int) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """Frames start to stop - 1 of a video's horizon."""
        return islice(_read(self._find(key)), start, stop)

    def fingerprint(self, keys: Sequence[str]) -> str:
        """SHA-256 over the files of `keys`: the same for the same videos, wherever they lie."""
        digest = hashlib.sha256()
        for key in keys:
            try:
                found = self._find(key)
                files = list_pictures(found) if found.is_dir() else [found]
            except ContractError:  # what cannot be scored has no files
                continue
            for file in files:
                digest.update(f"{key} {file.name} {file_sha256(file)}\n".encode())
        return digest.hexdigest()

    def _find(self, key: str) -> Path:
        """The one file or folder of a video; raises `ContractError` where there is none, or a choice."""
        path = self.folder / key
        there = self._listed(path.parent).get(path.name, [])
        found = [path for path in there if path.is_dir() or path.suffix.lower() in (*VIDEOS, *ARRAYS)]
        if len(found) > 1:  # the states of a data set may lie beside its videos; an empty folder is no choice
            found = [path for path in found if path.suffix.lower() != ".npy" and not _is_empty(path)] or found
        if len(found) == 1:
            return found[0]
        if not found:
            other = f", but {there[0].name}" if there else ""
            raise ContractError(f"{path}: no .mp4, .npz, .npy or folder of pictures{other}")
        names = " and ".join(sorted(path.name for path in found))
        raise ContractError(f"{path}: {names} are there; keep the one that is to be scored")


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """What lies in a folder, by its name without the ending (and a folder by its name)."""
    listed: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not is_companion(path.name):
            listed.setdefault(path.name if path.is_dir() else path.stem, []).append(path)
    return listed


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(not is_companion(inside.name) for inside in path.iterdir())


def _count(path: Path) -> int:
    if path.is_dir():
        return len(list_pictures(path))
    return array_shape(path)[0] if path.suffix.lower() in ARRAYS else count_frames(path)


def _read(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    if path.is_dir():
        return read_pictures(list_pictures(path))
    return read_array(path) if path.suffix.lower() in ARRAYS else iterate_frames(path)
