"""Data sets from Python: `loopcraft.generate_dataset` makes one and opens it."""

from pathlib import Path

from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.dataset.manifest import Split
from loopcraft.executors.choice import WorkerFlags
from loopcraft.generate import Flags, make
from loopcraft.generation.recipe import Select


def generate_dataset(
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
    """Make a data set in the folder `out`, or go on with it, and open it: what `loopcraft.generate` does.

    Frames are uint8 (num_frames, resolution, resolution, 3) an episode, 20 a second. The same arguments give
    the same bytes, whatever `workers` (0: one a core). It is not called `generate`, as that is the command's
    module. Raises `UserError` for arguments or a folder that cannot be right.

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
