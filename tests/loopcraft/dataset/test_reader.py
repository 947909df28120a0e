"""Reading: windows, states, torch views, fingerprints, the paper's layout, damaged folders."""

import json
import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

import loopcraft.dataset.reader
from loopcraft.core.checksums import add_sums, sums_of
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.dataset.mask_files import encode_masks
from loopcraft.dataset.torch_views import Episodes, RandomWindows
from loopcraft.generate import generate
from tests.fakes.world import FakeWorld, recipe

KEYS = ("000/000", "000/001", "000/002", "000/003")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "set"
    generate(root, recipe(), make_world=FakeWorld)
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(original, tmp_path / "set"))


@pytest.fixture
def dataset(original: Path) -> LoopcraftDataset:
    return open_dataset(original)


def to_papers_layout(root: Path) -> Path:
    """Keep only what the paper's data have (index, videos and states), in a folder of their own."""
    (root / "dataset.json").unlink()
    (root / "episodes.parquet").unlink()
    (root / "SHA256SUMS").unlink(missing_ok=True)
    return root.rename(root.with_name("train_videos"))


def test_a_generated_set_reads_back(dataset: LoopcraftDataset) -> None:
    assert tuple(dataset) == dataset.keys == KEYS
    assert len(dataset) == len(KEYS)
    assert all(key in dataset for key in KEYS)
    assert "nothing" not in dataset
    assert dataset.world_id == "fake-v1"
    for key in KEYS:
        assert dataset.num_frames(key) == 64
        episode = dataset[key]
        actions = dataset.actions(key)
        shown = FakeWorld().path(dataset.metadata.loc[key, "world_seed"], actions)
        np.testing.assert_allclose(episode.states[:, 1:], shown, atol=1e-4)
        assert episode.frames.shape == (64, 32, 32, 3)
        np.testing.assert_array_equal(dataset.frames(key, 20, 37), episode.frames[20:37])
        np.testing.assert_array_equal(
            np.stack(list(dataset.iterate_frames(key, 20, 37))), episode.frames[20:37]
        )


@pytest.mark.parametrize("window", [(0, 65), (-1, 5), (5, 5), (64, 65)])
def test_a_window_outside_the_episode_is_refused(dataset: LoopcraftDataset, window: tuple[int, int]) -> None:
    with pytest.raises(UserError, match="choose within its 64 frames"):
        dataset.frames("000/001", *window)


TAKES_A_KEY = ("num_frames", "num_pixels", "video_path", "states_path", "masks_path", "masks", "states")


@pytest.mark.parametrize("name", [*TAKES_A_KEY, "actions", "frames", "iterate_frames", "__getitem__"])
def test_an_unknown_key_is_refused(dataset: LoopcraftDataset, name: str) -> None:
    for key, shown in (("000/009", "'000/009'"), ("", "''"), (0, "0")):
        with pytest.raises(UserError, match=f"set: no episode {shown}; there are 4, like '000/000'"):
            getattr(dataset, name)(key)


def test_the_papers_layout_reads_the_same(dataset: LoopcraftDataset, root: Path) -> None:
    videos = to_papers_layout(root)
    for path in (videos, videos.parent):
        paper = open_dataset(path)
        assert paper.root == videos
        assert paper.world_id is None
        assert list(paper.metadata["frames"]) == [64] * 4
        np.testing.assert_array_equal(paper.frames("000/002", 30, 40), dataset.frames("000/002", 30, 40))
        assert paper.fingerprint == dataset.fingerprint


def test_the_fingerprint_depends_on_the_content_alone(dataset: LoopcraftDataset, root: Path) -> None:
    assert loopcraft.dataset.open(root).fingerprint == dataset.fingerprint
    (root / "SHA256SUMS").unlink()
    index = json.loads((root / "index.json").read_text())
    (root / "index.json").write_text(json.dumps(dict(reversed(index.items()))))
    assert open_dataset(root).fingerprint == dataset.fingerprint
    (root / "index.json").write_text(json.dumps({key: index[key] for key in KEYS[:3]}))
    assert open_dataset(root).fingerprint != dataset.fingerprint
    videos = to_papers_layout(root)
    before = open_dataset(videos).fingerprint
    with (videos / "000" / "000.mp4").open("ab") as file:
        file.write(b"\0")
    assert open_dataset(videos).fingerprint != before


def test_random_windows_depend_on_seed_epoch_and_index_alone(dataset: LoopcraftDataset) -> None:
    windows = RandomWindows(dataset, num_frames=5, seed=3, length=12)
    first = [(item["key"], item["start"]) for item in windows]
    again = RandomWindows(dataset, num_frames=5, seed=3, length=12)
    assert [(again[index]["key"], again[index]["start"]) for index in reversed(range(12))] == first[::-1]
    windows.set_epoch(1)
    second = [(item["key"], item["start"]) for item in windows]
    assert second != first
    windows.set_epoch(0)
    assert [(item["key"], item["start"]) for item in windows] == first
    assert [item["start"] for item in RandomWindows(dataset, num_frames=5, seed=4, length=12)] != first


