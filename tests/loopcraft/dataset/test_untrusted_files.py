"""Files that anybody could have written are used correctly or refused in one sentence."""

import ast
import dataclasses
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.results.result_file import read_result
from benchmark.sources.loading import parse_model_args
from loopcraft import generate
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, read_json
from loopcraft.dataset import mirror, open_dataset
from loopcraft.dataset.catalog import SHARD_PATH, decode_catalog, encode_catalog
from loopcraft.dataset.episode_files import fingerprint
from loopcraft.dataset.manifest import read_manifest
from loopcraft.dataset.mask_files import encode_masks, read_masks
from models.checkpoints.format import FORMAT, parse_header
from models.checkpoints.training_log import read_log
from tests.fakes.catalogs import CATALOG
from tests.fakes.json_mutants import attempt, byte_mutants, mutants
from tests.fakes.world import FakeWorld, recipe

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("loopcraft", "benchmark", "models", "leaderboard")
ARROWS_READS = {"read_table", "read_row_group", "read_row_groups", "iter_batches", "read_pandas"}


def test_the_hubs_catalogue_is_checked_field_by_field() -> None:
    document = json.loads(encode_catalog(CATALOG))
    del document["sha256"]  # else everything is refused
    assert decode_catalog(encode_catalog(CATALOG), "lab/set") == CATALOG
    count = accepted = 0
    for text in mutants(document):
        decoded, sentence = attempt(decode_catalog, text, "lab/set")
        count, accepted = count + 1, accepted + (sentence is None)
        assert sentence is None or sentence.startswith("lab/set: its loopcraft.json")
        for name, configuration in (decoded or {}).items():
            assert configuration.table == f"episodes/{name}.parquet"
            assert all(SHARD_PATH.fullmatch(shard.path) for shard in configuration.shards)
            assert configuration.episodes >= 1
            assert configuration.manifest is None or configuration.manifest["num_context"] >= 1
    assert count > 500
    assert accepted < count / 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "../../x.parquet"}, r"configurations.test.table: not episodes/test.parquet"),
        ({"split": "../x"}, "its name or split is not a plain word"),
        ({"shards": []}, "has no shards"),
        ({"frames": 0}, "less than one frame"),
        ({"fingerprint": "x"}, "a checksum is not a SHA-256"),
        ({"surprise": 1}, "configurations.test.surprise: unknown field"),
        ({"manifest": {}}, "not a loopcraft-dataset of version 1"),
    ],
)
def test_faults_of_a_catalogue_are_reported(change: dict[str, Any], message: str) -> None:
    document = json.loads(encode_catalog(CATALOG))
    document["configurations"]["test"] |= change
    del document["sha256"]  # older versions had none
    with pytest.raises(UserError, match=message):
        decode_catalog(json.dumps(document).encode(), "lab/set")


def located(**changes: Any) -> pa.Table:
    columns = {
        "key": ["000/000", "000/001", "000/002"],
        "frames": [64] * 3,
        "mp4_sha256": ["a" * 64] * 3,
        "npy_sha256": ["b" * 64] * 3,
        "shard": [0, 1, 1],
        "row": [0, 0, 1],
    }
    return pa.table({name: value for name, value in (columns | changes).items() if value is not None})


