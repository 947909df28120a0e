"""Large sets need little memory: for the index, and for rows on their way to the table."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loopcraft.dataset import episode_table, open_dataset
from loopcraft.dataset.episode_files import read_table, rows_of_keys
from loopcraft.dataset.episode_table import COLUMNS, Row, read_rows, write_row, write_table
from loopcraft.dataset.layout import episode_index, episode_key

EPISODES = 20_000


def row(index: int) -> Row:
    values = {"string": "", "bool": False, "double": 0.5}
    filled = {name: values.get(str(kind), index) for name, (kind, _) in COLUMNS.items()}
    return {**filled, "key": episode_key(index), "draw": index}


@given(st.integers(0, 10_000_000))
def test_a_key_gives_its_index(index: int) -> None:
    assert episode_index(episode_key(index)) == index


def test_an_open_data_set_takes_few_bytes_per_episode(tmp_path: Path) -> None:
    index = {episode_key(number): 64 for number in range(EPISODES)}
    (tmp_path / "index.json").write_text(json.dumps(index))
    del index
    open_dataset(tmp_path)  # so that imports are not measured
    tracemalloc.start()
    dataset = open_dataset(tmp_path)
    allocated, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert allocated < 80 * EPISODES
    assert dataset.keys[-1] == "019/999"
    assert dataset.num_frames("019/999") == 64
    assert "007/000" in dataset
    assert "020/000" not in dataset


def test_rows_are_written_in_groups_as_they_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episode_table, "ROW_GROUP", 3)
    written: list[int] = []
    real = pq.ParquetWriter.write_table
    monkeypatch.setattr(
        pq.ParquetWriter, "write_table", lambda self, table: written.append(len(table)) or real(self, table)
    )

    def rows() -> Iterator[Row]:
        for index in range(8):
            assert sum(written) >= index - 3  # at most one group waits
            yield row(index)

    write_table(tmp_path, rows())
    assert written == [3, 3, 2]
    assert pq.ParquetFile(tmp_path / "episodes.parquet").num_row_groups == 3
    assert read_table(tmp_path).to_pylist() == [row(index) for index in range(8)]
    for columns in (("key", "frames"), ("key", "frames", "nowhere")):
        assert read_table(tmp_path, columns).equals(read_table(tmp_path).select(["key", "frames"]))


def test_a_table_of_one_group_equals_one_written_at_once(tmp_path: Path) -> None:
    rows = [row(index) for index in range(8)]
    write_table(tmp_path, rows)
    schema = pa.schema(
        [pa.field(name, kind, metadata={"description": text}) for name, (kind, text) in COLUMNS.items()]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "whole.parquet")
    assert (tmp_path / "episodes.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_rows_come_in_order_and_row_files_take_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episode_table, "_ROWS_AT_ONCE", 2)
    write_table(tmp_path, [row(3), row(1), row(0)])  # in any order
    write_row(tmp_path, {**row(1), "draw": 77})
    write_row(tmp_path, row(4))
    rows = list(read_rows(tmp_path, map(episode_key, range(6))))
    assert [(entry["key"], entry["draw"]) for entry in rows] == [
        ("000/000", 0),
        ("000/001", 77),
        ("000/003", 3),
        ("000/004", 4),
    ]
    assert rows_of_keys(read_table(tmp_path), ["000/003", "000/009"]).to_pylist() == [0, None]
