"""A repository at the Hub that somebody wrote or damaged: its data are right, or refused in a sentence."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from huggingface_hub import constants

from loopcraft.core.errors import UserError
from loopcraft.dataset import open_dataset
from loopcraft.dataset.catalog import CATALOG
from tests.fakes import hub as fake_hub
from tests.fakes.json_mutants import byte_mutants, mutants
from tests.fakes.published_data import publish_to

pytest_plugins = ["tests.fakes.hub_client", "tests.fakes.published_data"]

ADDRESS = "hf://lab/damaged"


@pytest.fixture
def repository(hub: fake_hub.Hub, made: Path) -> fake_hub.Repository:
    hub.repositories.pop("lab/damaged", None)
    assert publish_to("lab/damaged", made / "val") == 0
    return hub.repositories["lab/damaged"]


def read_all(sums: dict[str, tuple[bytes, bytes]]) -> None:
    """Read what the repository holds; what can be read is what was published."""
    dataset = open_dataset(ADDRESS)
    for key in dataset.keys:
        found = dataset.video_path(key).read_bytes(), dataset.states_path(key).read_bytes()
        assert found == sums[key]


def expected(folder: Path) -> dict[str, tuple[bytes, bytes]]:
    dataset = open_dataset(folder)
    return {
        key: (dataset.video_path(key).read_bytes(), dataset.states_path(key).read_bytes())
        for key in dataset.keys
    }


def test_a_damaged_catalogue_gives_the_right_data_or_a_sentence(repository, made) -> None:
    good, sums = repository.files, expected(made / "val")
    document = json.loads(good[CATALOG])
    texts = list(mutants(document, 40))
    refused = 0
    for text in texts[:: len(texts) // 60]:
        repository.commit(good | {CATALOG: text})
        try:
            read_all(sums)
        except UserError as error:
            refused += 1
            sentence = str(error)
            assert len(sentence.splitlines()) == 1
    assert refused > 20
    repository.commit(good | {CATALOG: b"{"})
    assert publish_to("lab/damaged", made / "val") == 2
    repository.commit({name: data for name, data in good.items() if name != CATALOG})
    assert publish_to("lab/damaged", made / "val") == 0  # the remedy that the sentence names
    read_all(sums)


@pytest.mark.parametrize("what", ["episodes/", "data/"])
def test_damaged_tables_and_shards_are_named(repository, made, tmp_path, monkeypatch, what) -> None:
    good, sums = repository.files, expected(made / "val")
    path = next(name for name in good if name.startswith(what) and "/tiny" not in name)
    refused = []
    for number, text in enumerate((*byte_mutants(good[path], 25), b"", good[path][: len(good[path]) // 2])):
        repository.commit(good | {path: text})
        monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / str(number)))
        with suppress(AssertionError):  # of states, which other tests are about
            try:
                read_all(sums)
            except UserError as error:
                refused.append(str(error))
    assert len(refused) > 3
    assert all(len(sentence.splitlines()) == 1 for sentence in refused)
    assert any(f"{path} is damaged" in sentence and "publish it again" in sentence for sentence in refused)


@pytest.mark.parametrize("name", ["HF_HUB_CACHE", "HF_ASSETS_CACHE"])
def test_a_cache_that_cannot_be_written_is_said_with_the_remedy(repository, monkeypatch, name) -> None:
    monkeypatch.setattr(constants, name, "/sys/loopcraft")
    with pytest.raises(UserError, match=r"cannot be written \(.*\); set HF_HOME to a folder"):
        open_dataset(ADDRESS)
