"""Read the frames of a video from a folder of pictures: their order and exact 8-bit levels.

Numbers in names sort as numbers (2.png comes before 10.png). Hidden files and those that other systems leave
in folders (Thumbs.db, desktop.ini) are ignored. 16-bit levels are rounded to the nearest of the 256. A
picture that is not opaque is refused, because its background is unknown.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from benchmark.contract.model import ContractError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
"""File name suffixes of pictures, in any case."""

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
"""Accepted formats, regardless of the name: for others Pillow starts programs (Ghostscript for EPS)."""
_COMPANIONS = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})
_NUMBER = re.compile(r"(\d+)")


def is_companion(name: str) -> bool:
    """Return whether a file is hidden or left there by an operating system."""
    return name.startswith((".", "__MACOSX")) or name.lower() in _COMPANIONS


def list_pictures(folder: Path) -> list[Path]:
    """Return a folder's pictures in frame order.

    Raises `ContractError` if two are the same frame or if all files are of unsupported kinds.
    """
    files = [path for path in folder.iterdir() if path.is_file() and not is_companion(path.name)]
    pictures = sorted((path for path in files if path.suffix.lower() in SUFFIXES), key=_sort_key)
    for first, second in pairwise(pictures):
        if _sort_key(first) == _sort_key(second):
            raise ContractError(
                f"{folder}: {first.name} and {second.name} are the same frame; remove one of them"
            )
    if files and not pictures:
        raise ContractError(f"{folder}: {files[0].name} is not a supported picture ({', '.join(SUFFIXES)})")
    return pictures


def read_pictures(paths: list[Path]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Yield the levels of each picture; raises `ContractError` as `read_picture` does, or if sizes differ."""
    shape = None
    for path in paths:
        picture = read_picture(path)
        shape = shape or picture.shape
        if picture.shape != shape:
            sizes = f"{picture.shape[1]}x{picture.shape[0]} pixels and those before it {shape[1]}x{shape[0]}"
            raise ContractError(f"{path}: is {sizes}; make all the same size")
        yield picture


def read_picture(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """Return the levels of a picture; raises `ContractError` if it cannot be read or is not opaque."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            image.verify()  # checks a PNG's checksums, which decoding alone does not
        with Image.open(path, formats=_FORMATS) as image:
            rgba = np.asarray(image.convert("RGBA"))
    except Exception as error:  # of Pillow, zlib or struct: damaged bytes raise a dozen kinds
        raise ContractError(f"{path}: not a readable picture ({error}); make it again") from error
    if rgba[..., 3].min() < 255:
        raise ContractError(f"{path}: has pixels that are not opaque; save it without transparency")
    return _levels_of_16_bits(path) if _has_16_bits(path) else rgba[..., :3]


def _sort_key(path: Path) -> tuple[str | int, ...]:
    """Split a name into text and numbers; numbers are at the odd positions."""
    return tuple(int(part) if part.isdecimal() else part for part in _NUMBER.split(path.stem))


def _has_16_bits(path: Path) -> bool:
    """Return whether the file is a PNG with 16-bit levels, some of which Pillow clamps or truncates."""
    with path.open("rb") as file:
        head = file.read(25)
    return head[1:4] == b"PNG" and head[24] == 16


def _levels_of_16_bits(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    wide = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if wide is None or wide.dtype != np.uint16:
        raise ContractError(f"{path}: its 16-bit levels cannot be read; save it with 8 bits")
    levels: np.ndarray = ((wide[..., ::-1].astype(np.uint32) + 128) // 257).astype(np.uint8)
    return levels
