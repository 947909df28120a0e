"""A data set comes out the same however it was made, and every mistake is one sentence."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopcraft import generate
from loopcraft.core import files
from loopcraft.core.errors import UserError
from loopcraft.core.writing import writing_to
from loopcraft.dataset import manifest as manifests
from loopcraft.dataset.audit import FLAGS
from loopcraft.executors.local import LocalExecutor
from loopcraft.generation import plan
from loopcraft.generation import recipe as recipes
from loopcraft.generation.recipe import Recipe
from loopcraft.worlds import registry
from tests.fakes.folder_content import Killed, content, dies_after
from tests.fakes.world import FakeWorld, recipe


def make(root: Path, recipe: Recipe, **options: object) -> dict[str, bytes]:
    generate.generate(root, recipe, make_world=FakeWorld, **options)
    return content(root)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What an undisturbed run writes, by split."""
    root = tmp_path_factory.mktemp("whole")
    return {split: make(root / split, recipe(split)) for split in ("train", "val", "test")}


def test_a_set_has_its_files_and_no_others(whole: dict[str, dict[str, bytes]]) -> None:
    episodes = [f"000/00{index}{suffix}" for index in range(4) for suffix in (".mp4", ".npy")]
    for stored in whole.values():
        assert sorted(stored) == sorted(
            [*episodes, "SHA256SUMS", "dataset.json", "episodes.parquet", "index.json"]
        )
        assert json.loads(stored["index.json"]) == {f"000/00{index}": 64 for index in range(4)}
    manifest = json.loads(whole["val"]["dataset.json"])
    assert (manifest["format"], manifest["version"]) == ("loopcraft-dataset", 1)
    assert (manifest["world"], manifest["split"], manifest["num_context"]) == ("fake-v1", "val", 16)
    assert manifest["generator"]["candidates"] == 40
    assert manifest["versions"]["numpy"] == np.__version__
    assert not {"minerl", "java"} & manifest["versions"].keys()


