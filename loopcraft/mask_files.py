"""The recall masks of an episode, KEY.seen.npz: what of each frame a model was shown, and how long ago.

seen  bool (T, H, W): the surface (block face) that the pixel shows was visible in the context
age   uint16 (T, H, W): frames since the context last showed it; 0 if never or if it has been in sight since
sky   bool (T, H, W): the pixel shows no surface

Row t belongs to frame t; H and W may be fractions of the frame's. `age` and `sky` may be left out.
"""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from loopcraft.cli import UserError

SUFFIX = ".seen.npz"
DTYPES = {"seen": np.dtype(np.bool_), "age": np.dtype(np.uint16), "sky": np.dtype(np.bool_)}

AGAIN = "delete them and run python -m loopcraft.masks"

Masks = dict[str, Shaped[np.ndarray, "T H W"]]


def read_masks(path: Path, num_frames: int) -> Masks:
    """The arrays of an episode by name. Raises `UserError` where they are damaged or not as above."""
    data = path.read_bytes()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            masks = {name: np.asarray(stored[name]) for name in stored.files}
    except Exception as error:  # of zipfile, zlib or numpy: damaged bytes raise a dozen kinds
        raise UserError(f"{path}: not a readable NPZ file ({error}); {AGAIN}") from error
    found = {name: f"{array.dtype} {array.shape}" for name, array in masks.items()}
    shapes = {array.shape for array in masks.values()}
    is_known = "seen" in masks and all(array.dtype == DTYPES.get(name) for name, array in masks.items())
    if not is_known or len(shapes) != 1 or len(shape := shapes.pop()) != 3 or shape[0] != num_frames:
        raise UserError(
            f"{path}: holds {found}; masks are seen (bool), age (uint16, or none) and sky (bool, or none) "
            f"of one shape ({num_frames}, H, W): {AGAIN}"
        )
    return masks


def encode_masks(masks: Mapping[str, Shaped[np.ndarray, "T H W"]]) -> bytes:
    """The content of KEY.seen.npz; the same masks give the same bytes."""
    file = io.BytesIO()
    np.savez_compressed(file, **masks)  # type: ignore[arg-type]  # numpy's stub takes it for allow_pickle
    return file.getvalue()


def spread(
    mask: Shaped[np.ndarray, "*frames h w"], height: int, width: int, name: str
) -> Shaped[np.ndarray, "*frames H W"]:
    """A mask in the frames' own size; raises `UserError`, naming its episode, where it does not fit them."""
    *_, rows, columns = mask.shape
    times = height // rows
    if (rows * times, columns * times) != (height, width):
        raise UserError(
            f"the recall masks of {name} have {rows}x{columns} pixels, no fraction of the frames' "
            f"{height}x{width}: {AGAIN}"
        )
    return mask if times == 1 else mask.repeat(times, axis=-2).repeat(times, axis=-1)
