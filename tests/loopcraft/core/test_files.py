"""Files are written whole or not at all."""

import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import torch
from matplotlib.figure import Figure
from PIL import Image

from loopcraft.core import files
from loopcraft.core.errors import UserError
from loopcraft.dataset import layout


def test_a_folder_holds_a_thousand_keys() -> None:
    assert [layout.episode_key(index) for index in (0, 999, 1000, 199_999)] == [
        "000/000",
        "000/999",
        "001/000",
        "199/999",
    ]


def test_a_file_has_its_name_only_when_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    with files.whole_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert files.is_partial(temporary)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_has_the_usual_permissions_of_new_files(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    with files.whole_file(tmp_path / "file") as temporary:
        temporary.touch(mode=0o600)  # as some libraries create theirs
    assert (tmp_path / "file").stat().st_mode == ordinary.stat().st_mode


def test_a_failure_leaves_the_old_file_and_no_debris(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with files.whole_file(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


WRITERS = {
    "safetensors": lambda path: safetensors.numpy.save_file({"a": NOISE}, path),
    "torch": lambda path: torch.save(torch.from_numpy(NOISE), path),
    "numpy": lambda path: save_open(path, NOISE),
    "parquet": lambda path: pq.write_table(pa.table({"a": NOISE}), path),
    "picture": lambda path: Image.fromarray(NOISE.view(np.uint8)[:90_000].reshape(300, 300)).save(
        path, "PNG"
    ),
    "figure": lambda path: Figure(figsize=(20, 20)).savefig(path, format="png", dpi=300),
    "text": lambda path: path.write_text("x" * 80_000),
}
NOISE = np.random.default_rng(0).random(80_000)


def save_open(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array)


@pytest.fixture
def full_disk() -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_an_os_error_that_names_the_file(full_disk, tmp_path: Path, name: str) -> None:
    path = tmp_path / "file"
    with (
        pytest.raises(OSError, match=r"File too large|Input/output") as caught,
        files.whole_file(path) as new,
    ):
        WRITERS[name](new)
    assert caught.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [URLError("no route"), ConnectionResetError(104, "reset"), FileNotFoundError(2, "no such", "other")],
)
def test_other_errors_are_not_blamed_on_the_disk(tmp_path: Path, error: OSError) -> None:
    with (
        pytest.raises(OSError, match=r"no route|reset|no such") as caught,
        files.whole_file(tmp_path / "file"),
    ):
        raise error
    assert caught.value is error


def test_sweeping_removes_partial_files_and_nothing_else(tmp_path: Path) -> None:
    kept = [tmp_path / ".hidden", tmp_path / "notes.partial", tmp_path / "000" / "000.mp4"]
    swept = [tmp_path / ".index.json.12ab.partial", tmp_path / "000" / ".000.mp4.9f.partial"]
    (tmp_path / "000").mkdir()
    for path in kept + swept:
        path.touch()
    os.utime(swept[0], (0, 0))
    files.sweep_partials(tmp_path, older_than_s=60)
    assert [path.exists() for path in swept] == [False, True]
    files.sweep_partials(tmp_path)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_json_keeps_its_order_and_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "index.json"
    files.write_json(path, {"000/001": 2, "000/000": 1})
    assert list(json.loads(path.read_text())) == ["000/001", "000/000"]
    assert files.read_json(path) == {"000/001": 2, "000/000": 1}
    path.write_text('{"000/0')
    with pytest.raises(UserError, match=r"index\.json: not JSON"):
        files.read_json(path)
    path.write_text('{"000/000": 1, "000/001": {"a": 1, "b": 2, "a": 3}}')
    with pytest.raises(UserError, match=r"index\.json: not JSON \(the key 'a' appears twice\)"):
        files.read_json(path)


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("abc")
    assert files.file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
