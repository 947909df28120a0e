"""Recall masks encoded as one array of codes, and the array's lossless compression.

A code combines the three masks of a cell: 0 is the sky, 1 a surface that the context did not show, 2 one in
sight ever since, and 3 + n one that has been out of sight and that the context last showed in frame n. So a
surface keeps its code from frame to frame, and within a frame codes change only at edges.

Each cell is stored as a symbol that says which code it repeats: 0 the predicted one, 1 the one to the left,
2 the one above, 3 the one above and to the right, 4 none of these; its code is then the next of the values.
The prediction is the cell above if the cells to the left and above left are equal, else the cell to the left;
cells outside the frame are 0. Symbols (one byte each) and values (uint16 little-endian) are compressed by
bzip2.
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

_PREDICTED, _LEFT, _ABOVE, _ABOVE_RIGHT, _VALUE = range(5)
_STORED = np.dtype("<u2")


def masks_of(codes: Codes) -> Masks:
    """Decode codes into the three masks."""
    frames = np.arange(len(codes), dtype=np.uint16)[:, None, None]
    age = np.where(codes >= CODE_RETURNED, frames - (codes - np.uint16(CODE_RETURNED)), np.uint16(0))
    return {"seen": codes >= CODE_IN_SIGHT, "age": age, "sky": codes == CODE_SKY}


def codes_of(masks: Mapping[str, Shaped[np.ndarray, "T H W"]]) -> Codes | None:
    """Encode masks as codes; return None if that is impossible, as it never is for Loopcraft's own masks."""
    if set(masks) != set(DTYPES):
        return None
    frames = np.arange(len(masks["seen"]), dtype=np.int64)[:, None, None]
    last = np.clip(frames - masks["age"] + CODE_RETURNED, 0, np.iinfo(np.uint16).max).astype(np.uint16)
    codes = np.where(masks["age"] > 0, last, np.uint16(CODE_IN_SIGHT))
    codes[~masks["seen"]] = CODE_NEW
    codes[masks["sky"]] = CODE_SKY
    decoded = masks_of(codes)
    return codes if all(np.array_equal(decoded[name], masks[name]) for name in DTYPES) else None


def pack(codes: Codes) -> tuple[bytes, bytes]:
    """Compress codes into two streams: symbols and values."""
    symbols, values = np.empty(codes.shape, np.uint8), np.empty(codes.size, np.uint16)
    count = _to_symbols(np.ascontiguousarray(codes, np.uint16), symbols, values)
    return bz2.compress(symbols.tobytes()), bz2.compress(values[:count].astype(_STORED).tobytes())


def unpack(symbols: bytes, values: bytes, shape: tuple[int, int, int]) -> Codes:
    """Decompress the codes of an array of that shape; raise `ValueError` if the streams do not fit it."""
    size = int(np.prod(shape, dtype=object))
    symbol_array = np.frombuffer(_expand(symbols, size), np.uint8)
    num_values = int(np.count_nonzero(symbol_array == _VALUE))
    value_array = np.frombuffer(_expand(values, num_values * _STORED.itemsize), _STORED).astype(np.uint16)
    if len(symbol_array) != size or len(value_array) != num_values or symbol_array.max() > _VALUE:
        raise ValueError(f"its streams do not encode {shape} codes")
    codes = np.empty(shape, np.uint16)
    _to_codes(symbol_array.reshape(shape), value_array, codes)
    return codes


def _expand(stream: bytes, size: int) -> bytes:
    """Decompress a stream of `size` bytes, and never more than one byte beyond."""
    expanded = bz2.BZ2Decompressor().decompress(stream, max_length=size + 1)
    if len(expanded) != size:
        raise ValueError(f"a stream holds {len(expanded)} bytes and not {size}")
    return expanded


@inlined
def _neighbours(
    plane: UInt16[np.ndarray, "H W"], row: int, column: int
) -> tuple[np.uint16, np.uint16, np.uint16, np.uint16]:
    """The codes predicted, to the left, above, and above right."""
    outside = np.uint16(0)
    left = plane[row, column - 1] if column else outside
    above = plane[row - 1, column] if row else outside
    corner = plane[row - 1, column - 1] if row and column else outside
    above_right = plane[row - 1, column + 1] if row and column + 1 < plane.shape[1] else outside
    return above if left == corner else left, left, above, above_right


@kernel
def _to_symbols(codes: Codes, symbols: UInt8[np.ndarray, "T H W"], values: UInt16[np.ndarray, " N"]) -> int:
    """Encode `codes` into `symbols` and `values`; return the number of values."""
    count = 0
    for frame in range(len(codes)):
        plane = codes[frame]
        for row in range(plane.shape[0]):
            for column in range(plane.shape[1]):
                code = plane[row, column]
                predicted, left, above, above_right = _neighbours(plane, row, column)
                if code == predicted:
                    symbol = _PREDICTED
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
    """Decode `symbols` and `values` into `codes`."""
    count = 0
    for frame in range(len(codes)):
        plane = codes[frame]
        for row in range(plane.shape[0]):
            for column in range(plane.shape[1]):
                symbol = symbols[frame, row, column]
                predicted, left, above, above_right = _neighbours(plane, row, column)
                if symbol == _PREDICTED:
                    plane[row, column] = predicted
                elif symbol == _LEFT:
                    plane[row, column] = left
                elif symbol == _ABOVE:
                    plane[row, column] = above
                elif symbol == _ABOVE_RIGHT:
                    plane[row, column] = above_right
                else:
                    plane[row, column] = values[count]
                    count += 1
