"""Add recall masks to a data set: for every pixel, whether the context showed that surface, and how long ago.

Episodes are replayed in a world that knows which block face each pixel shows, and a file KEY.seen.npz is
written beside each video. Frames and fingerprint do not change. Run the same command again to resume.

A mask has cells of 2 x 2 pixels, or of single pixels for frames smaller than 128 x 128: each cell holds what
the ray through its centre hits. --cell chooses another size.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64

from loopcraft.core import cli
from loopcraft.core.checksums import add_sums, read_sums, sums_of
from loopcraft.core.errors import UserError
from loopcraft.core.files import sweep_partials, whole_file
from loopcraft.core.progress import progress_bar
from loopcraft.core.urls import existing
from loopcraft.core.writing import writing_to
from loopcraft.dataset.episode_table import batches
from loopcraft.dataset.mask_files import Masks, encode_codes, read_masks
from loopcraft.dataset.reader import LoopcraftDataset, open_dataset
from loopcraft.executors.base import Executor, require_arrived
from loopcraft.executors.choice import WHOLE, WorkerFlags, open_executor
from loopcraft.executors.shard import shard_range
from loopcraft.generation.recall_masks import recall_codes
from loopcraft.generation.replay import play_again
from loopcraft.worlds import make_surface_world
from loopcraft.worlds.base import SurfaceWorld

SHARES = ("sky", "never shown by the context", "in sight ever since", "shown, and out of sight in between")

COARSE_CELL, LEAST_FOR_COARSE = 2, 128
"""Side in pixels of the default cell, and of the smallest frames that have it."""
_BATCH = 1000
"""Episodes whose masks are looked up at a time: as many as one folder holds."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m loopcraft.masks`."""

    data: tyro.conf.Positional[Path]
    """Folder or URL (s3://BUCKET/FOLDER) of a finished data set made by loopcraft.generate."""
    cell: int = 0
    """Side of a mask's cell in pixels; 0: as in existing masks, else 2, or 1 for frames below 128 pixels."""
    workers: WorkerFlags = field(default_factory=WorkerFlags)


def add_masks(dataset: LoopcraftDataset, executor: Executor, *, shard: str = WHOLE, cell: int = 0) -> None:
    """Make the missing masks of a shard, with cells of `cell` x `cell` pixels (0: the default size).

    For the whole data set, also record their checksums. Raises `UserError` for a data set that does not
    record its worlds, and for a cell that does not divide a frame.
    """
    if dataset.manifest is None or "world_seed" not in dataset.metadata:
        raise UserError(
            f"{dataset.root}: does not record the worlds it was played in; masks need a data set made by "
            "loopcraft.generate"
        )
    resolution = dataset.manifest["generator"]["resolution"]
    cell = cell or usual_cell(dataset, resolution)
    if cell < 1 or resolution % cell:
        raise UserError(f"--cell {cell}: must divide the frames' {resolution} pixels; choose 1, 2 or 4")
    make_world = partial(make_surface_world, dataset.manifest["world"], resolution=resolution // cell)
    make_world()  # refuse an unknown world before any work
    part = shard_range(shard, len(dataset.keys))
    is_whole = len(part) == len(dataset.keys)
    keys = dataset.keys[part.start : part.stop]
    job = partial(make_masks, dataset=dataset, num_context=dataset.manifest["num_context"])
    if not _missing(dataset, keys) and all(name in dataset.sums for name in _names(dataset, keys)):
        return
    with writing_to(dataset.root, together=not is_whole, swept=()):
        missing = _missing(dataset, keys)
        if is_whole:
            sweep_partials(dataset.root)
            add_sums(dataset.root, dict.fromkeys(_names(dataset, missing)))
        with progress_bar("making masks", len(keys), "episodes", len(keys) - len(missing)) as advance:
            for _ in executor.run(job, missing, make_state=make_world):
                advance()
        require_arrived(dataset.root, lambda: _missing(dataset, missing), "masks")
        if is_whole:
            sweep_partials(dataset.root)  # from lost workers
            known = read_sums(dataset.root)
            new = (name for name in _names(dataset, keys) if name not in known)
            add_sums(dataset.root, sums_of(dataset.root, new))


def _names(dataset: LoopcraftDataset, keys: Iterable[str]) -> list[str]:
    return [dataset.masks_path(key).relative_to(dataset.root).as_posix() for key in keys]


def usual_cell(dataset: LoopcraftDataset, resolution: int) -> int:
    """Return the cell size of the data set's existing masks, else the default for frames of `resolution`."""
    key = next((key for key in dataset.keys if dataset.masks_path(key).exists()), None)
    if key is not None:
        masks = read_masks(dataset.masks_path(key), dataset.num_frames(key), resolution**2)
        return int(resolution // masks["seen"].shape[1])
    return COARSE_CELL if resolution >= LEAST_FOR_COARSE and resolution % (8 * COARSE_CELL) == 0 else 1


def _missing(dataset: LoopcraftDataset, keys: Iterable[str]) -> list[str]:
    missing = []
    for batch in batches(keys, _BATCH):
        names = _names(dataset, batch)
        present = existing(dataset.root, names)
        missing += [key for key, name in zip(batch, names, strict=True) if name not in present]
    return missing


def make_masks(world: SurfaceWorld, key: str, *, dataset: LoopcraftDataset, num_context: int) -> None:
    """Write the masks of one episode."""
    codes = recall_codes(play_again(world, dataset, key), num_context)
    with whole_file(dataset.masks_path(key)) as temporary:
        temporary.write_bytes(encode_codes(codes))


def summary(dataset: LoopcraftDataset, num_context: int) -> str:
    """Summarize how much of the horizon requires memory."""
    rows = [
        horizon_shares(masks, num_context)
        for masks in map(dataset.masks, dataset.keys)
        if masks and {"age", "sky"} <= set(masks)
    ]
    shares = zip(SHARES, np.mean(rows, axis=0), strict=True) if rows else ()
    return "\n".join(
        [
            f"{dataset.root}: masks of {len(dataset.keys)} episodes",
            *(f"{share:6.1%} of the horizon's pixels: {name}" for name, share in shares),
        ]
    )


def horizon_shares(masks: Masks, num_context: int) -> Float64[np.ndarray, "4"]:
    """Return the fractions of an episode's pixels after the context, in the order of `SHARES`."""
    seen, age, sky = (masks[name][num_context:] for name in ("seen", "age", "sky"))
    return np.array([sky.mean(), (~seen & ~sky).mean(), (seen & (age == 0)).mean(), (age > 0).mean()])


def run(flags: Flags) -> None:
    """Add the masks and print what they show."""
    if flags.cell < 0:
        raise UserError(f"--cell {flags.cell}: choose 0 (the default size) or a cell's side in pixels")
    dataset = open_dataset(flags.workers.shared_path(flags.data))
    with open_executor(flags.workers) as executor:
        add_masks(dataset, executor, shard=flags.workers.shard, cell=flags.cell)
    if flags.workers.is_shard:
        print(f"{dataset.root}: made the masks of shard {flags.workers.shard}")
        return
    dataset = open_dataset(flags.data)  # again, to read the checksums of its masks
    assert dataset.manifest is not None
    print(summary(dataset, dataset.manifest["num_context"]))


main = partial(cli.run, Flags, run)

if __name__ == "__main__":
    raise SystemExit(main())
