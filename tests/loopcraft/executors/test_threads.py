"""Mapping in threads: items are drawn as needed, and results keep their order."""

import threading
from collections.abc import Iterator

import pytest

from loopcraft.executors.threads import map_in_threads


def test_results_keep_the_order_of_items() -> None:
    waits = [threading.Event() for _ in range(8)]

    def work(number: int) -> int:
        if number + 1 < len(waits) and number % 2 == 0:
            waits[number + 1].wait(10)  # an even item ends after the odd one that follows it
        waits[number].set()
        return number * number

    assert list(map_in_threads(work, range(8), 2)) == [number * number for number in range(8)]


def test_few_items_are_drawn_ahead() -> None:
    drawn = 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for number in range(1000):
            drawn += 1
            yield number

    results = map_in_threads(str, items(), 2)
    assert next(results) == "0"
    assert drawn < 20


def test_the_first_error_ends_the_mapping() -> None:
    def work(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        list(map_in_threads(work, range(1000), 2))