def read_located(path: Path, **known: str) -> Any:
    repository = SimpleNamespace(name="lab/set", commit="0", download=lambda _: path)
    rows = zip(*(located()[name].to_pylist() for name in mirror._SUMMED), strict=True)
    configuration = dataclasses.replace(CATALOG["test"], **{"fingerprint": fingerprint(rows), **known})
    return mirror._located_table(repository, configuration)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shard": [0, 1, 2]}, "it refers to rows that no shard has"),
        ({"shard": [0, 1, -1]}, "it refers to rows that no shard has"),
        ({"row": [0, 0, 2]}, "it refers to rows that no shard has"),
        ({"row": [0, 0, None]}, "row holds values other than int"),
        ({"key": ["000/000", "000/000", "000/002"]}, "it does not list 3 episodes"),
        ({"key": [1, 2, 3]}, "key holds values other than str"),
        ({"mp4_sha256": None}, "mp4_sha256"),
        (
            {"npy_sha256": ["b" * 64, "b" * 64, "c" * 64]},
            "its fingerprint differs from that in",
        ),
    ],
)
def test_the_hubs_table_must_fit_its_shards(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    pq.write_table(located(), tmp_path / "good.parquet")
    assert read_located(tmp_path / "good.parquet")[1]["row"] == [0, 0, 1]
    pq.write_table(located(**changes), tmp_path / "bad.parquet")
    with pytest.raises(UserError, match=r"hf://lab/set: its episodes/test.parquet is damaged \(.*publish it"):
        read_located(tmp_path / "bad.parquet")
    assert message in str(attempt(read_located, tmp_path / "bad.parquet"))


def test_the_hubs_table_is_compared_with_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(located().append_column("world_seed", [[1, 2, 3]]), path)
    sha256 = file_sha256(path)
    assert read_located(path, table_sha256=sha256)[1]["row"] == [0, 0, 1]
    pq.write_table(located().append_column("world_seed", [[1, 2, 4]]), path)
    with pytest.raises(UserError, match=r"\(it does not match its SHA-256\)"):
        read_located(path, table_sha256=sha256)


def test_the_hubs_catalogue_is_compared_with_its_checksum() -> None:
    text = encode_catalog(CATALOG)
    with pytest.raises(UserError, match="it does not match its SHA-256"):
        decode_catalog(text.replace(b'"num_context": 16', b'"num_context": 17'), "lab/set")


def test_a_damaged_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(located(), path)
    content = path.read_bytes()
    sentences = []
    for text in (*byte_mutants(content, 300), b"", b"PAR1PAR1", content[: len(content) // 2]):
        path.write_bytes(text)
        sentences.append(attempt(read_located, path)[1])
    assert sum(sentence is not None for sentence in sentences) > 30


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("original")
    generate.generate(root, recipe("val", num_episodes=2), make_world=FakeWorld)
    return root


def test_a_manifest_is_used_correctly_or_refused(original: Path, tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    good = read_manifest(original)
    count = accepted = 0
    for text in mutants(good):
        path.write_bytes(text)
        manifest, sentence = attempt(read_manifest, tmp_path)
        count, accepted = count + 1, accepted + (sentence is None)
        if sentence is None:
            assert manifest["num_context"] >= 1
            assert isinstance(manifest["world"], str)
            assert manifest["generator"]["resolution"] >= 1
            assert all(isinstance(version, str) for version in manifest["versions"].values())
    assert count > 400
    assert 0 < accepted < count


@pytest.mark.parametrize("name", ["episodes.parquet", "index.json", "dataset.json"])
def test_a_damaged_data_set_is_opened_correctly_or_refused(original: Path, tmp_path: Path, name: str) -> None:
    for path in original.iterdir():
        if path.is_file() and path.name != "SHA256SUMS":
            (tmp_path / path.name).write_bytes(path.read_bytes())

    def use() -> None:
        dataset = open_dataset(tmp_path)
        assert len(dataset.metadata) >= 1
        assert len(dataset.fingerprint) == 64
        assert (dataset.world_id is None) == (dataset.num_context is None)

    for text in byte_mutants((original / name).read_bytes(), 150):
        (tmp_path / name).write_bytes(text)
        with suppress(FileNotFoundError):  # episodes are not copied
            attempt(use)


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"key": "000/001"}', "[" * 100_000, '{"key": "000/000", "frames": "x"}', "\x00"],
)
def test_a_damaged_row_of_an_unfinished_set_is_named(tmp_path: Path, text: str) -> None:
    generate.generate(tmp_path, recipe(num_episodes=2), make_world=FakeWorld, shard="1/2")
    path = tmp_path / "000" / "000.json"
    assert path.exists()
    path.write_text(text)
    with pytest.raises(UserError, match=r"000/000\.json: not"):
        generate.generate(tmp_path, recipe(num_episodes=2), make_world=FakeWorld)
    path.unlink()
    generate.generate(tmp_path, recipe(num_episodes=2), make_world=FakeWorld)


@pytest.mark.parametrize("text", ["{}", "[0]", "[0, 99]", '[0, "1"]', "[0, true]", "[" * 100_000])
def test_damaged_notes_of_candidates_are_named(tmp_path: Path, text: str) -> None:
    val = recipe("val", num_episodes=2)
    generate.generate(tmp_path, val, make_world=FakeWorld, shard="1/2")
    (tmp_path / "candidates.json").write_text(text)
    with pytest.raises(UserError, match=r"candidates\.json: not"):
        generate.generate(tmp_path, val, make_world=FakeWorld)


# Deep JSON.

DEEP = b"[" * 200_000 + b"]" * 200_000
DEEP_OBJECT = b'{"a":' * 200_000 + b"1" + b"}" * 200_000


@pytest.mark.parametrize("text", [DEEP, DEEP_OBJECT])
@pytest.mark.parametrize(
    "read",
    [
        read_json,
        read_result,
        lambda path: read_manifest(path.parent),
        lambda path: decode_catalog(path.read_bytes(), "lab/set"),
        lambda path: parse_model_args(path.read_text()),
        lambda path: parse_header({FORMAT: path.read_text()}, path),
        read_log,
    ],
)
def test_json_that_is_nested_too_deeply_is_refused(tmp_path: Path, text: bytes, read: Callable) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes(text + b"\n")
    assert "not JSON" in str(attempt(read, path)[1])


# Masks.


def bomb(shape: tuple[int, ...], dtype: str) -> bytes:
    """Return an NPZ file whose array is all zeros and far larger than the file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("seen.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        )
        for _ in range(64):
            member.write(bytes(1 << 20))
    return file.getvalue()


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((64, 2048, 2048), "bool", r"masks are seen .bool.*at most a frame's"),
        ((1 << 28,), "bool", r"masks are seen .bool"),
        ((64, 8, 8), "bool", ""),
        ((64, 8, 8), "int64", r"holds .'seen': 'int64 "),
        ((64, 2**31, 2**31), "bool", "masks are seen"),
    ],
)
def test_masks_take_no_more_memory_than_a_frame_allows(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, message: str
) -> None:
    path = tmp_path / "000.seen.npz"
    content = bomb(shape, dtype)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        _, sentence = attempt(read_masks, path, 64, 16 * 16)
        assert tracemalloc.get_traced_memory()[1] < len(content) + (8 << 20)
    finally:
        tracemalloc.stop()
    assert message == "" or sentence is not None
    if message:
        with pytest.raises(UserError, match=message):
            read_masks(path, 64, 16 * 16)


def test_a_data_set_bounds_its_masks_by_its_frames(original: Path, tmp_path: Path) -> None:
    dataset = open_dataset(original)
    key, side = dataset.keys[0], recipe().resolution
    assert dataset.num_pixels(key) == side * side
    path = dataset.masks_path(key)
    path.write_bytes(encode_masks({"seen": np.ones((dataset.num_frames(key), side, side), bool)}))
    assert dataset.masks(key)["seen"].all()
    path.write_bytes(encode_masks({"seen": np.ones((dataset.num_frames(key), side + 1, side), bool)}))
    with pytest.raises(UserError, match="at most a frame's"):
        dataset.masks(key)
    path.unlink()


def test_old_catalogues_still_load() -> None:
    """As the first version wrote them: without checksums, and with a set that has no manifest."""
    plain = dataclasses.replace(CATALOG["test"], manifest=None)
    document = json.loads(encode_catalog({"test": plain}))
    del document["sha256"], document["configurations"]["test"]["table_sha256"]
    assert decode_catalog(json.dumps(document).encode(), "lab/set") == {"test": plain}


def threaded_reads(source: str) -> list[str]:
    """Return the calls by which Arrow reads a file in its own threads."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    reads = [call for call in calls if getattr(call.func, "attr", "") in ARROWS_READS]
    setting = {"arg": "use_threads", "value": "False"}
    return [
        ast.unparse(call)
        for call in reads
        if setting not in [{"arg": word.arg, "value": ast.unparse(word.value)} for word in call.keywords]
    ]


def test_arrow_reads_in_the_callers_thread() -> None:
    """A thread of Arrow's own that still holds the file at exit aborts the process, or hangs it."""
    sources = [path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert sum(source.count("read_row_group(") for source in sources) >= 2
    assert [call for source in sources for call in threaded_reads(source)] == []
    assert threaded_reads("pq.read_table(path)\nfile.read_row_group(0, use_threads=True)") == [
        "pq.read_table(path)",
        "file.read_row_group(0, use_threads=True)",
    ]
