"""Recall masks of an episode, KEY.seen.npz: which surfaces the context has shown, and how long ago.

seen  bool (T, H, W): the surface (block face) that the pixel shows was visible in the context
age   uint16 (T, H, W): frames since the context last showed it; 0 if never or if it has been in sight since
sky   bool (T, H, W): the pixel shows no surface

Row t belongs to frame t. H and W may be fractions of the frame's: a cell then covers several pixels and
records the surface hit by the ray through its centre.

The file is an NPZ. `loopcraft.masks` writes the masks as codes (mask_codes.py): their `shape` and two byte
streams, `symbols` and `values`. Files from older versions and other tools hold the arrays themselves, and may
omit `age` and `sky`.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Shaped

from loopcraft.core.checksums import require_sha256
from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, content_of
from loopcraft.dataset.mask_codes import DTYPES, Codes, Masks, codes_of, masks_of, pack, unpack

__all__ = ["AGAIN", "DTYPES", "SUFFIX", "Masks", "encode_codes", "encode_masks", "read_masks", "spread"]

SUFFIX = ".seen.npz"
AGAIN = "delete them and run python -m loopcraft.masks"
_CODED = {"shape", "symbols", "values"}


def read_masks(
    path: AnyPath, num_frames: int, most_pixels: int | None = None, sha256: str | None = None
) -> Masks:
    """Read an episode's masks by name; raise `UserError` if they are damaged or not as described above.

    No array is unpacked before its shape is checked: H x W is at most `most_pixels`, the pixels of a frame.
    """
    data = content_of(path)
    require_sha256(path, data, sha256, remedy=AGAIN)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            if set(stored.files) == _CODED:
                return masks_of(_read_codes(path, stored, len(data), num_frames, most_pixels))
            _check_headers(path, _headers(stored), num_frames, most_pixels)
            masks = {name: np.asarray(stored[name]) for name in stored.files}
    except UserError:
        raise
    except Exception as error:  # damaged bytes raise a dozen kinds, from zipfile, zlib and numpy
        raise UserError(f"{path}: not a readable NPZ file ({error}); {AGAIN}") from error
    _check_headers(path, {name: (mask.dtype, mask.shape) for name, mask in masks.items()}, num_frames)
    return masks


Headers = Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]


def _headers(stored: Any) -> Headers:
    """Read the type and shape of each array of an open NPZ file from its header."""
    headers = {}
    for name in stored.files[: len(DTYPES) + 1]:
        with stored.zip.open(f"{name}.npy") as file:
            is_first = np.lib.format.read_magic(file) == (1, 0)
            read = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
        headers[name] = (dtype, shape)
    return headers


def _check_headers(path: AnyPath, headers: Headers, num_frames: int, most_pixels: int | None = None) -> None:
    shapes = {shape for _, shape in headers.values()}
    is_known = "seen" in headers and all(dtype == DTYPES.get(name) for name, (dtype, _) in headers.items())
    is_valid = is_known and len(shapes) == 1 and len(shape := shapes.pop()) == 3 and shape[0] == num_frames
    if not is_valid or (most_pixels is not None and shape[1] * shape[2] > most_pixels):
        content = {name: f"{dtype} {shape}" for name, (dtype, shape) in headers.items()}
        raise UserError(
            f"{path}: holds {content}; masks are seen (bool), age (uint16, optional) and sky (bool, optional)"
            f" of one shape ({num_frames}, H, W), at most a frame's: {AGAIN}"
        )


def _read_codes(path: AnyPath, stored: Any, size: int, num_frames: int, most_pixels: int | None) -> Codes:
    """Read the codes of an open file of `size` bytes, once their shape is checked."""
    headers = _headers(stored)
    streams = [headers[name] for name in ("symbols", "values")]
    are_streams = all(kind == np.uint8 and len(length) == 1 and length[0] <= size for kind, length in streams)
    shape = tuple(stored["shape"].tolist()) if headers["shape"] == (np.dtype(np.int64), (3,)) else ()
    if not are_streams or len(shape) != 3 or shape[0] != num_frames or min(shape) < 1:
        raise UserError(f"{path}: holds no codes of {num_frames} frames; {AGAIN}")
    if most_pixels is not None and shape[1] * shape[2] > most_pixels:
        raise UserError(f"{path}: holds codes {shape}; masks have at most a frame's pixels: {AGAIN}")
    return unpack(stored["symbols"].tobytes(), stored["values"].tobytes(), shape)


def encode_masks(masks: Mapping[str, Shaped[np.ndarray, "T H W"]]) -> bytes:
    """Encode masks as the content of KEY.seen.npz; the same masks give the same bytes."""
    codes = codes_of(masks)
    if codes is not None:
        return encode_codes(codes)
    file = io.BytesIO()
    np.savez_compressed(file, **masks)  # type: ignore[arg-type]  # numpy's stub takes it for allow_pickle
    return file.getvalue()


def encode_codes(codes: Codes) -> bytes:
    """Encode the codes of masks as the content of KEY.seen.npz."""
    symbols, values = (np.frombuffer(stream, np.uint8) for stream in pack(codes))
    file = io.BytesIO()
    np.savez(file, shape=np.array(codes.shape, np.int64), symbols=symbols, values=values)
    return file.getvalue()


def spread(
    mask: Shaped[np.ndarray, "*frames h w"], height: int, width: int, name: str
) -> Shaped[np.ndarray, "*frames H W"]:
    """Enlarge a mask to the frames' size; raise `UserError`, naming its episode, if the sizes do not fit."""
    *_, rows, columns = mask.shape
    factor = height // rows
    if (rows * factor, columns * factor) != (height, width):
        raise UserError(
            f"the recall masks of {name} have {rows}x{columns} pixels, not a fraction of the frames' "
            f"{height}x{width}: {AGAIN}"
        )
    return mask if factor == 1 else mask.repeat(factor, axis=-2).repeat(factor, axis=-1)
