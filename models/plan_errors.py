"""Show which plan steps cause a model's errors: `python -m models.plan_errors --data DATA`.

Generates the first chunk of every video twice: once as in a rollout, and once with the true latents in place
of those that earlier steps generated. Compares the latents of every level with the true ones, by distance
from the context. An error that vanishes when the truth is given was inherited from an earlier step; one that
stays is the step's own. An error above that of repeating the last context frame means that the step has not
learned to use its context.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from rich.console import Console
from rich.table import Table
from torch import Tensor

from loopcraft.core.cli import require_at_least, run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.progress import progress_bar
from loopcraft.core.urls import as_given
from loopcraft.dataset import LoopcraftDataset, open_dataset
from models.latents.codec import FrameCodec
from models.networks.precision import Precision, uses_bfloat16
from models.networks.tokens import Pyramid
from models.sampling.diffusion import Solver
from models.sampling.token_sampler import TokenSampler, keyed_noise
from models.zoo.loading import LoadedModel, WeightSource, load_model

SAMPLED, GIVEN_TRUTH, REPEATED = "sampled", "given the truth", "last frame repeated"
VIDEOS_AT_ONCE = 8

Errors = dict[str, list[Float[Tensor, " frames"]]]
"""For each kind of prediction and each level, finest first: a relative squared error per frame ahead."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The model and the data set."""

    data: Path
    """The data set: a folder, or hf://ORG/NAME."""
    model: str = "millivid"
    checkpoint: str | None = None
    """"pretrained", "published", a folder, or hf://ORG/NAME."""
    preset: str | None = None
    """Use random weights of this preset instead of a checkpoint."""
    max_videos: int = 24
    """Use only the first N videos."""
    steps: int | None = None
    """Network calls per plan step; the checkpoint's if not given."""
    solver: Solver | None = None
    """ddim or dpm++2m; the checkpoint's if not given."""
    precision: Precision = "auto"
    device: str = "cpu"


def show(flags: Flags) -> None:
    """Measure the errors and print a table."""
    require_at_least(flags, max_videos=1)
    device = find_device(flags.device)
    data = open_dataset(flags.data)
    side = data.frames(data.keys[0], 0, 1).shape[1]
    frame_size = None if flags.preset is None else side
    model = load_model(
        flags.model,
        WeightSource(
            checkpoint=flags.checkpoint, preset=flags.preset, frame_size=frame_size, world=data.world_id
        ),
    )
    codec = FrameCodec(model.autoencoder.to(device), flags.precision, model.config.video.space)
    if codec.frame_shape[1] != side:
        raise UserError(
            f"--data {as_given(flags.data)}: has frames of {side} x {side}, but {flags.model} takes "
            f"{codec.frame_shape[1]} x {codec.frame_shape[2]}; give a data set of that resolution"
        )
    sampler = _make_sampler(flags, model, device)
    num_frames = sampler.num_context + sampler.num_future(1)
    keys = [key for key in data.keys if data.num_frames(key) >= num_frames][: flags.max_videos]
    if not keys:
        raise UserError(
            f"--data {as_given(flags.data)}: no video has the {num_frames} frames that the first chunk of "
            f"{flags.model} spans; give longer videos"
        )
    errors = measure(sampler, codec, data, keys, num_frames)
    Console().print(
        error_table(errors, f"{flags.model}: {len(keys)} videos, {sampler.sampling.steps} calls a step")
    )


def _make_sampler(flags: Flags, model: LoadedModel, device: torch.device) -> TokenSampler:
    sampling = model.config.sampling.changed(
        steps=flags.steps, solver=flags.solver, bfloat16=uses_bfloat16(flags.precision, device)
    )
    network = model.network.eval().requires_grad_(False).to(device)
    sampler = model.config.video.sampler(network, model.autoencoder.grid, sampling)
    if not isinstance(sampler, TokenSampler):
        raise UserError(
            f"--model {flags.model}: denoises all its tokens in one step; choose a model whose plan has "
            "several steps, such as millivid"
        )
    return sampler


def measure(
    sampler: TokenSampler, codec: FrameCodec, data: LoopcraftDataset, keys: Sequence[str], num_frames: int
) -> Errors:
    """Measure the errors of the first chunk over all `keys`."""
    device = sampler.device
    parts = []
    with progress_bar("measuring", len(keys), "videos") as advance:
        for first in range(0, len(keys), VIDEOS_AT_ONCE):
            batch = keys[first : first + VIDEOS_AT_ONCE]
            frames = torch.stack([torch.from_numpy(data.frames(key, 0, num_frames)) for key in batch])
            actions = torch.stack([torch.from_numpy(data.actions(key)[:num_frames]) for key in batch])
            truth = codec.encode(frames.movedim(-1, 2).to(device))
            seeds = range(first, first + len(batch))
            parts.append((truth, predict(sampler, truth, actions.long().to(device), seeds)))
            advance(len(batch))
    truths = [torch.cat(level) for level in zip(*(truth for truth, _ in parts), strict=True)]
    return {
        kind: relative_errors(
            [torch.cat(level) for level in zip(*(predicted[kind] for _, predicted in parts), strict=True)],
            truths,
        )
        for kind in parts[0][1]
    }


def predict(
    sampler: TokenSampler, truth: Pyramid, actions: Int64[Tensor, "B total"], seeds: Sequence[int]
) -> dict[str, Pyramid]:
    """Predict the first chunk's future latents in three ways: sampled, given the truth, and repeated.

    Frames that a level does not denoise stay NaN.
    """
    start = sampler.num_context
    context = [level[:, :start] for level in truth]
    predicted = {
        kind: [torch.full_like(level[:, start:], torch.nan) for level in truth]
        for kind in (SAMPLED, GIVEN_TRUTH)
    }
    for kind, given in ((SAMPLED, None), (GIVEN_TRUTH, truth)):
        for generated in sampler.rollout(context, actions, keyed_noise(seeds), given):
            first = generated.first_frame - start
            last = first + generated.latents.shape[1]
            predicted[kind][generated.level][:, first:last] = generated.latents
    repeated = [
        level[:, -1:].expand_as(future) for level, future in zip(context, predicted[SAMPLED], strict=True)
    ]
    return {**predicted, REPEATED: repeated}


def relative_errors(predicted: Pyramid, truth: Pyramid) -> list[Float[Tensor, " frames"]]:
    """Return mean squared errors per frame ahead, divided by the variance of the level's true latents."""
    errors = []
    for prediction, true in zip(predicted, truth, strict=True):
        variance = true.flatten(0, 2).var(0, correction=0).mean()
        squared = (prediction - true[:, -prediction.shape[1] :]).square()
        errors.append(squared.mean((0, 2, 3)) / variance)
    return errors


def error_table(errors: Errors, title: str) -> Table:
    """Return a table of levels, coarsest first, with rows for the 1st, 2nd, 4th, 8th, ... frame ahead."""
    table = Table("level", "frame ahead", *errors, title=title, title_justify="left")
    num_levels = len(errors[SAMPLED])
    for level in reversed(range(num_levels)):
        num_frames = len(errors[SAMPLED][level])
        for frame in (2**power for power in range(num_frames.bit_length())):
            cells = [by_level[level][frame - 1].item() for by_level in errors.values()]
            if not any(map(math.isnan, cells)):  # NaN: the level does not denoise this frame
                table.add_row(str(level), str(frame), *(f"{cell:.3f}" for cell in cells))
    return table


main = partial(run, Flags, show)

if __name__ == "__main__":
    raise SystemExit(main())
