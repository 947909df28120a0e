"""Make side-by-side videos of models and the truth: `python -m models.demo DATA --out DIR --baselines`.

Writes one mp4 per video with the truth and every model, labelled: the context, then the generated frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from jaxtyping import UInt8

from loopcraft.core.cli import names_in, require_at_least, run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.progress import progress_bar
from loopcraft.core.seeding import integer_seed
from loopcraft.core.urls import as_given
from loopcraft.core.writing import writing_to
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.views.side_by_side import Board, write_video
from models.networks.precision import Precision
from models.zoo.world_models import VideoRollout, build_rollout

BASELINES = ("framepack", "full-resolution")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The videos, the models and the output folder."""

    data: Annotated[Path, tyro.conf.Positional]
    """The data set: a folder, or hf://ORG/NAME."""
    out: Path
    """The output folder for the mp4 files."""
    checkpoint: str | None = None
    """"pretrained" (the default), "published", a folder of weights, or hf://ORG/NAME."""
    preset: str | None = None
    """Use random weights of this preset, such as paper or trial, for trying things out."""
    baselines: bool = False
    """Also run FramePack and full-resolution rollout."""
    videos: str = ""
    """Comma-separated keys, as in "000/000,000/003"; if empty, the first --num-videos."""
    num_videos: int = 2
    """Show the first N videos; ignored if --videos is given."""
    context: int = 256
    """Number of context frames."""
    horizon: int = 768
    """Number of frames to generate."""
    steps: int | None = None
    """Network calls per window."""
    device: str = "cpu"
    precision: Precision = "auto"
    """auto: bfloat16 on CUDA, float32 elsewhere."""
    seed: int = 0


def generate(
    model: VideoRollout, frames: UInt8[np.ndarray, "T H W 3"], actions: torch.Tensor, context: int, seed: int
) -> UInt8[np.ndarray, "horizon H W 3"]:
    """Generate all frames after `context`; raise `UserError` if the context is too short for the model."""
    first = context - model.max_context
    if first < 0:
        raise UserError(f"{model.name} needs {model.max_context} context frames; give --context that or more")
    context_frames = torch.from_numpy(frames[first:context]).movedim(-1, 1)[None].to(actions.device)
    parts = [
        (chunk[0] * 255).round().byte().movedim(1, -1).cpu()
        for chunk in model.rollout(context_frames, actions[None, first:], seeds=[seed])
    ]
    return torch.cat(parts).numpy()


def write_comparison(
    flags: Flags,
    dataset: LoopcraftDataset,
    key: str,
    models: Sequence[VideoRollout],
    advance: Callable[[], None],
) -> Path:
    """Generate one video with every model, write them next to the truth and return the path of the mp4.

    Raises `UserError` if the video is too short.
    """
    end = flags.context + flags.horizon
    if dataset.num_frames(key) < end:
        raise UserError(
            f"{as_given(flags.data)}: video {key} has fewer than {end} frames; lower --context or --horizon"
        )
    truth = dataset.frames(key, 0, end)
    actions = torch.from_numpy(dataset.actions(key)[:end]).to(flags.device)
    panels = {"truth": list(truth)}
    for model in models:
        seed = integer_seed(flags.seed, "demo", *key.encode())
        generated = generate(model, truth, actions, flags.context, seed)
        panels[model.name] = [*truth[: flags.context], *generated]
        advance()
    board = Board(list(panels), dataset.states(key)[:end, [1, 3]], flags.context)
    out = flags.out / f"{key.replace('/', '-')}.mp4"
    columns = zip(*panels.values(), strict=True)
    write_video(out, (board.draw(index, frames) for index, frames in enumerate(columns)))
    return out


def show(flags: Flags) -> None:
    """Generate the videos and print the paths of the mp4 files."""
    find_device(flags.device)
    require_at_least(flags, num_videos=1, horizon=1)
    dataset = open_dataset(flags.data)
    keys = names_in(flags.videos) if flags.videos else dataset.keys[: flags.num_videos]
    size = dataset.frames(keys[0], 0, 1).shape[1]
    names = ("millivid", *BASELINES) if flags.baselines else ("millivid",)
    models = [
        build_rollout(
            name,
            checkpoint=flags.checkpoint,
            preset=flags.preset,
            frame_size=size,
            steps=flags.steps,
            precision=flags.precision,
            seed=flags.seed,
        )
        for name in names
    ]
    bar = progress_bar("generating", len(keys) * len(models), "rollouts")
    with writing_to(flags.out, together=True), bar as advance:
        paths = [write_comparison(flags, dataset, key, models, advance) for key in keys]
    print(*paths, sep="\n")


main = partial(run, Flags, show)

if __name__ == "__main__":
    raise SystemExit(main())
