"""Estimate the cost of a large data set from a sample, and measure the speed-up of a second Ray worker.

    python -m perf.cluster                    200,000 episodes of voxel-v1, the size of the paper's data set
    python -m perf.cluster --world plaza-v1 --resolution 64 --num-frames 256

Core-hours are one worker's processor time per episode, without the first of the sample, times the number of
episodes; bytes are those of the sample's files. Encoding is measured on episodes of fewer frames, as it
treats every frame alike. Ray's workers are timed once all of them are warm.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from benchmark.contract.protocol import LOOPCRAFT_MINI
from benchmark.setup.flags import Flags as RunFlags
from benchmark.setup.flags import FolderFlags, TaskFlags
from benchmark.setup.prepare import prepare
from benchmark.setup.workers import Assignment, make_worker, score_batch, shared_settings
from benchmark.sources.source import SourceFlags
from loopcraft import generate
from loopcraft.core import cli
from loopcraft.core.errors import UserError
from loopcraft.core.urls import num_bytes
from loopcraft.dataset.reader import LoopcraftDataset, open_dataset
from loopcraft.executors.base import Executor
from loopcraft.executors.choice import WorkerFlags, open_executor
from loopcraft.generation.recipe import Recipe
from loopcraft.generation.simulated import make_episode
from loopcraft.masks import make_masks, usual_cell
from loopcraft.worlds import make_surface_world, make_world
from loopcraft.worlds.base import SurfaceWorld, World
from models.encode import encode_video, place_encoder
from models.latents.store import video_name
from models.zoo.loading import WeightSource, load_autoencoder

Command = Literal["generate", "masks", "run"]


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The sample, and the size to scale it to."""

    world: str = "voxel-v1"
    resolution: int = 256
    num_frames: int = 1024
    sample: int = 4
    """Episodes to make after one to warm up."""
    episodes: int = 200_000
    """Number of episodes to scale the figures to."""
    encode_frames: int = 64
    """Frames of each episode to encode, on the processor; 0 leaves encode out."""
    checkpoint: str | None = None
    """Checkpoint of the autoencoder, for example `published`; by default an autoencoder of the same size with
    random weights, which takes as long."""
    upload_mb_s: float = 50.0
    """Assumed speed of the connection to the Hub in megabytes per second."""
    workers: tuple[int, ...] = (1, 2)
    """Numbers of Ray workers to compare."""
    commands: tuple[Command, ...] = ("generate", "masks", "run")
    """Commands to compare."""
    model: str = "copy-last"
    """Model that benchmark.run scores over the 192 frames of loopcraft-mini."""


def processor_seconds(job: Callable[[Any, Any], object], items: Sequence[Any], state: object) -> float:
    """Return the processor time per item in this process, not counting the first."""
    job(state, items[0])
    started = time.process_time()
    for item in items[1:]:
        job(state, item)
    return (time.process_time() - started) / (len(items) - 1)


def rate_on(
    executor: Executor,
    job: Callable[[Any, Any], object],
    items: Sequence[Any],
    make_state: Callable[[], Any],
    num_workers: int,
) -> float:
    """Return the items per second of wall time, once each worker has finished one."""
    ends = []
    for _ in executor.run(job, items, make_state=make_state):
        ends.append(time.perf_counter())
    warm = sum(ends[:num_workers]) / num_workers
    return (len(items) - num_workers) / (ends[-1] - warm)


def megabytes(dataset: LoopcraftDataset, suffixes: Sequence[str]) -> float:
    """Return the mean size of an episode's files in megabytes."""
    paths = [dataset.root / f"{key}{suffix}" for key in dataset.keys for suffix in suffixes]
    return sum(num_bytes(path) for path in paths) / len(dataset.keys) / 1e6