def test_the_table_describes_the_files(whole: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    for split, stored in whole.items():
        (tmp_path / split).write_bytes(stored["episodes.parquet"])
        table = pd.read_parquet(tmp_path / split)
        assert list(table["key"]) == [f"000/00{index}" for index in range(4)]
        for row in table.to_dict("records"):
            actions = np.frombuffer(stored[f"{row['key']}.npy"][-64 * 24 :], np.float32).reshape(64, 6)[:, 0]
            path = FakeWorld().path(row["world_seed"], actions.astype(int))
            steps = np.linalg.norm(np.diff(path[:, [0, 2]], axis=0), axis=1)
            assert row["distance_walked"] == pytest.approx(steps.sum(), abs=1e-3)
            assert not any(row[flag] for flag in FLAGS)


def test_workers_leave_no_trace(whole: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    assert make(tmp_path, recipe("test"), executor=LocalExecutor(2)) == whole["test"]


def test_a_second_run_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = make(tmp_path, recipe())
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert make(tmp_path, recipe()) == before
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == times
    assert "already complete" in capsys.readouterr().out


@pytest.mark.parametrize("split", ["train", "test"])
def test_shards_merge_by_copying(split: str, whole: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    for part in (3, 1, 2):
        files = make(tmp_path / f"{part}", recipe(split), shard=f"{part}/3")
        assert "index.json" not in files
        shutil.copytree(tmp_path / f"{part}", tmp_path / "merged", dirs_exist_ok=True)
    assert make(tmp_path / "merged", recipe(split)) == whole[split]


def test_a_deleted_file_is_made_again(whole: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    for split, lost in (("train", "000/001.mp4"), ("test", "000/003.npy")):
        make(tmp_path / split, recipe(split))
        (tmp_path / split / lost).unlink()
        assert make(tmp_path / split, recipe(split)) == whole[split]


def test_killed_between_any_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rename and unlink is a moment to die at; the rerun ends with the same bytes."""
    small = recipe("test", num_episodes=2, num_frames=16)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # as slow as the disk, and no matter here
    wanted = make(tmp_path / "whole", small)
    for moment in itertools.count():
        root = tmp_path / f"{moment}"
        if not dies_at(moment, root, small, monkeypatch):
            break
        assert make(root, small) == wanted
    assert moment > 2 * 3 + 4  # three files an episode and those of the set


def dies_at(moment: int, root: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run until the `moment`-th change of the folder, which does not happen, nor anything after it."""
    dying = dies_after(moment)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying(os.replace))
        patch.setattr(Path, "unlink", dying(Path.unlink))
        try:
            generate.generate(root, recipe, make_world=FakeWorld)
        except Killed:
            return True
    return False


@pytest.mark.parametrize(("num_workers", "moment"), [(1, "000/000.npy"), (2, "000/001.mp4")])
def test_sigkill_leaves_nothing_that_a_rerun_does_not_mend(
    num_workers: int, moment: str, whole: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tests.fakes.world", tmp_path, "train", num_workers]
    process = subprocess.Popen([str(word) for word in command], stderr=subprocess.PIPE)
    while not (tmp_path / moment).exists() and process.poll() is None:
        time.sleep(0.001)
    process.kill()
    process.communicate(timeout=30)  # ends when every worker has ended, too: they hold the pipe
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "index.json").exists()
    assert make(tmp_path, recipe()) == whole["train"]


def test_splits_share_no_seed() -> None:
    world = FakeWorld()
    splits = {split: recipe(split, num_episodes=50) for split in ("train", "val", "test")}
    plans = {
        split: [
            plan.plan_train_episode(world, recipe, index)
            if split == "train"
            else plan.plan_candidate(recipe, index)
            for index in range(50)
        ]
        for split, recipe in splits.items()
    }
    seeds = [plan.world_seed for planned in plans.values() for plan in planned]
    assert len(set(seeds)) == len(seeds) == 150
    assert plans["val"][0].actions.tolist() != plans["test"][0].actions.tolist()


def test_the_test_split_keeps_the_furthest_walks(whole: dict[str, dict[str, bytes]], tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(whole["test"]["episodes.parquet"])
    kept = list(pd.read_parquet(tmp_path / "table")["draw"])
    distances = [plan.candidate_distance(FakeWorld(), candidate, recipe("test")) for candidate in range(40)]
    assert kept == sorted(sorted(range(40), key=lambda candidate: -distances[candidate])[:4])


def test_a_stuck_walk_is_dropped_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, recipe(num_episodes=12))
    table = pd.read_parquet(tmp_path / "episodes.parquet")
    dropped = int(table["draw"].sum())
    assert dropped > 0  # a fifth of the fake worlds holds one fast
    assert not table["stuck"].any()
    assert f"12 kept, {dropped} dropped: {dropped} stuck" in capsys.readouterr().out


def test_where_every_attempt_is_stuck_it_is_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "integer_seed", lambda *key: 5 * key[-1])
    make(tmp_path, recipe(num_episodes=1))
    row = pd.read_parquet(tmp_path / "episodes.parquet").iloc[0]
    assert (row["draw"], row["rejected"], row["stuck"]) == (7, ",".join(["stuck"] * 7), True)


# What users get wrong.

CLI_MISTAKES = {
    "resolution 0": (["--resolution", "0"], "--resolution 0: choose 8 to 4096"),
    "odd resolution": (
        ["--resolution", "33"],
        "--resolution 33: must be even for yuv420p, and a multiple of 8 for block worlds",
    ),
    "unknown world": (["--world", "moon-v1"], "unknown world 'moon-v1'"),
    "no episodes": (["--num-episodes", "0"], "--num-episodes 0"),
    "no frames": (["--num-frames", "0"], "--num-frames 0"),
    "negative seed": (["--seed", "-1"], "--seed -1"),
    "too few candidates": (["--split", "test", "--candidates", "1"], "--candidates 1: must be at least"),
    "train candidates": (["--candidates", "10"], "--candidates is for val and test"),
    "shard 0": (["--shard", "0/2"], "--shard 0/2: choose i/n"),
    "shard 3 of 2": (["--shard", "3/2"], "--shard 3/2: choose i/n"),
    "no shard": (["--shard", "half"], "--shard half: choose i/n"),
    "more shards than episodes": (["--shard", "1/9"], "--shard 1/9: choose i/n"),
    "no pictures": (["--quality", "undrawn"], "--quality undrawn: renders no frames; choose fast"),
    "negative workers": (["--workers", "-1"], "--workers -1"),
}


@pytest.mark.parametrize("name", CLI_MISTAKES)
def test_a_bad_flag_is_one_sentence_and_writes_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if name not in ("unknown world",):
        monkeypatch.setattr(generate, "make_world", lambda *args, **options: FakeWorld())
    flags, message = CLI_MISTAKES[name]
    given = ["--out", str(tmp_path / "set"), "--split", "train", "--num-episodes", "2", *flags]
    assert generate.main(given) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "set").exists()


def test_a_folder_of_another_recipe_is_refused(tmp_path: Path) -> None:
    before = make(tmp_path, recipe())
    for other in (recipe(num_episodes=5), recipe("val"), recipe(seed=1), recipe(lossless=True)):
        with pytest.raises(UserError, match=r"was begun with \w+ = .*, not .*; use the same"):
            make(tmp_path, other)
    assert content(tmp_path) == before


def test_a_folder_of_other_versions_is_refused_unless_all_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, recipe())
    monkeypatch.setattr(recipes, "versions", lambda: {"numpy": "0.1"})
    make(tmp_path, recipe())
    (tmp_path / "000" / "000.npy").unlink()
    with pytest.raises(
        UserError, match=r"was begun with loopcraft .* but this is None; continue with the same"
    ):
        make(tmp_path, recipe())


