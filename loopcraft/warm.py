"""Compilation of every kernel of the package, by generating, reading and masking a tiny data set."""

import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np

from loopcraft.dataset.reader import open_dataset
from loopcraft.executors.local import LocalExecutor
from loopcraft.generate import generate
from loopcraft.generation.recall_masks import Sight
from loopcraft.generation.recipe import Recipe
from loopcraft.masks import add_masks
from loopcraft.worlds.voxel.world import VoxelWorld


def warm() -> None:
    """Run every kernel once, in a temporary folder."""
    recipe = Recipe(world="voxel-v1", split="test", num_episodes=1, num_frames=8, resolution=64, candidates=2)
    with (
        tempfile.TemporaryDirectory(prefix="loopcraft-") as folder,
        redirect_stdout(StringIO()),
        redirect_stderr(StringIO()),
    ):
        root = Path(folder) / "warm"
        generate(root, recipe, make_world=lambda: VoxelWorld(resolution=64))
        dataset = open_dataset(root)
        add_masks(dataset, LocalExecutor())
        dataset.frames(dataset.keys[0], 0, 1)
        dataset.masks(dataset.keys[0])
        Sight(1).watch(np.zeros((256, 256), np.uint64))  # a frame this large makes room for more surfaces
