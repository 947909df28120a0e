"""Read a video stored as one uint8 array (horizon, H, W, 3): `frames` in an .npz, or an .npy."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from jaxtyping import UInt8

from loopcraft.core.errors import UserError
from loopcraft.core.urls import require_regular


def array_shape(path: Path) -> tuple[int, ...]:
    """Return the shape (horizon, H, W, 3) from the file's header; raises `UserError` if it is not a video."""
    with _open_array(path) as file:
        return _read_header(path, file)


def read_array(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Yield the frames, holding one in memory at a time; raises `UserError` for a file that ends early."""
    with _open_array(path) as file:
        num_frames, *shape = _read_header(path, file)
        for index in range(num_frames):
            data = file.read(math.prod(shape))
            if len(data) < math.prod(shape):
                raise UserError(f"{path}: ends in frame {index} of {num_frames}; write it again")
            yield np.frombuffer(data, np.uint8).reshape(shape)


@contextmanager
def _open_array(path: Path) -> Iterator[IO[bytes]]:
    """Open the array's stream; errors in its use, except an `OSError`, become a `UserError`."""
    require_regular(path)
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                yield file
        else:
            with zipfile.ZipFile(path) as archive, archive.open("frames.npy") as member:
                yield member
    except (OSError, UserError):
        raise
    except Exception as error:  # of zipfile, zlib or numpy: damaged bytes raise a dozen kinds
        kind = "an .npy" if path.suffix.lower() == ".npy" else "an .npz with an array `frames`"
        raise UserError(f"{path}: not {kind} ({error})") from error


def _read_header(path: Path, file: IO[bytes]) -> tuple[int, ...]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(file)
    if dtype != np.uint8 or len(shape) != 4 or shape[-1] != 3 or is_fortran:
        order = " in Fortran order" if is_fortran else ""
        raise UserError(f"{path}: `frames` is {dtype} {shape}{order}, expected uint8 (horizon, H, W, 3)")
    return shape
