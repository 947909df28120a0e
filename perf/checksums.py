"""Measure the cost of verifying checksums when files are read: the time with, over the time without.

    python -m perf.checksums

The files are an episode of 1,024 frames at 256 x 256, latents in the paper's shape and a checkpoint of 32 MB,
each also as older versions wrote it. Figures are processor time, medians of alternating reads, with the files
in memory. As safetensors reads lazily, latents and weights are used once: latents are joined as one float32
tensor, weights are copied.
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
    """Write an episode of drifting waves with noise, about as large as one from a world."""
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
    """Write a video of latents."""
    draws = torch.Generator().manual_seed(0)
    shapes = [(FRAMES, tokens, grid.channels) for tokens in grid.tokens_per_level]
    levels = [torch.randn(shape, generator=draws).bfloat16() for shape in shapes]
    store.write_video(root, KEY, levels, np.zeros((FRAMES, 6), np.float32))
    write_json(root / store.MANIFEST, store.make_manifest(grid, torch.bfloat16, autoencoder_sha256=None))
    store.write_index(root, {KEY: FRAMES})


def write_old(path: Path, tensor: str = "", field: str = "") -> Path:
    """Write the file as older versions did, without the tensor or header field, and return its path."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != tensor}  # noqa: SIM118
        header = json.loads((file.metadata() or {}).get(FORMAT, "{}"))
    old = path.parent.parent / "old" / path.name
    old.parent.mkdir(exist_ok=True)
    header.pop(field, None)
    save_file(tensors, old, metadata={FORMAT: json.dumps(header)} if header else None)
    return old


def use_latents(latents: store.Latents, start: int, stop: int, level: int) -> torch.Tensor:
    """Read a window of latents as training does."""
    levels, _ = latents.read(KEY, start, stop, first_level=level)
    return torch.cat(levels, dim=1).float()


def copy_weights(path: Path) -> list[torch.Tensor]:
    """Read the weights of a file and copy them, as loading a network does."""
    return [value.clone() for value in read_checkpoint(path)[1].values()]


def print_ratio(title: str, read: Callable[[], Any], read_old: Callable[[], Any], repeats: int) -> None:
    """Print the times of `read` and `read_old`, and their ratio."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * repeats + 2):
        begin = time.process_time()
        (read, read_old)[number % 2]()
        times[number % 2].append(1000 * (time.process_time() - begin))
    new, old = (float(np.median(values[1:])) for values in times)
    print(f"{title:58} {new:9.2f} ms {old:9.2f} ms {new / old:7.3f} times")


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

    for title, window in (
        ("a video, the first time it is read", (0, FRAMES)),
        ("a quarter of a video, the first time it is read", (300, 300 + FRAMES // 4)),
        (f"{WINDOW} frames of a video, which are not verified", (300, 300 + WINDOW)),
    ):
        repeats = 5 if window[0] == 0 else 15
        print_ratio(title, first_read(root / "data", *window), first_read(old, *window), repeats)
    new_data, old_data = open_dataset(root / "data"), open_dataset(old)
    print_ratio("states", lambda: new_data.states(KEY), lambda: old_data.states(KEY), 500)
    print_ratio(
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
    write_old(root / "latents" / name, tensor=store.ROW_SUMS).rename(root / "latents-old" / name)
    for start, stop, level in ((300, 364, 0), (0, FRAMES, 0), (0, FRAMES, 2)):
        print_ratio(
            f"latents of {stop - start} frames from level {level} on",
            partial(use_latents, new, start, stop, level),
            partial(use_latents, before, start, stop, level),
            30,
        )
    path = root / "weights/a.safetensors"
    weights = {str(number): torch.randn(1000, 1000) for number in range(8)}
    save_checkpoint(path, weights, PRESETS["trial"].model("millivid", 16).autoencoder)
    old_path = write_old(path, field=SUM)
    print_ratio("a checkpoint of 32 MB", partial(copy_weights, path), partial(copy_weights, old_path), 20)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name))
