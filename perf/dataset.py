"""Measure how fast a random window of frames is read, compared with decoding the whole video for it.

    python perf/dataset.py [--out FOLDER]      makes one episode there (default: a temporary folder), reads it

Both methods give the same bytes (checked). Rely on the ratio; the milliseconds depend on the machine.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from loopcraft.core import cli
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.generate import generate
from loopcraft.generation.recipe import Recipe
from loopcraft.worlds.voxel.world import VoxelWorld

NUM_FRAMES = 1024
WINDOW = 17
NUM_WINDOWS = 50
NUM_WHOLE = 3


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Location of the measurement."""

    out: Path | None = None
    """Folder for the episode; a temporary one by default."""


def median_ms(read: Callable[[int], object], starts: list[int]) -> float:
    """Return the median time of `read` over the starts, in milliseconds."""
    times = []
    for start in starts:
        begin = time.perf_counter()
        read(start)
        times.append(1000 * (time.perf_counter() - begin))
    return float(np.median(times))


def whole_then_cut(dataset: LoopcraftDataset, key: str, start: int) -> np.ndarray:
    """Decode the whole video and keep the window, the naive way."""
    return dataset.frames(key)[start : start + WINDOW]


def measure(root: Path) -> None:
    """Print the times and their ratio."""
    recipe = Recipe(world="voxel-v1", split="train", num_episodes=1, num_frames=NUM_FRAMES, resolution=256)
    generate(root, recipe, make_world=partial(VoxelWorld, resolution=256))
    dataset = open_dataset(root)
    key = dataset.keys[0]
    starts = np.random.default_rng(0).integers(0, NUM_FRAMES - WINDOW + 1, NUM_WINDOWS).tolist()
    for start in starts[:NUM_WHOLE]:
        expected = whole_then_cut(dataset, key, start)
        assert np.array_equal(dataset.frames(key, start, start + WINDOW), expected)
    window = median_ms(lambda start: dataset.frames(key, start, start + WINDOW), starts)
    whole = median_ms(lambda start: whole_then_cut(dataset, key, start), starts[:NUM_WHOLE])
    print(f"{WINDOW} of {NUM_FRAMES} frames of 256x256 at a random position, median")
    print(f"  by seeking         {window:8.1f} ms   (target: at most 25)")
    print(f"  decoding it all    {whole:8.1f} ms   {whole / window:.0f} times as long")
    print(f"  whole, in order    {1000 * NUM_FRAMES / whole:8.0f} frames/s")


def run(flags: Flags) -> None:
    """Measure in the given folder or in a temporary one."""
    with tempfile.TemporaryDirectory() as temporary:
        measure(flags.out or Path(temporary) / "set")


if __name__ == "__main__":
    raise SystemExit(cli.run(Flags, run))
