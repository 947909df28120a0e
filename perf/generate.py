"""Measure frames per second from seed to finished files, the time of each stage, and a second worker's gain.

One worker and two make the same episodes, as one in the woods takes half as long again as one on a plain.
Each worker first makes one that is not counted (compilation, start of the process). Use an idle machine with
two cores: only then does the ratio of two workers to one depend on the program alone.
"""

import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loopcraft.core import cli
from loopcraft.core.seeding import generator
from loopcraft.executors.local import LocalExecutor
from loopcraft.generation.recipe import Recipe
from loopcraft.generation.simulated import make_episode
from loopcraft.video.h264 import video_writer
from loopcraft.walks.actions import draw_walk
from loopcraft.worlds.voxel.world import VoxelWorld

NUM_FRAMES = 1024
RESOLUTION = 256


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Length of the measurement."""

    episodes: int = 8
    """Episodes to count."""


def print_stages(folder: Path) -> None:
    """Print the time of each stage (path, pictures, encoding) of one episode on a plain, in this process."""
    world = VoxelWorld(resolution=RESOLUTION)
    actions = draw_walk(generator(0, "perf"), NUM_FRAMES)
    world.path(1, actions[:8])
    list(world.play(1, actions[:8]))
    begin = time.perf_counter()
    world.path(1, actions)
    planned = time.perf_counter()
    frames = [observation.frame for observation in world.play(1, actions)]
    played = time.perf_counter()
    with video_writer(folder / "stage.mp4", height=RESOLUTION, width=RESOLUTION) as writer:
        for frame in frames:
            writer.write(frame)
    written = time.perf_counter()
    stages = {"path": planned - begin, "path and pictures": played - planned, "encoding": written - played}
    for stage, seconds in stages.items():
        print(f"  {stage:20s}{1000 * seconds / NUM_FRAMES:6.2f} ms per frame")


def frames_per_second(folder: Path, num_workers: int, num_episodes: int) -> float:
    """Return the rate of `num_workers` processes that make `num_episodes`, after one each to warm up."""
    total = num_episodes + num_workers
    recipe = Recipe(
        world="voxel-v1", split="train", num_episodes=total, num_frames=NUM_FRAMES, resolution=RESOLUTION
    )
    job = partial(make_episode, root=folder, recipe=recipe, chosen=None)
    world = partial(VoxelWorld, resolution=RESOLUTION)
    ends = []
    items = [*range(num_episodes, total), *range(num_episodes)]
    for _ in LocalExecutor(num_workers).run(job, items, make_state=world):
        ends.append(time.perf_counter())
    warm = sum(ends[:num_workers]) / num_workers  # a worker that is warm earlier begins earlier
    return num_episodes * NUM_FRAMES / (ends[-1] - warm)


def measure(flags: Flags) -> None:
    """Print the rates and their ratio."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(
            f"voxel-v1, {RESOLUTION}x{RESOLUTION}, default quality, "
            f"{flags.episodes} episodes of {NUM_FRAMES} frames"
        )
        print_stages(folder)
        one = frames_per_second(folder / "one", 1, flags.episodes)
        print(f"1 worker   {one:6.0f} frames/s   (target: at least 250)")
        two = frames_per_second(folder / "two", 2, flags.episodes)
        print(f"2 workers  {two:6.0f} frames/s   {two / one:.2f} times one")


if __name__ == "__main__":
    raise SystemExit(cli.run(Flags, measure))
