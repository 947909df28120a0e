"""Fixtures: a local Hub, and the real client configured to use it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

import loopcraft.hub.repository
from tests.fakes import hub as fake_hub
from tests.fakes import hub_state


@pytest.fixture(scope="module")
def serving() -> Iterator[hub_state.Hub]:
    """One server per module, as the client keeps connections and listings."""
    with fake_hub.serving() as hub:
        yield hub


@pytest.fixture
def hub(serving: hub_state.Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> hub_state.Hub:
    """Set what HF_ENDPOINT, HF_HOME and HF_HUB_DISABLE_XET would, had they been set before the import."""
    monkeypatch.setattr(constants, "ENDPOINT", serving.url)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", serving.url + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    for name in ("HF_HUB_CACHE", "HF_ASSETS_CACHE", "HF_TOKEN_PATH", "HF_STORED_TOKENS_PATH"):
        monkeypatch.setattr(constants, name, str(tmp_path / name))
    monkeypatch.setenv("HF_TOKEN", hub_state.WRITER)
    monkeypatch.setattr(loopcraft.hub.repository, "RETRY_WAITS_S", ())
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    serving.requests.clear()
    serving.faults.clear()
    serving.store.clear()
    return serving
