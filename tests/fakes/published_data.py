"""A small data set for publishing to the local Hub, shared by tests."""

from pathlib import Path

import pytest

from loopcraft import publish
from loopcraft.generate import generate
from tests.fakes.world import FakeWorld, recipe

WRITES = "PUT |/commit/|repos/create"
"""Matches requests that change a repository."""


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    generate(root / "train", recipe("train", 5), make_world=FakeWorld)
    generate(root / "val", recipe("val", 5, candidates=6), make_world=FakeWorld)
    return root


def publish_to(repository: str, folder: Path, *more: str) -> int:
    """Publish with shards of two or three of these small episodes."""
    return publish.main([str(folder), "--repo", repository, "--shard-mb", "0.01", *more])