def test_a_window_equals_that_part_of_its_episode(dataset: LoopcraftDataset) -> None:
    for item in RandomWindows(dataset, num_frames=17):
        part = slice(item["start"], item["start"] + 17)
        assert item["frames"].dtype == torch.uint8
        assert item["frames"].shape == (17, 3, 32, 32)
        np.testing.assert_array_equal(item["frames"].permute(0, 2, 3, 1), dataset.frames(item["key"])[part])
        np.testing.assert_array_equal(item["states"], dataset.states(item["key"])[part])
        np.testing.assert_array_equal(item["actions"], dataset.actions(item["key"])[part])


def test_every_window_is_equally_likely(dataset: LoopcraftDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = {"000/000": 64, "000/001": 3, "000/002": 63, "000/003": 64}
    monkeypatch.setattr(dataset, "num_frames", lengths.__getitem__)
    monkeypatch.setattr(
        "loopcraft.dataset.torch_views._item", lambda dataset, key, start, num_frames: (key, start)
    )
    drawn = list(RandomWindows(dataset, num_frames=63, length=4000))
    windows, counts = np.unique(np.array(drawn, dtype=object).astype(str), axis=0, return_counts=True)
    assert windows.tolist() == [
        ["000/000", "0"],
        ["000/000", "1"],
        ["000/002", "0"],
        ["000/003", "0"],
        ["000/003", "1"],
    ]
    assert np.abs(counts - 800).max() < 130  # five standard deviations


def test_windows_longer_than_any_episode_are_refused(dataset: LoopcraftDataset) -> None:
    with pytest.raises(UserError, match="no episode has a window of 65 frames"):
        RandomWindows(dataset, num_frames=65)


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.fresh)])
def test_workers_give_the_same_windows_as_one_process(dataset: LoopcraftDataset, method: str) -> None:
    windows = RandomWindows(dataset, num_frames=5, seed=3, length=4)
    context = multiprocessing.get_context(method)
    loader = DataLoader(
        windows, batch_size=2, num_workers=1, multiprocessing_context=context, persistent_workers=True
    )
    for epoch in (0, 1):
        windows.set_epoch(epoch)
        batches = list(loader)
        assert batches[0]["frames"].shape == (2, 5, 3, 32, 32)
        single = [windows[index] for index in range(4)]
        assert [key for batch in batches for key in batch["key"]] == [item["key"] for item in single]
        assert torch.equal(
            torch.cat([batch["frames"] for batch in batches]),
            torch.stack([item["frames"] for item in single]),
        )


def test_episodes_are_whole_and_in_order(dataset: LoopcraftDataset) -> None:
    items = list(Episodes(dataset))
    assert [item["key"] for item in items] == list(KEYS)
    assert items[2]["frames"].shape == (64, 3, 32, 32)
    np.testing.assert_array_equal(items[2]["states"], dataset.states(KEYS[2]))


def test_folders_without_a_data_set_are_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: holds no index\.json"):
        open_dataset(tmp_path / "empty")
    shutil.copytree(root, tmp_path / "second")
    with pytest.raises(UserError, match="holds several data sets; choose"):
        open_dataset(tmp_path)
    (root / "index.json").unlink()
    with pytest.raises(UserError, match=r"unfinished .* run the same loopcraft\.generate command again"):
        open_dataset(root)


@pytest.mark.parametrize(
    "index",
    [
        "{",
        "[]",
        "{}",
        '{"a b": 64}',
        '{"/a": 64}',
        '{"a/../b": 64}',
        '{".a": 64}',
        '{"a//b": 64}',
        '{"a": true}',
        '{"000/000": 0}',
        '{"000/000": "64"}',
        '{"../000": 64}',
    ],
)
def test_an_invalid_index_is_refused(root: Path, index: str) -> None:
    (root / "SHA256SUMS").unlink()  # which a forger would write again
    (root / "index.json").write_text(index)
    with pytest.raises(UserError, match=r"index\.json: (not JSON|lists no|invalid).*restore it"):
        open_dataset(root)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 3.0, 1.5])
def test_an_invalid_action_is_refused(root: Path, value: float) -> None:
    dataset = open_dataset(to_papers_layout(root))
    key = dataset.keys[0]
    states = dataset.states(key).copy()
    states[7, 0] = value
    np.save(dataset.states_path(key), states)
    sentence = rf"{key}\.npy: row 7 holds the action {value}, expected 0, 1 or 2"
    with pytest.raises(UserError, match=sentence):
        dataset.actions(key)
    with pytest.raises(UserError, match=sentence):
        Episodes(dataset)[0]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("mark", [b"  ", b" *"], ids=["text", "binary"])
