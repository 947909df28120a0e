"""Lists of numbers, which are decoded as a whole, give the same result as item by item."""

from dataclasses import make_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopcraft.core.decoding import SchemaError, decode

ITEMS = st.one_of(st.floats(), st.integers(), st.none(), st.booleans(), st.text(max_size=2))


def outcome(field_type: Any, value: list[Any]) -> str:
    record = make_dataclass("Record", [("values", field_type)])
    try:
        return repr(decode(record, {"values": value}))
    except SchemaError as error:
        return f"refused: {error}"


@pytest.mark.parametrize("item", [float, float | None])
@given(value=st.lists(st.floats(allow_nan=False, allow_infinity=False) | ITEMS, min_size=1, max_size=4))
def test_numbers_decoded_at_once_equal_those_decoded_one_by_one(item: Any, value: list[Any]) -> None:
    one_by_one = tuple[(item,) * len(value)]  # type: ignore[misc]
    assert outcome(tuple[item, ...], value) == outcome(one_by_one, value)
