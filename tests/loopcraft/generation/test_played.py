"""Data sets of a world with failing games and paths known only after play: whole episodes or none."""

import json
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loopcraft import generate
from loopcraft.core.errors import UserError
from loopcraft.dataset import open_dataset
from loopcraft.dataset.audit import FLAGS
from loopcraft.executors.local import LocalExecutor
from loopcraft.generation import plan, played
from loopcraft.generation.recipe import Recipe
from loopcraft.verify import verify
from loopcraft.worlds.base import PlayError
from loopcraft.worlds.minerl.game import Patience
from loopcraft.worlds.minerl.world import MineRLWorld
from tests.fakes.folder_content import Killed, content, dies_after
from tests.fakes.minerl import StandIn, is_running
from tests.fakes.world import FakeWorld

HASTE = Patience(
    start_seconds=60, reset_seconds=30, step_seconds=5, first_pause_seconds=0.01, longest_pause_seconds=0.01
)


def recipe(split: str = "train", num_episodes: int = 2, **more: object) -> Recipe:
    return Recipe(
        world="minerl", split=split, num_episodes=num_episodes, num_frames=32, resolution=16, **more
    )


def games(script: StandIn, turns: object = None) -> MineRLWorld:
    return MineRLWorld(resolution=16, make_environment=script, patience=HASTE, turns=turns)


@pytest.fixture(autouse=True)
def java(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stub `java` on the PATH: a real one takes long to report its version."""
    java = tmp_path_factory.mktemp("bin") / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(java.parent), prepend=":")
    return java


class PlayedWorld:
    """The fake world without `path`; the plays numbered in `fails` and the worlds `seeds` fail half-way."""

    world_id, resolution = "minerl", 16

    def __init__(self, fails: tuple[int, ...] = (), seeds: tuple[int, ...] = ()) -> None:
        self.fails, self.seeds, self.num_played = fails, seeds, 0

    def play(self, seed, actions):  # type: ignore[no-untyped-def]
        self.num_played += 1
        fails = self.num_played in self.fails or seed in self.seeds
        for step, seen in enumerate(FakeWorld(16).play(seed, actions)):
            if fails and step == 9:
                raise PlayError("died", "on cue")
            yield seen


def make(root: Path, recipe: Recipe, world: PlayedWorld | None = None, **options: object) -> PlayedWorld:
    world = world or PlayedWorld()
    generate.generate(root, recipe, make_world=lambda: world, **options)  # type: ignore[arg-type]
    return world


def test_a_data_set_is_complete_after_every_kind_of_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cues = dict(enumerate(("hang", "done", "ok", "lost", "kill", "ok", "black", "raise in reset")))
    (tmp_path / "script").mkdir()
    script = StandIn(tmp_path / "script", plays={number: cue for number, cue in cues.items() if cue != "ok"})
    generate.generate(tmp_path / "set", recipe(num_episodes=3), make_world=partial(games, script))
    dataset = open_dataset(tmp_path / "set")
    assert dataset.keys == ("000/000", "000/001", "000/002")
    assert verify(dataset) == []
    table = pd.read_parquet(tmp_path / "set" / "episodes.parquet")
    reasons = [reason for row in table["rejected"] for reason in row.split(",") if reason]
    assert [reason for reason in reasons if reason != "stuck"] == [
        *("timeout", "died", "timeout", "crash", "black", "crash")
    ]
    assert not table[list(FLAGS)].any(axis=None)
    assert list(table["frames"]) == [32, 32, 32]
    assert "2 crash" in capsys.readouterr().out
    states = dataset.states("000/001")
    turns = np.diff(states[:, 4]) - np.array([0, -10, 10])[states[1:, 0].astype(int)]
    assert np.abs((turns + 180) % 360 - 180).max() < 1e-3  # row t holds the action that made frame t


def test_a_world_is_built_while_another_is_drawn_and_one_draws_at_a_time(tmp_path: Path) -> None:
    """The first to draw waits until the other's world is built, which one process could never do."""
    script = StandIn(tmp_path, plays={0: "meet"})
    factory, num_workers = played.take_turns(partial(games, script), 1)
    assert num_workers == 2
    (tmp_path / "set").mkdir()
    generate.generate(tmp_path / "set", recipe(), make_world=factory, executor=LocalExecutor(num_workers))
    table = pd.read_parquet(tmp_path / "set" / "episodes.parquet")
    assert not table["rejected"].str.contains("crash").any()


def test_train_walks_that_are_stuck_are_rendered_again(tmp_path: Path) -> None:
    world = make(tmp_path, recipe(num_episodes=10))
    table = pd.read_parquet(tmp_path / "episodes.parquet")
    assert world.num_played == 10 + table["draw"].sum() > 10
    assert not table["stuck"].any()
    for index, row in table.iterrows():
        drawn = plan.draw_train_episode(recipe(num_episodes=10), int(str(index)), row["draw"])
        assert row["world_seed"] == drawn.world_seed


def test_an_episode_is_played_three_times_then_drawn_again(tmp_path: Path) -> None:
    make(tmp_path, recipe(num_episodes=1), PlayedWorld(fails=(1, 2, 3)))
    row = pd.read_parquet(tmp_path / "episodes.parquet").iloc[0]
    assert (row["draw"], row["rejected"].split(",")[:3]) == (1, ["died"] * 3)


def test_an_unplayable_episode_leaves_nothing_and_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"could not be played .*; run again"):
        make(tmp_path, recipe(), PlayedWorld(fails=tuple(range(100))))
    assert list(content(tmp_path)) == ["dataset.json"]
    make(tmp_path, recipe())
    assert verify(open_dataset(tmp_path)) == []


