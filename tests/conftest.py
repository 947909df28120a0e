"""Order the tests, and fork processes instead of starting interpreters.

The slowest tests come first, so that no worker waits for another at the end. The others
start further down, where fewer tests wait for the first kernels to be compiled.
"""

import gc
from collections.abc import Iterator

import pytest

from tests.fakes.forked_companions import forked_companions
from tests.fakes.forked_spawn import forked_spawn
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
    """Prepare a forking process in each of several workers."""
    if hasattr(config, "workerinput"):
        prepare()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by the first prefix in `FIRST` that matches the file; the sort is stable."""

    def rank(item: pytest.Item) -> int:
        return next(
            (index for index, prefix in enumerate(FIRST) if item.nodeid.startswith(prefix)), len(FIRST)
        )

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _forks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fork new processes from one that has made their imports, except in tests marked `fresh`."""
    if request.node.get_closest_marker("fresh"):
        yield
        return
    with forked_spawn(), forked_companions():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Import all tests without garbage collection, and exempt what they import from later collections."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
        gc.set_threshold(20_000, 10, 50)  # collecting more often takes 5 % of the time of all tests


def pytest_sessionfinish() -> None:
    """Let the frozen objects be collected at exit: some libraries complain if they are not."""
    gc.unfreeze()
