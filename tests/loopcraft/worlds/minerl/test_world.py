"""The MineRL world with a stand-in game: every kind of failure is identified and survived."""

import logging
import os
import time
from pathlib import Path

import numpy as np
import pytest

from loopcraft.core.errors import UserError
from loopcraft.worlds import make_world
from loopcraft.worlds.base import Observation, PathWorld, PlayError
from loopcraft.worlds.minerl.child import box_filter, play, pose_of
from loopcraft.worlds.minerl.game import Patience
from loopcraft.worlds.minerl.options import KEYS, minerl_action, world_generator_options
from loopcraft.worlds.minerl.world import MineRLWorld
from tests.fakes.minerl import StandIn, is_running

RESOLUTION = 16
ACTIONS = np.array([0, 0, 1, 0, 2, 2, 0, 0, 1, 0])
HASTE = Patience(
    start_seconds=30,
    reset_seconds=2,
    step_seconds=2,
    close_seconds=5,
    first_pause_seconds=0.01,
    longest_pause_seconds=0.02,
    max_failures=3,
)


def world(script: StandIn, patience: Patience = HASTE) -> MineRLWorld:
    return MineRLWorld(resolution=RESOLUTION, make_environment=script, patience=patience)


def play_in_process(script: StandIn, seed: int) -> list[Observation]:
    """Play the same episode without a child process."""
    environment = script(RESOLUTION)
    environment.seed(seed)
    environment.reset()
    seen = list(play(environment, ACTIONS))
    environment.close()
    return seen


def running_java(folder: Path) -> list[int]:
    return [int(path.name[5:]) for path in folder.glob("java-*") if is_running(int(path.name[5:]))]


def remaining_java(folder: Path) -> list[int]:
    """Return the processes that remain after killed ones have had time to exit."""
    end = time.monotonic() + 5
    while (remaining := running_java(folder)) and time.monotonic() < end:
        time.sleep(0.01)
    return remaining


def scratch_folders(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith("loopcraft-minerl-")]


