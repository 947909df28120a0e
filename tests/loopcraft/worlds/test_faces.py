"""The planes of block faces, decoded from their ids."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loopcraft.worlds.faces import NO_AXIS, faces_of

far = st.integers(-(1 << 23), (1 << 23) - 1)


@given(x=far, y=st.integers(0, 255), z=far, side=st.integers(0, 7))
def test_planes_match_the_packed_blocks(x: int, y: int, z: int, side: int) -> None:
    packed = (x % (1 << 24)) << 36 | (z % (1 << 24)) << 12 | y << 4 | (side + 1)
    faces = faces_of(np.array([[packed]], np.uint64))
    assert faces.axis.shape == (1, 1)
    if side > 5:
        assert faces.axis[0, 0] == NO_AXIS
    else:
        assert faces.axis[0, 0] == side // 2
        assert faces.level[0, 0] == (x, y, z)[side // 2] + side % 2


def test_the_sky_has_no_plane() -> None:
    assert faces_of(np.zeros(1, np.uint64)).axis.tolist() == [NO_AXIS]
