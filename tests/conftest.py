"""The order of the tests, and what the garbage collector need not look at again and again.

What takes longest comes first, or at the end one worker waits for another. Of two workers the second begins
in the middle, which lies among the models: tests that need no kernels, while the first compiles those of the
worlds for both.
"""

import gc
from collections.abc import Iterator

import pytest

from tests.fakes.forked_companions import forked_companions
from tests.fakes.forked_spawn import forked_spawn
from tests.fakes.read_once import read_once
from tests.fakes.zygote import prepare

FIRST = (
    "tests/test_drills_of_faults.py",
    "tests/benchmark/sources/test_isolated.py",
    "tests/test_cluster.py",
    "tests/test_publish_use.py",
    "tests/leaderboard/site/test_browser.py",
    "tests/test_packaging.py",
    "tests/models/train/test_faults.py",
    "tests/benchmark/test_faults.py",
    "tests/loopcraft/",
    "tests/models/",
    "tests/test_",
)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the process that forks others in each of several workers: they import the same in any case."""
    read_once()
    if hasattr(config, "workerinput"):
        prepare()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by the first beginning that fits the file; what is equal keeps its order."""

    def rank(item: pytest.Item) -> int:
        return next((place for place, name in enumerate(FIRST) if item.nodeid.startswith(name)), len(FIRST))

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _forks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Processes that start with imports are forks of one that has made them, but in tests marked `fresh`."""
    if request.node.get_closest_marker("fresh"):
        yield
        return
    with forked_spawn(), forked_companions():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Import all tests without a collection, and leave what they import out of all later ones."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(20_000, 10, 50)  # collecting more often takes a twentieth of the time of all tests


def pytest_sessionfinish() -> None:
    """What lives to the end is collected there: some libraries complain of what is not."""
    gc.unfreeze()