def test_the_furthest_candidates_are_kept_and_the_others_removed(tmp_path: Path) -> None:
    wanted = recipe("test", candidates=12)
    world = make(tmp_path, wanted)
    assert world.num_played == 12
    table = pd.read_parquet(tmp_path / "episodes.parquet")
    distances = [plan.candidate_distance(FakeWorld(16), candidate, wanted) for candidate in range(12)]
    assert list(table["draw"]) == sorted(sorted(range(12), key=lambda candidate: -distances[candidate])[:2])
    files = ["000/000.mp4", "000/000.npy", "000/001.mp4", "000/001.npy"]
    assert list(content(tmp_path)) == [*files, "SHA256SUMS", "dataset.json", "episodes.parquet", "index.json"]
    assert verify(open_dataset(tmp_path)) == []
    assert make(tmp_path, wanted).num_played == 0


def test_a_candidate_that_cannot_be_played_is_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = recipe("test", candidates=6)
    make(tmp_path / "all", wanted)
    best = pd.read_parquet(tmp_path / "all" / "episodes.parquet")["draw"].iloc[0]
    unplayable = (plan.plan_candidate(wanted, best).world_seed,)
    make(tmp_path / "fewer", wanted, PlayedWorld(seeds=unplayable))
    assert best not in list(pd.read_parquet(tmp_path / "fewer" / "episodes.parquet")["draw"])
    assert "1 of 6 candidates could not be played" in capsys.readouterr().out
    with pytest.raises(UserError, match="6 of 6 candidates could not be played, too many for 2"):
        make(tmp_path / "none", wanted, PlayedWorld(fails=tuple(range(100))))


def test_shards_of_candidates_merge_by_copying(tmp_path: Path) -> None:
    wanted = recipe("val", candidates=7)
    make(tmp_path / "whole", wanted)
    played = 0
    for part in (2, 1, 3):
        played += make(tmp_path / f"{part}", wanted, shard=f"{part}/3").num_played
        assert "index.json" not in content(tmp_path / f"{part}")
        shutil.copytree(tmp_path / f"{part}", tmp_path / "merged", dirs_exist_ok=True)
    assert played == 7
    assert make(tmp_path / "merged", wanted).num_played == 0
    assert content(tmp_path / "merged") == content(tmp_path / "whole")


