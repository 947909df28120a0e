"""A shard's name: the digest of its rows, read one at a time."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from loopcraft.dataset.shards import LAYOUT
from loopcraft.publishing.packing import _digest


@given(st.lists(st.text()))
def test_a_digest_equals_that_of_the_whole_list(parts: list[str]) -> None:
    text = json.dumps([LAYOUT, *parts])
    assert _digest(iter(parts)) == hashlib.sha256(text.encode()).hexdigest()[:16]
