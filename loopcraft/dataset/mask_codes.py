"""Recall masks as one plane of codes, and the plane as a few bytes.

A code is what an episode's masks say of a cell: 0 the sky, 1 a surface that the context did not show, 2 one
in sight ever since, 3 + n one that has been out of sight and that the context last showed in frame n. So a
surface keeps its code from frame to frame, and within a frame codes change at edges alone.

A plane is stored cell by cell as a symbol: 0 as foreseen, 1 as the cell to the left, 2 as the one above, 3 as
the one above to the right, 4 none of these: then its code is the next of the values. Foreseen is the cell
above where the cells to the left and above to the left agree, else the cell to the left; cells beyond the
frame are 0. Symbols, a byte each, and values, uint16 little-endian, are compressed by bzip2.
"""

import bz2
from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped, UInt8, UInt16

from loopcraft.core.jit import inlined, kernel

DTYPES = {"seen": np.dtype(np.bool_), "age": np.dtype(np.uint16), "sky": np.dtype(np.bool_)}

Masks = dict[str, Shaped[np.ndarray, "T H W"]]
Codes = UInt16[np.ndarray, "T H W"]

CODE_SKY, CODE_NEW, CODE_IN_SIGHT, CODE_RETURNED = range(4)

_FORESEEN, _LEFT, _ABOVE, _ABOVE_RIGHT, _VALUE = range(5)
_STORED = np.dtype("<u2")


def masks_of(codes: Codes) -> Masks:
    """The three masks that codes stand for."""
    frames = np.arange(len(codes), dtype=np.uint16)[:, None, None]
    age = np.where(codes >= CODE_RETURNED, frames - (codes - np.uint16(CODE_RETURNED)), np.uint16(0))
    return {"seen": codes >= CODE_IN_SIGHT, "age": age, "sky": codes == CODE_SKY}


def codes_of(masks: Mapping[str, Shaped[np.ndarray, "T H W"]]) -> Codes | None:
    """The codes of masks; None for those that codes cannot stand for, as they can for all of ours."""
    if set(masks) != set(DTYPES):
        return None
    frames = np.arange(len(masks["seen"]), dtype=np.int64)[:, None, None]
    last = np.clip(frames - masks["age"] + CODE_RETURNED, 0, np.iinfo(np.uint16).max).astype(np.uint16)
    codes = np.where(masks["age"] > 0, last, np.uint16(CODE_IN_SIGHT))
    codes[~masks["seen"]] = CODE_NEW
    codes[masks["sky"]] = CODE_SKY
    again = masks_of(codes)
    return codes if all(np.array_equal(again[name], masks[name]) for name in DTYPES) else None


def pack(codes: Codes) -> tuple[bytes, bytes]:
    """The streams of a plane: of its symbols and of its values."""
    symbols, values = np.empty(codes.shape, np.uint8), np.empty(codes.size, np.uint16)
    count = _to_symbols(np.ascontiguousarray(codes, np.uint16), symbols, values)
    return bz2.compress(symbols.tobytes()), bz2.compress(values[:count].astype(_STORED).tobytes())


def unpack(symbols: bytes, values: bytes, shape: tuple[int, int, int]) -> Codes:
    """The plane of that shape again. Raises `ValueError` where the streams are not those of one."""
    size = int(np.prod(shape, dtype=object))
    found = np.frombuffer(_expand(symbols, size), np.uint8)
    num_values = int(np.count_nonzero(found == _VALUE))
    own = np.frombuffer(_expand(values, num_values * _STORED.itemsize), _STORED).astype(np.uint16)
    if len(found) != size or len(own) != num_values or found.max() > _VALUE:
        raise ValueError(f"its streams are not those of {shape} codes")
    codes = np.empty(shape, np.uint16)
    _to_codes(found.reshape(shape), own, codes)
    return codes


def _expand(stream: bytes, size: int) -> bytes:
    """What a stream holds, and no more than a byte beyond `size`."""
    unpacker = bz2.BZ2Decompressor()
    expanded = unpacker.decompress(stream, max_length=size + 1)
    if len(expanded) != size:
        raise ValueError(f"a stream holds {len(expanded)} bytes and not {size}")
    return expanded


@inlined
def _neighbours(
    plane: UInt16[np.ndarray, "H W"], row: int, column: int
) -> tuple[np.uint16, np.uint16, np.uint16, np.uint16]:
    """The codes foreseen, to the left, above, and above to the right."""
    none = np.uint16(0)
    left = plane[row, column - 1] if column else none
    above = plane[row - 1, column] if row else none
    corner = plane[row - 1, column - 1] if row and column else none
    above_right = plane[row - 1, column + 1] if row and column + 1 < plane.shape[1] else none
    return above if left == corner else left, left, above, above_right


@kernel
def _to_symbols(codes: Codes, symbols: UInt8[np.ndarray, "T H W"], values: UInt16[np.ndarray, " N"]) -> int:
    """Set the symbols and the values of a plane; returns how many values there are."""
    count = 0
    for frame in range(len(codes)):
        plane = codes[frame]
        for row in range(plane.shape[0]):
            for column in range(plane.shape[1]):
                code = plane[row, column]
                foreseen, left, above, above_right = _neighbours(plane, row, column)
                if code == foreseen:
                    symbol = _FORESEEN
                elif code == left:
                    symbol = _LEFT
                elif code == above:
                    symbol = _ABOVE
                elif code == above_right:
                    symbol = _ABOVE_RIGHT
                else:
                    symbol = _VALUE
                    values[count] = code
                    count += 1
                symbols[frame, row, column] = symbol
    return count


@kernel
def _to_codes(symbols: UInt8[np.ndarray, "T H W"], values: UInt16[np.ndarray, " N"], codes: Codes) -> None:
    """Set the codes of a plane from its symbols and values."""
    count = 0
    for frame in range(len(codes)):
        plane = codes[frame]
        for row in range(plane.shape[0]):
            for column in range(plane.shape[1]):
                symbol = symbols[frame, row, column]
                foreseen, left, above, above_right = _neighbours(plane, row, column)
                if symbol == _FORESEEN:
                    plane[row, column] = foreseen
                elif symbol == _LEFT:
                    plane[row, column] = left
                elif symbol == _ABOVE:
                    plane[row, column] = above
                elif symbol == _ABOVE_RIGHT:
                    plane[row, column] = above_right
                else:
                    plane[row, column] = values[count]
                    count += 1