@pytest.fixture(autouse=True)
def _scratch_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_frames_and_poses_arrive_intact_and_the_game_is_reused(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    games = world(StandIn(tmp_path))
    for seed in (3, 4):
        played, expected = list(games.play(seed, ACTIONS)), play_in_process(StandIn(tmp_path / "here"), seed)
        assert len(played) == len(ACTIONS)
        for seen, reference in zip(played, expected, strict=True):
            np.testing.assert_array_equal(seen.frame, reference.frame)
            assert seen.frame.shape == (RESOLUTION, RESOLUTION, 3)
            assert seen.pose == reference.pose
            assert seen.surface is None
    assert not (tmp_path / "start-1").exists()  # one game for two worlds
    assert len(running_java(tmp_path)) == len(scratch_folders(tmp_path)) == 1
    games.close()
    assert (tmp_path / "closed").exists()
    assert remaining_java(tmp_path) == scratch_folders(tmp_path) == []


FAILURES = {
    "hang": ("timeout", "playing step 5 took more than 2 seconds"),
    "hang in reset": ("timeout", "building the world of seed 3 took more than 2 seconds"),
    "lost": ("timeout", "MineRL lost the game at step 5: Connection timed out!"),
    "raise": ("crash", "BrokenPipeError: [Errno 32] Broken pipe"),
    "raise in reset": ("crash", "ConnectionResetError: the socket went away"),
    "exit": ("crash", r"the process ended while playing step 5 (exit code 3)"),
    "kill": ("crash", r"the process ended while playing step 5 (exit code -9)"),
    "done": ("died", "the mission ended at step 5 of 10"),
    "black": ("black", "the frame of step 5 is empty"),
}


@pytest.mark.parametrize("cue", FAILURES)
def test_a_failure_is_identified_and_cleaned_up(
    cue: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    games = world(StandIn(tmp_path, plays={0: cue}))
    with pytest.raises(PlayError) as caught, caplog.at_level(logging.WARNING):
        list(games.play(3, ACTIONS))
    assert (caught.value.reason, caught.value.detail) == FAILURES[cue]
    assert f"game failed (1 in a row): {caught.value}" in caplog.text
    assert scratch_folders(tmp_path) == []
    if cue not in ("exit", "kill"):  # if the child is already gone, MineRL's own watcher ends Java
        assert remaining_java(tmp_path) == []
    if cue == "exit":
        assert "A fatal error has been detected by the Java Runtime Environment" in caplog.text
    for pid in running_java(tmp_path):
        os.kill(pid, 9)


def test_play_continues_after_failures(tmp_path: Path) -> None:
    games = world(StandIn(tmp_path, plays={0: "done", 1: "black"}))
    for _ in range(2):
        with pytest.raises(PlayError):
            list(games.play(3, ACTIONS))
    assert len(list(games.play(3, ACTIONS))) == len(ACTIONS)
    assert games._failures == 0
    games.close()
    assert len(list(tmp_path.glob("start-*"))) == 3
    assert remaining_java(tmp_path) == []


@pytest.mark.parametrize(
    ("cue", "reason"), [("raise", "crash: RuntimeError: no Java here"), ("hang", "timeout: starting")]
)
def test_a_game_that_never_starts_stops_the_run(cue: str, reason: str, tmp_path: Path) -> None:
    patience = Patience(start_seconds=2, first_pause_seconds=0, max_failures=2)
    games = world(StandIn(tmp_path, starts={0: cue, 1: cue}), patience)
    with pytest.raises(PlayError):
        list(games.play(3, ACTIONS))
    with pytest.raises(
        UserError, match=rf"failed 2 times in a row, last with {reason}.*doctor --world minerl"
    ):
        list(games.play(3, ACTIONS))


def test_pauses_double_up_to_the_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    sleep = time.sleep

    def pause(seconds: float) -> None:
        """Record only long pauses: threads left by other tests sleep, too."""
        if seconds < 1:
            sleep(seconds)
        else:
            pauses.append(seconds)

    monkeypatch.setattr(time, "sleep", pause)
    patience = Patience(first_pause_seconds=5, longest_pause_seconds=30, max_failures=6)
    games = world(StandIn(tmp_path, starts=dict.fromkeys(range(6), "raise")), patience)
    for _ in range(5):
        with pytest.raises(PlayError):
            list(games.play(3, ACTIONS))
    assert pauses == [5, 10, 20, 30]


def test_an_abandoned_episode_ends_its_game(tmp_path: Path) -> None:
    episode = world(StandIn(tmp_path)).play(3, ACTIONS)
    next(episode)
    assert len(running_java(tmp_path)) == 1
    episode.close()  # type: ignore[attr-defined]
    assert remaining_java(tmp_path) == scratch_folders(tmp_path) == []


def test_an_unreferenced_game_is_ended(tmp_path: Path) -> None:
    games = world(StandIn(tmp_path))
    list(games.play(3, ACTIONS))
    del games
    assert remaining_java(tmp_path) == scratch_folders(tmp_path) == []


def test_the_turn_is_held_only_while_frames_are_drawn(tmp_path: Path) -> None:
    class Turns:
        held = 0

        def __enter__(self) -> None:
            self.held += 1
            assert len(list(tmp_path.glob("world-*"))) == 1  # the world is built before the turn

        def __exit__(self, *error: object) -> None:
            self.held -= 1

    turns = Turns()
    games = MineRLWorld(resolution=16, make_environment=StandIn(tmp_path), patience=HASTE, turns=turns)
    held = [turns.held for _ in games.play(3, ACTIONS)]
    assert held == [1] * 9 + [0]  # released before the last frame is encoded
    games.close()


def test_actions_match_the_paper() -> None:
    for action, forward, turn in ((0, 1, 0.0), (1, 0, -10.0), (2, 0, 10.0)):
        command = minerl_action(action)
        assert [command[key] for key in KEYS] == [forward, 0, 0, 0, 1, 0, 0, 0]
        np.testing.assert_array_equal(command["camera"], [0.0, turn])


def test_the_box_filter_is_the_rounded_mean() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (10, 8, 3), np.uint8)
    mean = frame.reshape(5, 2, 4, 2, 3).astype(float).mean(axis=(1, 3))
    np.testing.assert_array_equal(box_filter(frame), np.floor(mean + 0.5))
    assert box_filter(np.full((2, 2, 3), 255, np.uint8)).tolist() == [[[255] * 3]]


def test_yaw_is_wrapped() -> None:
    stats = {"xpos": 1.0, "ypos": 2.0, "zpos": 3.0, "yaw": 540.0, "pitch": 4.0}
    assert pose_of(stats) == (1.0, 2.0, 3.0, -180.0, 4.0)
    assert pose_of(stats | {"yaw": -190.0}).yaw_deg == 170.0


def test_the_generator_options_match_the_paper() -> None:
    options = world_generator_options()
    assert len(options) == 79
    assert (options["seaLevel"], options["fixedBiome"], options["biomeSize"]) == (1, 6, 8)
    assert [name for name in options if name.startswith("use") and options[name]] == ["useCaves"]


def test_its_paths_are_not_known_in_advance() -> None:
    minecraft = make_world("minerl", resolution=64)
    assert (minecraft.world_id, minecraft.resolution) == ("minerl", 64)
    assert not isinstance(minecraft, PathWorld)
    with pytest.raises(UserError, match="--quality best: world 'minerl' has one quality"):
        make_world("minerl", resolution=64, quality="best")