def test_checksums_in_the_formats_of_windows_are_read(root: Path, ending: bytes, mark: bytes) -> None:
    sums = root / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"  ", mark).replace(b"\n", ending))
    assert open_dataset(root).manifest
    (root / "dataset.json").write_text((root / "dataset.json").read_text() + " ")
    with pytest.raises(UserError, match=r"dataset\.json: does not match its SHA-256 in SHA256SUMS"):
        _ = open_dataset(root).manifest


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dataset.json\t", r"SHA256SUMS: line \d is not a checksum and a file name"),
        ("dataset.json\r", r"SHA256SUMS: line \d is not a checksum and a file name"),
        ("dataset.json ", r"dataset.json : missing, but SHA256SUMS lists it"),
        ("Dataset.json", r"Dataset.json: missing, but SHA256SUMS lists it"),
    ],
)
def test_a_missing_name_in_the_checksums_is_reported(root: Path, name: str, message: str) -> None:
    sums = root / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes().replace(b"dataset.json\n", f"{name}\r\n".encode()))
    with pytest.raises(UserError, match=message):
        open_dataset(root)


def test_damage_is_found_by_the_checksums(root: Path) -> None:
    dataset = open_dataset(root)
    whole = {key: dataset[key] for key in KEYS[:2]}
    for suffix in (".mp4", ".npy"):
        first, second = (root / f"{key}{suffix}" for key in KEYS[:2])
        first.write_bytes(second.read_bytes())
    reopened = open_dataset(root)
    for read in (reopened.states, reopened.actions):
        with pytest.raises(UserError, match=r"000/000\.npy: does not match its SHA-256; delete it and make"):
            read("000/000")
    for start, stop in ((0, None), (40, 56)):
        with pytest.raises(UserError, match=r"000/000\.mp4: does not match its SHA-256; delete it and make"):
            reopened.frames("000/000", start, stop)
        with pytest.raises(UserError, match=r"000/000\.mp4: does not match its SHA-256"):
            reopened.iterate_frames("000/000", start, stop)
    reopened.frames("000/000", 40, 55)  # under a quarter, which hashing the whole file would slow down
    assert np.array_equal(reopened.frames("000/001"), whole["000/001"].frames)


def test_masks_are_compared_with_their_checksums(root: Path) -> None:
    rng = np.random.default_rng(0)
    names = ["000/000.seen.npz", "000/001.seen.npz"]
    for name in names:
        (root / name).write_bytes(encode_masks({"seen": rng.random((64, 16, 16)) < 0.5}))
    add_sums(root, sums_of(root, names))
    seen = open_dataset(root).masks("000/000")["seen"]
    assert seen.shape == (64, 16, 16)
    (root / names[0]).write_bytes((root / names[1]).read_bytes())
    with pytest.raises(UserError, match=r"000\.seen\.npz: does not match its SHA-256 in SHA256SUMS"):
        open_dataset(root).masks("000/000")
    (root / names[0]).unlink()
    with pytest.raises(FileNotFoundError):
        open_dataset(root).masks("000/000")
    add_sums(root, dict.fromkeys(names))
    assert open_dataset(root).masks("000/000") is None


@pytest.mark.parametrize("name", ["dataset.json", "episodes.parquet"])
def test_a_lost_file_is_reported(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        open_dataset(root).fingerprint, open_dataset(root).manifest


def test_a_table_with_invalid_text_is_damaged(root: Path) -> None:
    """Arrow can read it, but pandas crashes on it with the whole process."""
    (root / "SHA256SUMS").unlink()
    texts = pa.array([b"\xff\xfe"] * 4, pa.binary()).view(pa.string())
    table = pq.read_table(root / "episodes.parquet")
    index = table.column_names.index("rejected")
    pq.write_table(table.set_column(index, "rejected", [texts]), root / "episodes.parquet")
    with pytest.raises(UserError, match=r"episodes\.parquet: not a readable table .*Invalid UTF8"):
        open_dataset(root).metadata


def test_an_older_data_set_with_fewer_checksums_can_be_read(root: Path, dataset: LoopcraftDataset) -> None:
    (root / "SHA256SUMS").unlink()
    old = open_dataset(root)
    assert old.fingerprint == dataset.fingerprint
    assert old.manifest == dataset.manifest
    assert np.array_equal(old.states("000/000"), dataset.states("000/000"))


def test_damaged_files_are_named(root: Path) -> None:
    (root / "SHA256SUMS").unlink()
    table = (root / "episodes.parquet").read_bytes()
    (root / "episodes.parquet").unlink()
    dataset = open_dataset(root)
    dataset.video_path("000/000").write_bytes(b"")
    with pytest.raises(UserError, match=r"000/000\.mp4: not a readable video"):
        dataset.frames("000/000")
    dataset.video_path("000/001").unlink()
    with pytest.raises(FileNotFoundError) as missing:
        dataset.frames("000/001")
    assert missing.value.filename == str(dataset.video_path("000/001"))
    dataset.states_path("000/000").write_bytes(dataset.states_path("000/000").read_bytes()[:100])
    with pytest.raises(UserError, match=r"000/000\.npy: not a readable array"):
        dataset.states("000/000")
    np.save(dataset.states_path("000/001"), np.zeros((63, 6), np.float32))
    with pytest.raises(UserError, match=r"000/001\.npy: holds float32 \(63, 6\), but the index says"):
        dataset.states("000/001")
    (root / "episodes.parquet").write_bytes(table[:-1])
    with pytest.raises(UserError, match=r"episodes\.parquet: not a readable table"):
        open_dataset(root).metadata
