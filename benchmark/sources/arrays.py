"""A video as one array uint8 (horizon, H, W, 3): `frames` in an .npz, or an .npy; read frame by frame."""

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
    """The shape (horizon, H, W, 3) that the file's header tells; raises `UserError` if it is no video."""
    with _opened(path) as file:
        return _read_header(path, file)


def read_array(path: Path) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """The frames one after the other, so that a compressed file takes no more memory than one of them.

    Raises `UserError` for a file that ends early.
    """
    with _opened(path) as file:
        count, *frame = _read_header(path, file)
        for place in range(count):
            data = file.read(math.prod(frame))
            if len(data) < math.prod(frame):
                raise UserError(f"{path}: ends in frame {place} of {count}; make it again")
            yield np.frombuffer(data, np.uint8).reshape(frame)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """The array's own stream; whatever is wrong with the file around it becomes a `UserError`."""
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
        order = " in Fortran's order" if is_fortran else ""
        raise UserError(f"{path}: `frames` is {dtype} {shape}{order}, expected uint8 (horizon, H, W, 3)")
    return shape