def surface_worlds(flags: Flags, dataset: LoopcraftDataset) -> Callable[[], SurfaceWorld]:
    """Return a factory of the worlds that masks with cells of the usual size are made from."""
    cell = usual_cell(dataset, flags.resolution)
    return partial(make_surface_world, flags.world, resolution=flags.resolution // cell)


def measure(flags: Flags) -> None:
    """Print the costs and the speed-ups."""
    total = flags.sample + 1
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "set"
        recipe = recipe_of(flags, flags.num_frames)
        world = make_world(flags.world, resolution=flags.resolution, quality="default")
        make = partial(make_episode, root=Path(temporary) / "trial", recipe=recipe, chosen=None)
        making = processor_seconds(make, range(total), world)
        generate.generate(root, recipe, make_world=lambda: world)
        dataset = open_dataset(root)
        assert dataset.num_context is not None
        mask = partial(make_masks, dataset=dataset, num_context=dataset.num_context)
        surfaces = surface_worlds(flags, dataset)
        masking = processor_seconds(mask, dataset.keys, surfaces())
        size = f"{flags.num_frames} frames of {flags.resolution} x {flags.resolution}"
        print(f"{flags.world}, {flags.sample} episodes of {size}; scaled to {flags.episodes:,}")
        print_cost(flags, "generate", making, megabytes(dataset, (".mp4", ".npy")))
        print_cost(flags, "masks", masking, megabytes(dataset, (".seen.npz",)))
        if flags.encode_frames:
            try:
                print_cost(flags, "encode", *cost_of_encoding(flags, world, Path(temporary)))
            except UserError as error:  # it needs larger frames
                print(f"encode is left out: {error}")
        compare(flags, recipe, dataset, Path(temporary))


def recipe_of(flags: Flags, num_frames: int) -> Recipe:
    """Return the recipe of the sample and its warm-up episode."""
    return Recipe(
        world=flags.world,
        split="train",
        num_episodes=flags.sample + 1,
        num_frames=num_frames,
        resolution=flags.resolution,
    )


def print_cost(flags: Flags, name: str, seconds: float, mean_mb: float) -> None:
    """Print what a command costs per episode and for all episodes."""
    hours, gigabytes = seconds * flags.episodes / 3600, mean_mb * flags.episodes / 1000
    upload = gigabytes * 1000 / flags.upload_mb_s / 3600
    print(
        f"{name:9s} {seconds:7.2f} core-seconds per episode -> {hours:8,.0f} core-hours; "
        f"{mean_mb:6.2f} MB per episode -> {gigabytes:7,.0f} GB, "
        f"{upload:.1f} hours of upload at {flags.upload_mb_s:g} MB/s",
        flush=True,
    )


def cost_of_encoding(flags: Flags, world: World, folder: Path) -> tuple[float, float]:
    """Return the core-seconds and megabytes of an episode's latents."""
    root, out = folder / "short", folder / "latents"
    generate.complete(root, recipe_of(flags, flags.encode_frames), make_world=lambda: world)
    dataset = open_dataset(root)
    source = WeightSource(
        checkpoint=flags.checkpoint,
        preset=None if flags.checkpoint else "paper",
        frame_size=flags.resolution,
        world=flags.world,
    )
    encoder = place_encoder(load_autoencoder("millivid", source)[0], "cpu", "auto")
    job = partial(encode_video, dataset=dataset, out=out, dtype=torch.bfloat16)
    seconds = processor_seconds(job, dataset.keys, encoder)
    size = num_bytes(out / video_name(dataset.keys[0])) / 1e6
    longer = flags.num_frames / flags.encode_frames
    return seconds * longer, size * longer


def compare(flags: Flags, recipe: Recipe, dataset: LoopcraftDataset, folder: Path) -> None:
    """Print each command's rate on Ray by the number of workers."""
    for command in flags.commands:
        rates: list[float] = []
        for workers in flags.workers:
            task = task_of(command, flags, recipe, dataset, folder / f"{command}{workers}")
            with open_executor(WorkerFlags(executor="ray", workers=workers), longest_range=1) as executor:
                rates.append(rate_on(executor, task.job, task.items, task.make_state, workers) * task.frames)
            print(
                f"{command:9s} {workers} Ray workers {rates[-1]:7.0f} frames/s  "
                f"{rates[-1] / rates[0]:.2f} times one",
                flush=True,
            )


@dataclass(frozen=True, kw_only=True)
class Task:
    """A command's work for Ray's workers."""

    job: Callable[[Any, Any], object]
    make_state: Callable[[], Any]
    items: Sequence[Any]
    frames: int
    """Frames per item."""


def task_of(command: Command, flags: Flags, recipe: Recipe, dataset: LoopcraftDataset, out: Path) -> Task:
    """Return a command's task over the whole sample."""
    if command == "generate":
        return Task(
            job=partial(make_episode, root=out, recipe=recipe, chosen=None),
            make_state=partial(make_world, flags.world, resolution=flags.resolution, quality="default"),
            items=range(flags.sample + 1),
            frames=flags.num_frames,
        )
    if command == "masks":
        assert dataset.num_context is not None
        return Task(
            job=partial(make_masks, dataset=dataset, num_context=dataset.num_context),
            make_state=surface_worlds(flags, dataset),
            items=dataset.keys,
            frames=flags.num_frames,
        )
    return Task(
        job=score_batch,
        make_state=partial(make_worker, assignment_of(flags, dataset, out)),
        items=[(key,) for key in dataset.keys],
        frames=LOOPCRAFT_MINI.horizon,
    )


def assignment_of(flags: Flags, dataset: LoopcraftDataset, out: Path) -> Assignment:
    """Return each worker's assignment in a run over all videos."""
    run = RunFlags(
        data=Path(dataset.root),
        out=out,
        source=SourceFlags(model=flags.model),
        task=TaskFlags(protocol=LOOPCRAFT_MINI.id),
        folder=FolderFlags(save_videos=0),
    )
    out.mkdir()
    return Assignment(flags=run, expected=shared_settings(prepare(run)), folder=Path.cwd(), num_threads=None)


if __name__ == "__main__":
    raise SystemExit(cli.run(Flags, measure))
