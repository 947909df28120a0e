"""Damaged or forged repositories on the Hub: their data are right, or refused in one sentence."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from loopcraft.core.errors import UserError
from loopcraft.dataset import open_dataset
from loopcraft.dataset.catalog import CATALOG
from loopcraft.dataset.shards import Content, read_row, write_shard
from tests.fakes import hub_state
from tests.fakes.json_mutants import byte_mutants, mutants
from tests.fakes.published_data import publish_to

pytest_plugins = ["tests.fakes.hub_client", "tests.fakes.published_data"]

ADDRESS = "hf://lab/damaged"


@pytest.fixture
def repository(hub: hub_state.Hub, made: Path) -> hub_state.Repository:
    hub.repositories.pop("lab/damaged", None)
    assert publish_to("lab/damaged", made / "val") == 0
    return hub.repositories["lab/damaged"]


def read_all(sums: dict[str, tuple[bytes, bytes]]) -> None:
    """Read all that the repository holds and check that it is what was published."""
    dataset = open_dataset(ADDRESS)
    for key in dataset.keys:
        stored = dataset.video_path(key).read_bytes(), dataset.states_path(key).read_bytes()
        assert stored == sums[key]


def expected(folder: Path) -> dict[str, tuple[bytes, bytes]]:
    dataset = open_dataset(folder)
    return {
        key: (dataset.video_path(key).read_bytes(), dataset.states_path(key).read_bytes())
        for key in dataset.keys
    }


def test_a_damaged_catalogue_gives_the_right_data_or_an_error(repository, made) -> None:
    good, sums = repository.files, expected(made / "val")
    document = json.loads(good[CATALOG])
    texts = list(mutants(document, 40))
    refused = 0
    for text in texts[:: len(texts) // 30]:
        repository.commit(good | {CATALOG: text})
        try:
            read_all(sums)
        except UserError as error:
            refused += 1
            sentence = str(error)
            assert len(sentence.splitlines()) == 1
    assert refused > 10
    repository.commit(good | {CATALOG: b"{"})
    assert publish_to("lab/damaged", made / "val") == 2
    repository.commit({name: data for name, data in good.items() if name != CATALOG})
    assert publish_to("lab/damaged", made / "val") == 0  # the remedy that the error names
    read_all(sums)


@pytest.mark.parametrize("prefix", ["episodes/", "data/"])
def test_damaged_tables_and_shards_are_named(repository, made, tmp_path, monkeypatch, prefix) -> None:
    good, sums = repository.files, expected(made / "val")
    path = next(name for name in good if name.startswith(prefix) and "/tiny" not in name)
    refused = []
    for number, text in enumerate((*byte_mutants(good[path], 12), b"", good[path][: len(good[path]) // 2])):
        repository.commit(good | {path: text})
        monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / str(number)))
        try:
            read_all(sums)
        except UserError as error:
            refused.append(str(error))
    assert len(refused) > 3
    assert all(len(sentence.splitlines()) == 1 for sentence in refused)
    assert any(f"{path} is damaged" in sentence and "publish it again" in sentence for sentence in refused)


def test_other_states_under_the_same_fingerprint_are_refused(repository, made) -> None:
    good = repository.files
    name = next(path for path in good if path.startswith("data/val/"))
    file = pq.ParquetFile(io.BytesIO(good[name]))
    changed = io.BytesIO()
    with pq.ParquetWriter(changed, file.schema_arrow) as writer:
        for number in range(file.num_row_groups):
            group = file.read_row_group(number)
            states = group["states"].to_pylist()
            states[0][3][0] = (states[0][3][0] + 1) % 3
            column = pa.array(states, group.schema.field("states").type)
            writer.write_table(group.set_column(group.column_names.index("states"), "states", [column]))
    repository.commit(good | {name: changed.getvalue()})
    dataset = open_dataset(ADDRESS)
    assert dataset.fingerprint == open_dataset(made / "val").fingerprint
    with pytest.raises(UserError, match=f"{name} is damaged at {dataset.keys[0]}; publish it again"):
        dataset.actions(dataset.keys[0])


def test_a_flipped_bit_in_a_shard_is_found_by_parquets_own_checksums(tmp_path) -> None:
    path, rng = tmp_path / "shard.parquet", np.random.default_rng(0)
    npy = io.BytesIO()
    np.save(npy, np.zeros((4, 6), np.float32))
    masks = {"seen": rng.random((4, 8, 8)) < 0.5, "age": rng.integers(0, 9, (4, 8, 8)).astype(np.uint16)}
    content = Content(mp4=rng.bytes(500), npy=npy.getvalue(), masks=masks)
    write_shard(path, pa.schema([("key", pa.string())]), [({"key": "000/000"}, content)])
    footer, refused = pq.read_metadata(path), []
    group = footer.row_group(0)
    for number in range(1, group.num_columns):  # the key comes from the table
        column, changed = group.column(number), bytearray(path.read_bytes())
        changed[column.data_page_offset + column.total_compressed_size - 1] ^= 4
        try:
            read_row(io.BytesIO(changed), 0, footer)
        except (OSError, pa.ArrowException) as error:
            refused.append(str(error))
    assert len(refused) == group.num_columns - 1
    assert all("CRC" in sentence for sentence in refused)


@pytest.mark.parametrize("kind", ["loopcraft.json", "episodes/val.parquet"])
def test_a_flipped_bit_in_the_hubs_cache_is_found(repository, kind, tmp_path, monkeypatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_ASSETS_CACHE"):
        monkeypatch.setattr(constants, name, str(tmp_path / name))
    open_dataset(ADDRESS)
    (path,) = (tmp_path / "HF_HUB_CACHE").glob(f"datasets--lab--damaged/snapshots/*/{kind}")
    stored = path.resolve()
    content = bytearray(stored.read_bytes())
    content[len(content) // 2] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(content)
    with pytest.raises(UserError, match=f"{kind}: does not match the Hub's checksum; delete {stored}"):
        open_dataset(ADDRESS)
    stored.unlink()
    open_dataset(ADDRESS)


@pytest.mark.parametrize("name", ["HF_HUB_CACHE", "HF_ASSETS_CACHE"])
def test_a_cache_that_cannot_be_written_is_reported_with_a_remedy(repository, monkeypatch, name) -> None:
    monkeypatch.setattr(constants, name, "/sys/loopcraft")
    with pytest.raises(UserError, match=r"cannot be written \(.*\); set HF_HOME to a writable folder"):
        open_dataset(ADDRESS)
