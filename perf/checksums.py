"""What it costs to compare files with their checksums when they are read: the time with, over that without.

    python -m perf.checksums

One episode of 1,024 frames at 256 x 256, latents in the paper's shape, and a checkpoint of 32 MB, each also
as older versions wrote it. Processor time, medians of alternating reads; the files are in memory. Latents and
weights are used once, as safetensors reads no byte before that: made float32 in one tensor, and copied.
"""

import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from loopcraft.core.files import file_sha256, write_json
from loopcraft.dataset import open_dataset
from loopcraft.dataset.episode_files import write_index
from loopcraft.dataset.layout import EPISODES
from loopcraft.video.h264 import video_writer
from models.checkpoints.format import FORMAT, SUM, read_checkpoint, save_checkpoint
from models.latents import store
from models.networks.tokens import Grid
from models.zoo.presets import PRESETS

FRAMES, SIDE, WINDOW, KEY = 1024, 256, 17, "000/000"


def write_data(root: Path) -> None:
    """An episode of drifting waves with noise, about as large as one of a world."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    (root / KEY).parent.mkdir(parents=True)
    with video_writer(root / f"{KEY}.mp4", height=SIDE, width=SIDE) as writer:
        for t in range(FRAMES):
            wave = 128 + 60 * np.sin(0.05 * t + 0.1 * x + 0.07 * y)[..., None]
            noise = rng.integers(-20, 20, (SIDE // 4, SIDE // 4, 3)).repeat(4, 0).repeat(4, 1)
            writer.write((wave + noise).astype(np.uint8))
    np.save(root / f"{KEY}.npy", np.zeros((FRAMES, 6), np.float32))
    sums = {f"{kind}_sha256": [file_sha256(root / f"{KEY}.{kind}")] for kind in ("mp4", "npy")}
    pq.write_table(pa.table({"key": [KEY], "frames": [FRAMES], **sums}), root / EPISODES)
    write_index(root, {KEY: FRAMES})


def write_latents(root: Path, grid: Grid) -> None:
    """A video of latents."""
    draws = torch.Generator().manual_seed(0)
    shapes = [(FRAMES, tokens, grid.channels) for tokens in grid.tokens_per_level]
    levels = [torch.randn(shape, generator=draws).bfloat16() for shape in shapes]
    store.write_video(root, KEY, levels, np.zeros((FRAMES, 6), np.float32))
    write_json(root / store.MANIFEST, store.make_manifest(grid, torch.bfloat16, autoencoder_sha256=None))
    store.write_index(root, {KEY: FRAMES})


def without(path: Path, tensor: str = "", field: str = "") -> Path:
    """The file as older versions wrote it."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != tensor}  # noqa: SIM118
        said = json.loads((file.metadata() or {}).get(FORMAT, "{}"))
    old = path.parent.parent / "old" / path.name
    old.parent.mkdir(exist_ok=True)
    kept = {name: value for name, value in said.items() if name != field}
    save_file(tensors, old, metadata={FORMAT: json.dumps(kept)} if kept else None)
    return old


def used(latents: store.Latents, start: int, stop: int, level: int) -> torch.Tensor:
    """A window of latents as training takes it."""
    levels, _ = latents.read(KEY, start, stop, first_level=level)
    return torch.cat(levels, dim=1).float()


def copied(path: Path) -> list[torch.Tensor]:
    """The weights of a file, as a network takes them."""
    return [value.clone() for value in read_checkpoint(path)[1].values()]


def ratio(what: str, read: Callable[[], Any], read_old: Callable[[], Any], times: int) -> None:
    """Print how much longer `read` takes than `read_old`."""
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * times + 2):
        begin = time.process_time()
        (read, read_old)[number % 2]()
        took[number % 2].append(1000 * (time.process_time() - begin))
    new, old = (float(np.median(times[1:])) for times in took)
    print(f"{what:58} {new:9.2f} ms {old:9.2f} ms {new / old:7.3f} times")


def measure(root: Path) -> None:
    """Print all ratios."""
    write_data(root / "data")
    old = root / "data-old"
    old.mkdir()
    for name in ("index.json", "000"):
        (old / name).symlink_to(root / "data" / name)
    size = (root / f"data/{KEY}.mp4").stat().st_size / 1e6
    print(f"{'':58} {'with':>12} {'without':>12}   (a video of {size:.1f} MB)")

    def first_read(folder: Path, start: int, stop: int) -> Callable[[], Any]:
        return lambda: open_dataset(folder).frames(KEY, start, stop)

    for what, window in (
        ("a video, the first time it is read", (0, FRAMES)),
        ("a fourth of one, the first time", (300, 300 + FRAMES // 4)),
        (f"{WINDOW} frames of one, which are not compared", (300, 300 + WINDOW)),
    ):
        ratio(what, first_read(root / "data", *window), first_read(old, *window), 5 if window[0] == 0 else 15)
    new_data, old_data = open_dataset(root / "data"), open_dataset(old)
    ratio("states", lambda: new_data.states(KEY), lambda: old_data.states(KEY), 500)
    ratio(
        f"{WINDOW} frames and their states",
        lambda: (new_data.frames(KEY, 300, 300 + WINDOW), new_data.states(KEY)),
        lambda: (old_data.frames(KEY, 300, 300 + WINDOW), old_data.states(KEY)),
        50,
    )
    grid = Grid()
    write_latents(root / "latents", grid)
    new = store.open_latents(root / "latents")
    before = store.OwnLatents(root=root / "latents-old", grid=grid, num_frames={KEY: FRAMES})
    (root / "latents-old/000").mkdir(parents=True)
    name = store.video_name(KEY)
    without(root / "latents" / name, tensor=store.ROW_SUMS).rename(root / "latents-old" / name)
    for start, stop, level in ((300, 364, 0), (0, FRAMES, 0), (0, FRAMES, 2)):
        ratio(
            f"latents of {stop - start} frames from level {level} on",
            partial(used, new, start, stop, level),
            partial(used, before, start, stop, level),
            30,
        )
    path = root / "weights/a.safetensors"
    weights = {str(number): torch.randn(1000, 1000) for number in range(8)}
    save_checkpoint(path, weights, PRESETS["trial"].model("millivid", 16).autoencoder)
    ratio("a checkpoint of 32 MB", partial(copied, path), partial(copied, without(path, field=SUM)), 20)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name))
