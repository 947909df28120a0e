"""Python interface for generating data sets: `loopcraft.generate_dataset`."""

from pathlib import Path

from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.dataset.manifest import Split
from loopcraft.executors.choice import WorkerFlags
from loopcraft.generate import Flags, make
from loopcraft.generation.recipe import Select


def generate_dataset(  # not `generate`, which is the command's module
    out: str | Path,
    *,
    split: Split,
    num_episodes: int,
    world: str = "voxel-v1",
    num_frames: int = 1024,
    resolution: int = 256,
    seed: int = 0,
    candidates: int | None = None,
    select: Select = "planned",
    workers: int = 0,
) -> LoopcraftDataset:
    """Generate a data set in the folder `out`, resuming if it is unfinished, and open it.

    Does what the command `loopcraft.generate` does. An episode has uint8 frames of shape (num_frames,
    resolution, resolution, 3), 20 per second. The same arguments give the same bytes for any number of
    `workers` (0: one per core). Raises `UserError` for invalid arguments or an unsuitable folder.

    >>> data = generate_dataset("data/small", split="val", num_episodes=2, world="plaza-v1")  # doctest: +SKIP
    >>> data.frames(data.keys[0], 0, 16).shape  # doctest: +SKIP
    (16, 256, 256, 3)
    """
    flags = Flags(
        out=Path(out),
        split=split,
        num_episodes=num_episodes,
        world=world,
        num_frames=num_frames,
        resolution=resolution,
        seed=seed,
        candidates=candidates,
        select=select,
        workers=WorkerFlags(workers=workers),
    )
    make(flags)
    return open_dataset(out)