@pytest.mark.parametrize("split", ["train", "test"])
def test_killed_between_any_two_files(split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the run at each rename or removal: the rerun gives the same bytes and plays no episode twice."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)  # slow, and irrelevant here
    small = recipe(split, candidates=3) if split == "test" else recipe(split)
    needed = make(tmp_path / "whole", small).num_played
    moment = 0
    while (first := run_until_killed(moment, tmp_path / f"{moment}", small, monkeypatch)) is not None:
        again = make(tmp_path / f"{moment}", small).num_played
        assert content(tmp_path / f"{moment}") == content(tmp_path / "whole")
        assert first + again <= needed + plan.TRAIN_ATTEMPTS  # at most the episode under way
        moment += 1
    assert moment > 10


def run_until_killed(moment: int, root: Path, small: Recipe, monkeypatch: pytest.MonkeyPatch) -> int | None:
    """Run until the `moment`-th change of the folder; return the episodes played, None if it completed."""
    wrap = dies_after(moment)
    world = PlayedWorld()
    with monkeypatch.context() as patch:
        for name in ("os.replace", "pathlib.Path.replace", "shutil.rmtree"):
            holder, _, attribute = name.rpartition(".")
            module: object = {"os": __import__("os"), "pathlib.Path": Path, "shutil": shutil}[holder]
            patch.setattr(module, attribute, wrap(getattr(module, attribute)))
        try:
            make(root, small, world)
        except Killed:
            return world.num_played
    return None


def test_a_lost_file_of_a_finished_set_is_rendered_again(tmp_path: Path) -> None:
    for split in ("train", "test"):
        wanted = recipe(split)
        make(tmp_path / split, wanted)
        before = content(tmp_path / split)
        (tmp_path / split / "000" / "001.mp4").unlink()
        assert make(tmp_path / split, wanted).num_played >= 1
        assert content(tmp_path / split) == before


def test_the_command_asks_the_doctor_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # a PATH without Java
    flags = ["--out", str(tmp_path / "set"), "--split", "train", "--num-episodes", "1", "--world", "minerl"]
    assert generate.main(flags) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: world 'minerl' cannot run here:")
    assert "python -m loopcraft.doctor --world minerl" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "set").exists()


def test_the_command_line_makes_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "require_world", lambda world_id: None)
    factory = partial(games, StandIn(tmp_path))
    monkeypatch.setattr(
        generate, "make_world", lambda world, *, resolution, quality, turns=None: factory(turns)
    )
    monkeypatch.setattr(played, "take_turns", lambda make_world, num_workers: (make_world, 1))
    flags = ["--out", str(tmp_path / "set"), "--split", "train", "--num-episodes", "1", "--world", "minerl"]
    assert generate.main([*flags, "--num-frames", "32", "--resolution", "16"]) == 0
    assert verify(open_dataset(tmp_path / "set")) == []


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Metadata of minerl 0.4.4 on the import path, as if it were installed."""
    metadata = tmp_path / "packages" / "minerl-0.4.4.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: minerl\nVersion: 0.4.4\n")
    monkeypatch.syspath_prepend(metadata.parents[1])
    return metadata.parents[1]


def test_the_data_set_records_its_minecraft_versions(tmp_path: Path, packages: Path) -> None:
    root = tmp_path / "set"
    make(root, recipe(num_episodes=1))
    recorded = json.loads((root / "dataset.json").read_text())["versions"]
    assert {"minerl": "0.4.4", "java": "1.8.0_402"}.items() <= recorded.items()
    assert recorded["numpy"] == np.__version__


def test_a_run_resumes_with_another_java_8_but_not_another_minerl(
    tmp_path: Path, packages: Path, java: Path
) -> None:
    root = tmp_path / "set"
    make(root, recipe())
    (root / "000/001.npy").unlink()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_432\"' >&2\n")
    make(root, recipe())
    assert (root / "000/001.npy").exists()
    (root / "000/001.npy").unlink()
    (packages / "minerl-0.4.4.dist-info").rename(packages / "minerl-1.0.0.dist-info")
    (packages / "minerl-1.0.0.dist-info/METADATA").write_text("Name: minerl\nVersion: 1.0.0\n")
    with pytest.raises(
        UserError, match=r"was begun with minerl 0\.4\.4, but this is 1\.0\.0; continue with the same"
    ):
        make(root, recipe())


def test_games_end_when_the_run_is_killed(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from functools import partial
from tests.fakes.minerl import StandIn, is_running
from tests.loopcraft.generation.test_played import games, recipe
from loopcraft import generate
script = StandIn(Path({str(tmp_path)!r}), plays={{0: "hang"}})
generate.generate(Path({str(tmp_path / "set")!r}), recipe(), make_world=partial(games, script))
"""
    (tmp_path / "run.py").write_text("if __name__ == '__main__':\n" + script.replace("\n", "\n    "))
    command = [sys.executable, str(tmp_path / "run.py")]
    environment = {"PYTHONPATH": ":".join(sys.path), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    while not list(tmp_path.glob("world-0")) and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=30)  # waits for the game too, which holds the pipe
    (java,) = tmp_path.glob("java-*")
    end = time.monotonic() + 10  # an ending process closes its files a moment before it is gone
    while is_running(int(java.name[5:])) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_running(int(java.name[5:]))
    assert not list(tmp_path.glob("loopcraft-minerl-*"))
    assert not (tmp_path / "set" / "index.json").exists()
    assert json.loads((tmp_path / "set" / "dataset.json").read_text())["world"] == "minerl"
