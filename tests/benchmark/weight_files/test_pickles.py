"""Pickles of arrays: read as by NumPy, and never using memory for data they do not hold."""

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from benchmark.weight_files.conversion import convert, read_arrays
from loopcraft.core.errors import UserError


@pytest.mark.parametrize("protocol", [3, 4])
def test_pickled_arrays_match_numpy(tmp_path: Path, protocol: int) -> None:
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(2, 3, 4))
    arrays = {"f8": plain, "f4": plain.astype("f4"), "big": plain.astype(">f4"), "int": plain.astype("i2")}
    arrays |= {"fortran": np.asfortranarray(plain), "none": np.zeros((0, 2), "f4")}
    path = tmp_path / "a.ckpt"
    path.write_bytes(pickle.dumps({"in": arrays}, protocol=protocol))
    actual = read_arrays(path)["in"]
    assert actual.keys() == arrays.keys()
    for name, expected in arrays.items():
        np.testing.assert_array_equal(actual[name], expected)
        assert actual[name].dtype == expected.dtype


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x03}r" + (1 << 26).to_bytes(4, "little") + b".",  # a memo index of that size
        b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little") + b"a.",  # bytes of that length
        pickle.dumps(np.zeros(3), protocol=3).replace(b"K\x03\x85", b"J\0\0\0\x40\x85"),  # that many elements
    ],
)
def test_no_pickle_takes_memory_for_what_it_does_not_hold(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ckpt").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"not (a file of|the) weights"):
            convert("alexnet", [tmp_path / "a.ckpt"])
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
