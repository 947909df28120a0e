"""A folder of pictures as the frames of a video: their order, and their exact 8-bit levels.

Numbers in names count as numbers (2.png comes before 10.png). Hidden files and what other systems leave in
folders (Thumbs.db, desktop.ini) are no pictures. 16-bit levels are rounded to the nearest of the 256, and a
picture that is not opaque is refused, as nobody can know what should be seen through it.
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
"""Endings of pictures, in small or capital letters."""

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
"""What a picture may be, whatever its name: for others Pillow starts programs (Ghostscript for EPS)."""
_COMPANIONS = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db", "icon\r"})
_NUMBER = re.compile(r"(\d+)")


def is_companion(name: str) -> bool:
    """Whether a file is hidden or one that a system leaves beside others."""
    return name.startswith((".", "__MACOSX")) or name.lower() in _COMPANIONS


def list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their frames.

    Raises `ContractError` where two names have the same place, or where files are of kinds that are not read.
    """
    files = [path for path in folder.iterdir() if path.is_file() and not is_companion(path.name)]
    pictures = sorted((path for path in files if path.suffix.lower() in SUFFIXES), key=_place)
    for one, other in pairwise(pictures):
        if _place(one) == _place(other):
            raise ContractError(
                f"{folder}: {one.name} and {other.name} are the same frame; remove one of them"
            )
    if files and not pictures:
        raise ContractError(f"{folder}: {files[0].name} is no picture that is read ({', '.join(SUFFIXES)})")
    return pictures


def read_pictures(paths: list[Path]) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Their levels; raises `ContractError` for a picture that is damaged, not opaque or of another size."""
    shape = None
    for path in paths:
        picture = read_picture(path)
        shape = shape or picture.shape
        if picture.shape != shape:
            sizes = f"{picture.shape[1]}x{picture.shape[0]} and those before it {shape[1]}x{shape[0]}"
            raise ContractError(f"{path}: is {sizes} pixels; make all of one size")
        yield picture


def read_picture(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    """The levels of one picture; raises `ContractError` for one that cannot be read or is not opaque."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            image.verify()  # a PNG's checksums, which decoding alone leaves aside
        with Image.open(path, formats=_FORMATS) as image:
            rgba = np.asarray(image.convert("RGBA"))
    except Exception as error:  # of Pillow, zlib or struct: damaged bytes raise a dozen kinds
        raise ContractError(f"{path}: not a readable picture ({error}); make it again") from error
    if rgba[..., 3].min() < 255:
        raise ContractError(f"{path}: has pixels that are not opaque; save it without transparency")
    return _levels_of_16_bits(path) if _has_16_bits(path) else rgba[..., :3]


def _place(path: Path) -> tuple[str | int, ...]:
    """What pictures are sorted by: the name's letters and, at every odd place, a number."""
    return tuple(int(part) if part.isdecimal() else part for part in _NUMBER.split(path.stem))


def _has_16_bits(path: Path) -> bool:
    """Whether the file is a PNG of 16 bits a level (of which Pillow clamps or drops some)."""
    with path.open("rb") as file:
        head = file.read(25)
    return head[1:4] == b"PNG" and head[24] == 16


def _levels_of_16_bits(path: Path) -> UInt8[np.ndarray, "H W 3"]:
    wide = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if wide is None or wide.dtype != np.uint16:
        raise ContractError(f"{path}: its 16-bit levels cannot be read; save it with 8 bits")
    levels: np.ndarray = ((wide[..., ::-1].astype(np.uint32) + 128) // 257).astype(np.uint8)
    return levels
