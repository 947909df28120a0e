"""A cheap world for tests: open ground and coloured waves; every fifth seed gets stuck."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Integer

from loopcraft.executors.local import LocalExecutor
from loopcraft.generate import generate
from loopcraft.generation.recipe import Recipe
from loopcraft.worlds.base import Observation, Pose
from loopcraft.worlds.registry import WorldSpec

SPEC = WorldSpec(factory="tests.fakes.world:FakeWorld")
RESOLUTION = 32
_TURNS = np.array([0.0, -10.0, 10.0])


class FakeWorld:
    """Satisfies `PathWorld`; frames depend only on pose and seed."""

    world_id = "fake-v1"

    def __init__(self, resolution: int = RESOLUTION) -> None:
        self.resolution = resolution

    def path(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Float64[np.ndarray, "T 5"]:
        yaw = (np.cumsum(_TURNS[actions]) + 180) % 360 - 180
        speed = (0.2 if seed % 5 else 0.01) * (actions == 0)
        x, z = np.cumsum(-np.sin(np.radians(yaw)) * speed), np.cumsum(np.cos(np.radians(yaw)) * speed)
        hop = 64 + 0.5 * np.abs(np.sin(np.arange(len(actions)) / 4))
        return np.stack([x, hop, z, yaw, np.zeros(len(actions))], axis=1)

    def play(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Iterator[Observation]:
        row, column = np.ogrid[: self.resolution, : self.resolution]
        for x, y, z, yaw, pitch in self.path(seed, actions):
            phase = seed % 7 + np.radians(yaw)
            waves = (
                np.sin(column / 6 + phase + x),
                np.cos(row / 5 + phase + y + z),
                np.sin((row + column) / 9 + 2 * phase),
            )
            frame = np.stack([127 + 80 * (wave + 0 * row + 0 * column) for wave in waves], axis=-1)
            yield Observation(frame=frame.astype(np.uint8), pose=Pose(x, y, z, yaw, pitch))


class SlowWorld(FakeWorld):
    """The same frames, slowly, so that something is always in progress when the run is killed."""

    def play(self, seed: int, actions: Integer[np.ndarray, " T"]) -> Iterator[Observation]:
        for observation in super().play(seed, actions):
            time.sleep(0.01)
            yield observation


def recipe(split: str = "train", num_episodes: int = 4, num_frames: int = 64, **more: object) -> Recipe:
    """A small recipe for the fake world."""
    return Recipe(
        world="fake-v1",
        split=split,
        num_episodes=num_episodes,
        num_frames=num_frames,
        resolution=RESOLUTION,
        **more,
    )


if __name__ == "__main__":  # a run that a test can kill: FOLDER SPLIT WORKERS
    workers = LocalExecutor(int(sys.argv[3]))
    generate(Path(sys.argv[1]), recipe(sys.argv[2]), make_world=SlowWorld, executor=workers)
