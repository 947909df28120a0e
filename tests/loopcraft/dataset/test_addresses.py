"""Data sets at an address: read like the folder, checked against their sums, fetched by ranges."""

import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest

from loopcraft import verify, view
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from loopcraft.dataset import open_dataset
from loopcraft.dataset.episode_files import write_index
from loopcraft.dataset.mask_files import encode_masks
from loopcraft.dataset.torch_views import RandomWindows
from loopcraft.generate import generate
from loopcraft.video.h264 import video_writer
from tests.fakes.object_store import CountedFiles
from tests.fakes.world import FakeWorld, recipe


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "set"
    generate(root, recipe(), make_world=FakeWorld)
    (root / "000/000.seen.npz").write_bytes(encode_masks({"seen": np.ones((64, 16, 16), bool)}))
    return root


def put(root: Path, name: str) -> str:
    """Copy the folder to an address of its own and return the address."""
    address = f"memory://{name}/set"
    fsspec.filesystem("memory").put(str(root), address, recursive=True)
    return address


def test_it_reads_like_the_folder(original: Path) -> None:
    local, remote = open_dataset(original), open_dataset(put(original, "reads"))
    assert str(remote.root) == "memory://reads/set"
    assert remote.keys == local.keys
    assert remote.fingerprint == local.fingerprint
    assert remote.manifest == local.manifest
    assert remote.metadata.equals(local.metadata)
    for key in local.keys:
        assert np.array_equal(remote.frames(key), local.frames(key))
        assert np.array_equal(remote.frames(key, 37, 41), local.frames(key, 37, 41))
        assert np.array_equal(remote.states(key), local.states(key))
    assert np.array_equal(remote.masks("000/000")["seen"], local.masks("000/000")["seen"])
    assert remote.masks("000/001") is None
    windows = zip(RandomWindows(remote, num_frames=5), RandomWindows(local, num_frames=5), strict=True)
    assert all(np.array_equal(remote["frames"], local["frames"]) for remote, local in windows)
    assert open_dataset("memory://reads").fingerprint == local.fingerprint  # the only folder below it


def test_commands_take_addresses(original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = put(original, "commands")
    assert verify.main([address]) == 0
    assert "4 episodes, 1 files without a checksum (1 *.seen.npz), no faults" in capsys.readouterr().out
    assert view.main([address, "--out", str(tmp_path)]) == 0
    assert (tmp_path / "000-000-preview.mp4").exists()


def test_damage_at_an_address_is_found_by_the_checksums(
    original: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address, files = put(original, "damage"), fsspec.filesystem("memory")
    for name in ("000/000.npy", "000/000.mp4"):
        files.pipe_file(f"{address}/{name}", files.cat_file(f"{address}/{name.replace('0.', '1.')}"))
    dataset = open_dataset(address)
    for read in (dataset.states, dataset.frames):
        with pytest.raises(UserError, match=r"memory://damage/set/000/000\.\w+: does not match its SHA-256"):
            read("000/000")
    files.rm(f"{address}/000/001.npy")
    files.pipe_file(f"{address}/000/stray.txt", b"")
    assert verify.main([address]) == 1
    output = capsys.readouterr().out
    assert "000/stray.txt: belongs to no episode" in output
    assert "000/001.npy: missing" in output
    table = files.cat_file(f"{address}/episodes.parquet")
    files.pipe_file(f"{address}/episodes.parquet", table[:-9])
    with pytest.raises(UserError, match=r"episodes\.parquet: does not match its SHA-256 in SHA256SUMS"):
        open_dataset(address).states("000/002")


def test_an_address_without_a_data_set_is_refused(original: Path) -> None:
    with pytest.raises(UserError, match=r"memory://nothing: holds no index\.json"):
        open_dataset("memory://nothing")
    for name in "ab":
        fsspec.filesystem("memory").put(str(original), f"memory://several/{name}", recursive=True)
    with pytest.raises(UserError, match="holds several data sets; choose memory://several/a or"):
        open_dataset("memory://several")


def test_a_window_of_a_long_video_needs_a_small_part_of_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "set/000/000.mp4"
    with video_writer(path, height=128, width=128) as writer:
        for _ in range(1200):
            writer.write(rng.integers(0, 255, (128, 128, 3), np.uint8))
    np.save(path.with_suffix(".npy"), np.zeros((1200, 6), np.float32))
    write_index(tmp_path / "set", {"000/000": 1200})
    monkeypatch.setattr(CountedFiles, "folder", tmp_path)
    remote, local = open_dataset("counted://set"), open_dataset(tmp_path / "set")
    for start in (1100, 600, 3):
        CountedFiles.asked_for.clear()
        frames = remote.frames("000/000", start, start + 32)
        fetched, size = sum(count for _, count in CountedFiles.asked_for), path.stat().st_size
        assert np.array_equal(frames, local.frames("000/000", start, start + 32))
        assert {name for name, _ in CountedFiles.asked_for} == {"set/000/000.mp4"}
        assert 0 < fetched < 0.12 * size, (start, fetched, size)


def test_a_truncated_video_is_reported(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(original, tmp_path / "set")
    for name in ("SHA256SUMS", "episodes.parquet", "dataset.json"):
        (tmp_path / "set" / name).unlink()
    path = tmp_path / "set/000/000.mp4"
    path.write_bytes(path.read_bytes()[:900])
    monkeypatch.setattr(CountedFiles, "folder", tmp_path)
    with pytest.raises(UserError, match=r"counted://set/000/000\.mp4: not a readable video"):
        open_dataset("counted://set").frames("000/000", 3, 5)
    assert file_sha256(path)
