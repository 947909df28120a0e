"""Recall masks on the Hub: typed columns that read back unchanged; malformed masks are refused."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loopcraft import publish
from loopcraft.dataset import open_dataset
from tests.fakes.published_data import WRITES, publish_to

pytest_plugins = ["tests.fakes.hub_client", "tests.fakes.published_data"]
pytestmark = pytest.mark.usefixtures("hub")


def test_masks_travel_with_their_episode(made, tmp_path) -> None:
    root = Path(shutil.copytree(made / "val", tmp_path / "val"))
    rng = np.random.default_rng(0)
    masks = {"seen": rng.random((64, 5, 7)) < 0.3, "age": rng.integers(0, 2**16, (64, 5, 7), dtype=np.uint16)}
    np.savez(root / "000/001.seen.npz", **masks)
    np.savez(root / "000/002.seen.npz", seen=masks["seen"])
    assert publish_to("lab/masks", root) == 0
    dataset = open_dataset("hf://lab/masks")
    assert dataset.masks("000/000") is None
    for key, names in (("000/001", ["seen", "age"]), ("000/002", ["seen"])):
        loaded = dataset.masks(key)
        assert list(loaded) == names
        for name in names:
            assert loaded[name].dtype == masks[name].dtype
            np.testing.assert_array_equal(loaded[name], masks[name])
    assert dataset.fingerprint == open_dataset(made / "val").fingerprint


def test_masks_are_typed_columns(hub, made, tmp_path) -> None:
    root = Path(shutil.copytree(made / "val", tmp_path / "val"))
    seen = np.zeros((64, 32, 32), bool)
    seen[3, :, 5:] = True
    np.savez(root / "000/004.seen.npz", seen=seen)
    assert publish.main([str(root), "--repo", "lab/columns"]) == 0
    files = hub.repositories["lab/columns"].files
    (shard,) = (path for path in files if path.startswith("data/val/"))
    table = pq.read_table(pa.BufferReader(files[shard]))
    assert table.schema.field("seen").type == pa.list_(pa.bool_())
    assert table.schema.field("age").type == pa.list_(pa.uint16())
    assert table.schema.field("masks_shape").type == pa.list_(pa.int32())
    assert not any(pa.types.is_binary(field.type) for field in table.schema)
    row = table.to_pylist()[4]
    np.testing.assert_array_equal(np.reshape(row["seen"], row["masks_shape"]), seen)
    assert row["age"] is None
    assert table.slice(0, 4)["masks_shape"].null_count == 4
    sizes = pq.read_metadata(pa.BufferReader(files[shard])).row_group(4)
    stored = {sizes.column(i).path_in_schema: sizes.column(i) for i in range(sizes.num_columns)}
    assert stored["seen.list.element"].total_compressed_size < seen.size / 50


@pytest.mark.parametrize(
    "masks",
    [
        {"seen": np.zeros((64, 4, 4), np.uint8)},
        {"seen": np.zeros((63, 4, 4), bool)},
        {"seen": np.zeros((64, 4), bool)},
        {"age": np.zeros((64, 4, 4), np.uint16)},
        {"seen": np.zeros((64, 4, 4), bool), "age": np.zeros((64, 4, 5), np.uint16)},
        {"seen": np.zeros((64, 4, 4), bool), "more": np.zeros((64, 4, 4), bool)},
    ],
)
def test_malformed_masks_are_refused(hub, made, tmp_path, capsys, masks) -> None:
    root = Path(shutil.copytree(made / "val", tmp_path / "val"))
    np.savez(root / "000/001.seen.npz", **masks)
    assert publish_to("lab/strange", root) == 2
    error = capsys.readouterr().err
    assert "001.seen.npz: holds {" in error
    assert (
        "masks are seen (bool), age (uint16, optional) and sky (bool, optional) of one shape (64, H, W)"
        in error
    )
    assert hub.count(WRITES) == 0
