"""Measure the cost of recall masks: `python -m perf.masks --weights weights`.

Episodes of both block worlds are made, of 1024 frames at 256 x 256 and of 256 frames at 64 x 64, with masks
of cells of 2 x 2 pixels. Printed are the masks' processor time and bytes relative to the episodes', the bytes
of masks of single pixels, and the share of pixels whose kind differs between the two masks. Then a video is
scored by PSNR, SSIM and LPIPS, without and with masks.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt16

from benchmark.contract.compute import Compute
from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.harness.rollout import rollout_blocks
from benchmark.harness.score import Scorer, score_videos
from benchmark.metrics import get_metrics
from benchmark.metrics.base import Resources
from benchmark.sources.references import CopyLast
from benchmark.weight_files.bundle import open_bundle
from loopcraft.core import cli
from loopcraft.core.urls import num_bytes
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.dataset.mask_codes import CODE_RETURNED
from loopcraft.dataset.mask_files import encode_codes
from loopcraft.generate import generate
from loopcraft.generation.recall_masks import recall_codes
from loopcraft.generation.recipe import Recipe
from loopcraft.generation.replay import play_again
from loopcraft.masks import COARSE_CELL, make_masks
from loopcraft.worlds import make_surface_world, make_world

WORLDS = ("voxel-v1", "plaza-v1")
SIZES = ((256, 1024), (64, 256))
"""Pixels along a side of the frames, and frames per episode."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Size of the measurement."""

    episodes: int = 3
    """Episodes per world."""
    resolution: int | None = None
    """Pixels along a side of the frames (256 or 64); both by default."""
    weights: Path | None = None
    """Folder of pretrained networks, for LPIPS; without it, scoring is not measured."""


def seconds(work: Callable[[], object]) -> float:
    """Return the processor time of all threads in seconds."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def make_set(root: Path, world: str, num_episodes: int, num_frames: int, resolution: int) -> LoopcraftDataset:
    """Make a test set, with as many candidate walks as episodes."""
    recipe = Recipe(
        world=world,
        split="test",
        num_episodes=num_episodes,
        num_frames=num_frames,
        resolution=resolution,
        candidates=num_episodes,
    )
    generate(root, recipe, make_world=lambda: make_world(world, resolution=resolution))
    return open_dataset(root)


def measure_making(folder: Path, world: str, num_episodes: int, resolution: int, num_frames: int) -> None:
    """Print the cost of a world's masks at one size."""
    make_set(folder / "warm", world, 1, 16, resolution)
    generation_s = seconds(lambda: make_set(folder / "set", world, num_episodes, num_frames, resolution))
    data = open_dataset(folder / "set")
    context = int(data.num_context or 0)
    coarse, fine = (make_surface_world(world, resolution=resolution // cell) for cell in (COARSE_CELL, 1))
    list(coarse.play(0, data.actions(data.keys[0])[:2], surfaces=True))

    def add_masks() -> None:
        for key in data.keys:
            make_masks(coarse, key, dataset=data, num_context=context)

    masks_s = seconds(add_masks)
    video = sum(num_bytes(data.video_path(key)) for key in data.keys)
    masks = sum(num_bytes(data.masks_path(key)) for key in data.keys)
    shares, single = [], 0
    for key in data.keys:
        codes, fine_codes = (recall_codes(play_again(world, data, key), context) for world in (coarse, fine))
        shares.append(different_kinds(codes[context:], fine_codes[context:]))
        single += len(encode_codes(fine_codes))
    print(
        f"{world}: {num_episodes} episodes of {num_frames} frames of {resolution} x {resolution}, cells of "
        f"{COARSE_CELL} x {COARSE_CELL} pixels"
    )
    print(f"  time of masks / time of generation:   {masks_s / generation_s:5.1%}   [at most 25 %]")
    print(f"  size of masks / size of videos:       {masks / video:5.1%}   [at most 15 %]")
    print(f"  the same with cells of one pixel:     {single / video:5.1%}")
    print(f"  pixels of a different kind than with cells of one pixel: {np.mean(shares):.1%}")


def different_kinds(coarse: UInt16[np.ndarray, "T h w"], fine: UInt16[np.ndarray, "T H W"]) -> float:
    """Return the share of pixels whose kind (sky, never shown, in sight, returned) differs."""
    kinds = np.minimum(coarse, CODE_RETURNED)
    whole = kinds.repeat(COARSE_CELL, axis=1).repeat(COARSE_CELL, axis=2)
    return float((whole != np.minimum(fine, CODE_RETURNED)).mean())


def measure_scoring(folder: Path, weights: Path, resolution: int) -> None:
    """Print the time that masks add to scoring a video."""
    protocol = LOOPCRAFT_MINI
    data = make_set(folder / "scored", "plaza-v1", 1, protocol.num_frames, resolution)
    resources = Resources(device=torch.device("cpu"), weights=open_bundle(weights))
    scorer = Scorer(get_metrics(["psnr", "ssim", "lpips"]), resources)
    keys = data.keys[:1]

    def score(has_masks: bool = True) -> None:
        blocks = rollout_blocks(CopyLast(), data, protocol, keys, seed=0, compute=Compute())
        (scores,) = score_videos(blocks, scorer, data, protocol, keys)
        assert ("surfaces" in scores) == has_masks

    world = make_surface_world("plaza-v1", resolution=resolution // COARSE_CELL)
    make_masks(world, keys[0], dataset=data, num_context=protocol.context)
    score()  # compiles
    masks = Path(data.masks_path(keys[0]))
    hidden = masks.with_suffix(".hidden")
    with_masks, without = [], []
    for _ in range(3):
        with_masks.append(seconds(score))
        masks.rename(hidden)
        without.append(seconds(partial(score, has_masks=False)))
        hidden.rename(masks)
    size = f"{resolution} x {resolution}"
    print(f"scoring {protocol.horizon} frames of {size} by PSNR, SSIM and LPIPS: {min(without):.1f} s")
    print(
        f"  masks add:                            {min(with_masks) / min(without) - 1:5.1%}   [at most 10 %]"
    )


def measure(flags: Flags) -> None:
    """Print all ratios."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        for world in WORLDS:
            for resolution, num_frames in SIZES:
                if flags.resolution not in (None, resolution):
                    continue
                folder = Path(temporary) / f"{world}-{resolution}"
                measure_making(folder, world, flags.episodes, resolution, num_frames)
        if flags.weights is not None:
            measure_scoring(Path(temporary), flags.weights, flags.resolution or SIZES[0][0])


if __name__ == "__main__":
    raise SystemExit(cli.run(Flags, measure))