def test_a_folder_begun_by_other_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, recipe(), shard="1/2")
    monkeypatch.setattr(manifests, "sources_sha256", lambda *rooms: "0" * 64)
    with pytest.raises(
        UserError, match=r"begun with sources \w{16}, but this is 0{16}; continue with the same"
    ):
        make(tmp_path, recipe())


def test_folders_that_are_none_of_ours_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(UserError, match="file: is a file; choose a folder"):
        make(tmp_path / "file", recipe())
    with pytest.raises(UserError, match=r"holds 'file' but no dataset\.json"):
        make(tmp_path, recipe())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dataset.json").write_text('{"format": "else"}')
    with pytest.raises(UserError, match="not a loopcraft-dataset of version 1"):
        make(tmp_path / "other", recipe())
    assert (tmp_path / "file").read_text() == "text"


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    make(tmp_path, recipe())
    with ExitStack() as stack:
        stack.enter_context(writing_to(tmp_path, together=True))
        stack.enter_context(writing_to(tmp_path, together=True))  # as shards may
        stack.enter_context(pytest.raises(UserError, match="another command is writing to it"))
        make(tmp_path, recipe())


@contextmanager
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files can be opened, but their data do not get onto the disk."""

    def flush(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(files, "_flush_to_disk", flush)
        yield


def test_a_full_disk_is_one_sentence_and_a_rerun_goes_on(
    whole: dict[str, dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(generate, "make_world", lambda *args, **options: FakeWorld())
    monkeypatch.setattr(registry, "BUILT_IN", {"fake-v1": "tests.fakes.world:SPEC"})
    flags = ["--out", str(tmp_path), "--split", "train", "--num-episodes", "4", "--num-frames", "64"]
    flags += ["--resolution", "32", "--world", "fake-v1", "--workers", "1"]
    with full_disk(monkeypatch):
        assert generate.main(flags) == 2
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert str(tmp_path) in error
    assert content(tmp_path) == {}
    assert generate.main(flags) == 0
    assert content(tmp_path) == whole["train"]


def test_an_unwritable_folder_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("text")
    flags = ["--out", str(tmp_path / "file" / "set"), "--split", "train", "--num-episodes", "2"]
    assert generate.main(flags) == 2
    assert f"error: {tmp_path / 'file' / 'set'}: Not a directory" in capsys.readouterr().err


def die(world: FakeWorld, item: int) -> int:
    os._exit(9)


def fail(world: FakeWorld, item: int) -> int:
    raise OSError(28, "No space left on device", "/disk/000.mp4")


def test_a_dead_worker_is_one_sentence() -> None:
    with pytest.raises(UserError, match="a worker process died"):
        list(LocalExecutor(2).run(die, range(3), make_state=FakeWorld))


def test_what_a_job_raises_arrives_whole() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(LocalExecutor(2).run(fail, range(3), make_state=FakeWorld))
    assert caught.value.filename == "/disk/000.mp4"
