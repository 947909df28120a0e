"""Recording and auditing episodes: each flag has an episode that trips it alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float64, Int8, Integer

from loopcraft.core.files import file_sha256
from loopcraft.core.seeding import generator
from loopcraft.dataset import audit
from loopcraft.generation.recording import EpisodeRecord, record_episode
from loopcraft.video.h264 import read_frames, video_writer
from loopcraft.walks.actions import Action, draw_walk
from loopcraft.walks.selection import chamfer_distance, distance_walked
from loopcraft.worlds.base import Observation
from tests.fakes.world import FakeWorld

NUM_FRAMES = 80
NUM_CONTEXT = 20
SEED = 1


def walk() -> Int8[np.ndarray, " T"]:
    return draw_walk(generator(0, "test"), NUM_FRAMES)


def record(world: FakeWorld, path: Path) -> EpisodeRecord:
    return record_episode(world, SEED, walk(), path / "000", num_context=NUM_CONTEXT)


def test_an_episode_holds_what_the_world_showed(tmp_path: Path) -> None:
    world = FakeWorld()
    result = record(world, tmp_path)
    shown = list(world.play(SEED, walk()))
    states = np.load(tmp_path / "000.npy")
    assert states.dtype == np.float32
    np.testing.assert_array_equal(states[:, 0], walk())
    np.testing.assert_allclose(states[:, 1:], [seen.pose for seen in shown], atol=1e-4)
    frames = read_frames(tmp_path / "000.mp4", 0, NUM_FRAMES)
    errors = [
        np.abs(frame.astype(float) - seen.frame).mean() for frame, seen in zip(frames, shown, strict=True)
    ]
    assert max(errors) < 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000.mp4", "000.npy"]
    assert result.frames == NUM_FRAMES
    assert result.flags == ()
    assert result.mp4_sha256 == file_sha256(tmp_path / "000.mp4")
    assert result.npy_sha256 == file_sha256(tmp_path / "000.npy")


def test_distances_match_the_realised_path(tmp_path: Path) -> None:
    result = record(FakeWorld(), tmp_path)
    path = FakeWorld().path(SEED, walk())
    assert result.distance_walked == pytest.approx(0.2 * np.count_nonzero(walk()[1:] == 0), rel=1e-4)
    assert result.distance_walked == pytest.approx(distance_walked(path[:, :3]), rel=1e-4)
    ground = path[:, [0, 2]]
    pairs = np.linalg.norm(ground[:NUM_CONTEXT, None] - ground[None, NUM_CONTEXT:], axis=-1)
    assert result.chamfer_realised == pytest.approx(pairs.min(1).mean() + pairs.min(0).mean(), abs=1e-4)
    assert chamfer_distance(ground[:NUM_CONTEXT], ground[NUM_CONTEXT:]) > 0


class BrokenWorld(FakeWorld):
    """The fake world with a spoilt path or spoilt observations."""

    def __init__(
        self,
        spoil_path: Callable[[Float64[np.ndarray, "T 5"]], None] = lambda path: None,
        spoil: Callable[[int, Observation], Observation | None] = lambda tick, seen: seen,
    ) -> None:
        super().__init__()
        self._spoil_path = spoil_path
        self._spoil = spoil

    def path(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Float64[np.ndarray, "T 5"]:
        path = super().path(seed, actions)
        self._spoil_path(path)
        return path

    def play(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Iterator[Observation]:
        for tick, seen in enumerate(super().play(seed, actions)):
            spoilt = self._spoil(tick, seen)
            if spoilt is None:
                return
            yield spoilt


def stand_still(path: Float64[np.ndarray, "T 5"]) -> None:
    path[:, [0, 2]] *= 0.1


def fall(path: Float64[np.ndarray, "T 5"]) -> None:
    path[40:, 1] -= np.minimum(np.arange(NUM_FRAMES - 40) * 0.6, 12.6)


def sink(path: Float64[np.ndarray, "T 5"]) -> None:
    path[:, 1] -= 65.0


def climb_down(path: Float64[np.ndarray, "T 5"]) -> None:
    path[:, 1] -= np.arange(NUM_FRAMES) * 0.2


def shift_yaw(path: Float64[np.ndarray, "T 5"]) -> None:
    path[1:, 3] = path[:-1, 3].copy()


def drift_yaw(path: Float64[np.ndarray, "T 5"]) -> None:
    path[30:, 3] += 0.01


def wind_yaw(path: Float64[np.ndarray, "T 5"]) -> None:
    path[:, 3] += 360.0


def with_frame(at: int, value: int) -> Callable[[int, Observation], Observation]:
    def spoil(tick: int, seen: Observation) -> Observation:
        if tick != at:
            return seen
        return Observation(frame=np.full_like(seen.frame, value), pose=seen.pose)

    return spoil


def freeze() -> Callable[[int, Observation], Observation]:
    """Repeat one frame from tick 30 on."""
    frames = []

    def spoil(tick: int, seen: Observation) -> Observation:
        frames.append(seen.frame)
        return seen if tick < 30 else Observation(frame=frames[30], pose=seen.pose)

    return spoil


MUTANTS = {
    "whole": (BrokenWorld(), ()),
    "stands still": (BrokenWorld(stand_still), ("stuck",)),
    "falls": (BrokenWorld(fall), ("fell",)),
    "below the world": (BrokenWorld(sink), ("fell",)),
    "climbs down": (BrokenWorld(climb_down), ()),
    "yaw a tick late": (BrokenWorld(shift_yaw), ("misaligned",)),
    "yaw jumps": (BrokenWorld(drift_yaw), ("misaligned",)),
    "yaw not wrapped": (BrokenWorld(wind_yaw), ()),
    "dies": (BrokenWorld(spoil=lambda tick, seen: None if tick == 60 else seen), ("short",)),
    "one black frame": (BrokenWorld(spoil=with_frame(33, 16)), ("black",)),
    "one grey frame": (BrokenWorld(spoil=with_frame(33, 17)), ("constant",)),
    "renderer hangs": (BrokenWorld(spoil=freeze()), ("constant",)),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_each_fault_trips_its_flag_alone(name: str, tmp_path: Path) -> None:
    world, flags = MUTANTS[name]
    assert record(world, tmp_path).flags == flags


def test_a_video_that_lost_frames_or_its_end_is_undecodable(tmp_path: Path) -> None:
    frames = [seen.frame for seen in FakeWorld().play(SEED, walk())]
    path = tmp_path / "000.mp4"
    with video_writer(path, height=32, width=32) as writer:
        for frame in frames:
            writer.write(frame)
    assert audit.audit_video(path, NUM_FRAMES, frames[-1]) == ()
    assert audit.audit_video(path, NUM_FRAMES - 1, frames[-2]) == ("undecodable",)
    assert audit.audit_video(path, NUM_FRAMES + 1, frames[-1]) == ("undecodable",)
    assert audit.audit_video(path, NUM_FRAMES, frames[0]) == ("undecodable",)
    path.write_bytes(path.read_bytes()[:2000])
    assert audit.audit_video(path, NUM_FRAMES, frames[-1]) == ("undecodable",)


def test_every_flag_is_tested() -> None:
    tripped = {flag for _, flags in MUTANTS.values() for flag in flags}
    assert tripped | {"undecodable"} == set(audit.FLAGS)


def test_frames_drawn_into_one_buffer_are_audited_separately() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    frame_audit = audit.FrameAudit()
    for level in range(20, 30):
        picture[:8] = level
        picture[8:] = 200
        frame_audit.watch(picture, Action.LEFT)
    assert frame_audit.flags == ()
