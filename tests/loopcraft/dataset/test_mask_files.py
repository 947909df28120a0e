"""Recall masks on disk: codes represent masks exactly, old files can be read, damage is reported."""

import bz2
import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from loopcraft.core.errors import UserError
from loopcraft.dataset.mask_codes import codes_of, masks_of, pack, unpack
from loopcraft.dataset.mask_files import encode_codes, encode_masks, read_masks

shapes = st.tuples(*[st.integers(1, 6)] * 3)
planes = shapes.flatmap(
    lambda shape: arrays.arrays(np.uint16, shape, elements=st.sampled_from([0, 1, 2, 3, 4, 900, 65535]))
)


def edges(frames: int = 12, side: int = 16, context: int = 6) -> np.ndarray:
    """A plane of codes as walks produce it: a few slanted, moving surfaces with sky above."""
    t, y, x = np.ogrid[:frames, :side, :side]
    plane = np.where(y < 3, 0, 1 + (x + 2 * y + t) // 7 % (2 + context))
    ages = t - (plane.astype(int) - 3)
    return np.where((plane >= 3) & (ages < 1), 2, plane).astype(np.uint16)


@settings(deadline=None)
@given(codes=planes)
def test_any_plane_comes_back(codes: np.ndarray) -> None:
    np.testing.assert_array_equal(unpack(*pack(codes), codes.shape), codes)


def decode_as_documented(symbols: np.ndarray, values: list[int]) -> np.ndarray:
    """Decode a plane as the module's docstring says, with dictionaries."""
    decoded: dict[tuple[int, int, int], int] = {}
    for (t, y, x), symbol in np.ndenumerate(symbols):
        left, above, corner, right = (
            decoded.get((t, y + dy, x + dx), 0) for dy, dx in ((0, -1), (-1, 0), (-1, -1), (-1, 1))
        )
        predicted = above if left == corner else left
        decoded[t, y, x] = values.pop(0) if symbol == 4 else (predicted, left, above, right)[symbol]
    return np.array(list(decoded.values()), np.uint16).reshape(symbols.shape)


@settings(deadline=None)
@given(codes=planes)
def test_the_streams_match_the_documentation(codes: np.ndarray) -> None:
    symbols, values = (bz2.decompress(stream) for stream in pack(codes))
    stored = np.frombuffer(symbols, np.uint8).reshape(codes.shape)
    np.testing.assert_array_equal(decode_as_documented(stored, np.frombuffer(values, "<u2").tolist()), codes)


def test_codes_represent_masks() -> None:
    codes = np.array([[[0, 1, 2, 2]], [[2, 3, 1, 0]], [[4, 3, 2, 2]]], np.uint16)
    masks = masks_of(codes)
    assert masks["sky"].tolist() == [[[True, *[False] * 3]], [[*[False] * 3, True]], [[False] * 4]]
    assert masks["seen"].tolist() == [
        [[False, False, True, True]],
        [[True, True, False, False]],
        [[True] * 4],
    ]
    assert masks["age"].tolist() == [[[0] * 4], [[0, 1, 0, 0]], [[1, 2, 0, 0]]]
    assert masks["age"].dtype == np.uint16
    np.testing.assert_array_equal(codes_of(masks), codes)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda masks: masks.pop("sky"),
        lambda masks: masks["age"].__setitem__((0, 8, 8), 5),  # before the episode began
        lambda masks: masks["seen"].__setitem__((5, 0, 0), True),  # the sky is no surface
    ],
)
def test_masks_that_codes_cannot_represent_are_stored_as_they_are(tmp_path: Path, spoil) -> None:
    masks = {name: array.copy() for name, array in masks_of(edges()).items()}
    spoil(masks)
    assert codes_of(masks) is None
    path = tmp_path / "it.seen.npz"
    path.write_bytes(encode_masks(masks))
    loaded = read_masks(path, 12, 256)
    assert set(loaded) == set(masks)
    for name, array in masks.items():
        np.testing.assert_array_equal(loaded[name], array)


def old_file(masks: dict[str, np.ndarray]) -> bytes:
    """Encode masks as versions before the codes did."""
    file = io.BytesIO()
    np.savez_compressed(file, **masks)
    return file.getvalue()


def test_old_and_new_files_give_the_same_masks(tmp_path: Path) -> None:
    masks = masks_of(edges())
    for name, content in {"old": old_file(masks), "new": encode_masks(masks)}.items():
        path = tmp_path / name
        path.write_bytes(content)
        loaded = read_masks(path, 12, 256)
        for key, array in masks.items():
            assert loaded[key].dtype == array.dtype
            np.testing.assert_array_equal(loaded[key], array)


def test_the_format_is_pinned() -> None:
    """Published files must stay readable: a change of this number needs new names for the arrays."""
    symbols, values = pack(edges())
    assert (zlib.crc32(symbols), zlib.crc32(values)) == (3411904567, 2859339662)


def coded(shape=(12, 16, 16), symbols: bytes | None = None, values: bytes | None = None) -> bytes:
    default = pack(edges())
    streams = [np.frombuffer(s, np.uint8) for s in (symbols or default[0], values or default[1])]
    file = io.BytesIO()
    np.savez(file, shape=np.array(shape), symbols=streams[0], values=streams[1])
    return file.getvalue()


LARGE = pack(np.zeros((12, 2000, 2000), np.uint16))[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (coded((11, 16, 16)), "holds no codes of 12 frames"),
        (coded((12, 16)), "holds no codes of 12 frames"),
        (coded((12, -16, -16)), "holds no codes of 12 frames"),
        (coded((12, 32, 16)), r"holds codes \(12, 32, 16\); masks have at most a frame's pixels"),
        (coded((12, 8, 16)), "a stream holds 1537 bytes and not 1536"),
        (coded(symbols=LARGE), "a stream holds 3073 bytes and not 3072"),
        (coded(values=LARGE), "a stream holds .* bytes and not"),
        (coded(values=b"text"), "not a readable NPZ file"),
    ],
)
def test_invalid_codes_are_reported_and_take_no_memory(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "it.seen.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_masks(path, 12, 256)
    assert str(path) in str(caught.value)
    assert "python -m loopcraft.masks" in str(caught.value)


def test_every_damaged_byte_is_detected_or_harmless(tmp_path: Path) -> None:
    path, good = tmp_path / "it.seen.npz", encode_codes(edges())
    detected = 0
    for position in range(0, len(good), 3):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0xFF]) + good[position + 1 :])
        try:
            loaded = read_masks(path, 12, 256)
        except UserError:
            detected += 1
        else:
            assert all(np.array_equal(loaded[name], array) for name, array in masks_of(edges()).items())
    assert detected > len(good) / 3 / 2
