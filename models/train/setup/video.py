"""From the flags of `models.train video` to all that the run needs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Shaped
from torch import Tensor

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, whole_file
from loopcraft.core.writing import writing_to
from models.latents.codec import FrameCodec
from models.latents.store import OwnLatents, open_latents
from models.networks.autoencoder import Autoencoder
from models.networks.tokens import Grid, LatentSpace
from models.train.checkpoint import read_state
from models.train.data.episodes import LatentEpisodes, Source, holds_latents
from models.train.data.played import is_world
from models.train.data.pool import EpisodePool
from models.train.data.transfer import send
from models.train.flags import VideoFlags
from models.train.loop import Draw
from models.train.objectives import video_objective
from models.train.pictures import rollout
from models.train.processes import Processes
from models.train.setup.common import USUAL_FRAME_SIZE, Setup, begin_with, config_of, preset_of, schedule_for
from models.train.setup.data import open_frames, refuse_world_flags
from models.train.trainer import Trainer
from models.zoo.loading import Source as WeightSource
from models.zoo.loading import autoencoder_stem, find_weights, load_autoencoder, seeded
from models.zoo.presets import Preset, TokenModelConfig, VideoNetwork


def prepare_video(flags: VideoFlags, processes: Processes) -> Setup:
    """Check the flags against data, autoencoder and stored state; raises `UserError` on misfits."""
    preset_of(flags, flags.model, USUAL_FRAME_SIZE[flags.preset])  # an unknown model is said first
    autoencoder, sha256 = _load_autoencoder(flags)
    is_latent = not is_world(flags.data) and holds_latents(Path(flags.data))
    size = USUAL_FRAME_SIZE[flags.preset] if autoencoder is None else autoencoder.config.frame_size
    preset = preset_of(flags, flags.model, size)
    grid = preset.autoencoder.grid if autoencoder is None else autoencoder.grid
    if is_latent:
        refuse_world_flags(flags)
        latents = open_latents(Path(flags.data), grid)
        grid = latents.grid
        if isinstance(latents, OwnLatents) and autoencoder is not None:
            _require_same_autoencoder(flags, latents, sha256)
    elif autoencoder is None:
        raise UserError(
            f"--data {flags.data} holds frames: give the --autoencoder that turns them into latents"
        )
    _require_levels(preset, grid, flags)
    space, used = preset.video.space, grid.coarser(preset.video.space.finest)
    plan = preset.video.plan.build(used) if isinstance(preset.video, TokenModelConfig) else None
    with seeded(flags.seed):
        network = preset.video.network(grid)
    initial = begin_with(network, flags.begin_with)
    objective = video_objective(network, plan, used, flags.context_dropout, flags.context_noise)
    source: Source
    if is_latent:
        source = LatentEpisodes(latents, min_frames=objective.clip_length, seed=flags.seed)
    else:
        source, found = open_frames(flags, flags.model, objective.clip_length, size)
        if found != size:
            raise UserError(
                f"--data {flags.data} has frames of {found}, and the autoencoder takes {size}; choose another"
            )
    config = config_of(
        flags,
        processes,
        model=flags.model,
        network=preset.video,
        grid=grid,
        data=source.identity,
        autoencoder=sha256,
        initial=initial,
        context_dropout=flags.context_dropout,
        context_noise=flags.context_noise,
    )
    state = read_state(flags.out, config)
    if flags.autoencoder is not None and processes.rank == 0:
        _copy_autoencoder(flags)
    codec = None
    if autoencoder is not None:
        codec = FrameCodec(autoencoder.to(processes.device), flags.precision, space)
    return Setup(
        config=config,
        steps=flags.steps or schedule_for(flags).steps,
        state=state,
        objective=objective,
        source=source,
        keep=_selector(space, grid, processes) if is_latent else _encoder(codec, processes),
        draw=None if codec is None else _rollout_picture(preset, codec),
    )


def _encoder(
    codec: FrameCodec | None, processes: Processes
) -> Callable[[Shaped[Tensor, "T *value"]], Shaped[Tensor, "T *kept"]]:
    """Frames (T, H, W, 3) to the latents (T, tokens, C) of all levels, on the device."""
    assert codec is not None

    def encode(frames: Shaped[Tensor, "T *value"]) -> Shaped[Tensor, "T *kept"]:
        levels = codec.encode(send(frames, processes.device).movedim(-1, 1)[None])
        return torch.cat(levels, dim=2)[0]

    return encode


def _selector(
    space: LatentSpace, grid: Grid, processes: Processes
) -> Callable[[Shaped[Tensor, "T *value"]], Shaped[Tensor, "T *kept"]]:
    """Stored latents (T, tokens, C) of all levels to those of the model's space, on the device."""

    def keep(latents: Shaped[Tensor, "T *value"]) -> Shaped[Tensor, "T *kept"]:
        levels = list(torch.split(send(latents, processes.device), grid.tokens_per_level, dim=1))
        return torch.cat(space.enter(levels), dim=1)

    return keep


def _rollout_picture(preset: Preset, codec: FrameCodec) -> Draw:
    def draw(trainer: Trainer, pool: EpisodePool) -> Tensor:
        network = cast(VideoNetwork, trainer.best)
        length = int(pool.lengths[0])
        return rollout(
            preset.video,
            network,
            codec,
            preset.sampling,
            pool.values[0, :length],
            pool.actions[0, :length],
        )

    return draw


def _require_levels(preset: Preset, grid: Grid, flags: VideoFlags) -> None:
    wanted = preset.autoencoder
    if (grid.levels, grid.channels) != (wanted.levels, wanted.channels):
        raise UserError(
            f"--data {flags.data}: latents have {grid.levels} levels of {grid.channels} channels, and the "
            f"preset {flags.preset} takes {wanted.levels} of {wanted.channels}; choose the autoencoder's"
        )


def _load_autoencoder(flags: VideoFlags) -> tuple[Autoencoder | None, str | None]:
    if flags.autoencoder is None:
        return None, None
    return load_autoencoder(flags.model, WeightSource(checkpoint=flags.autoencoder))


def _require_same_autoencoder(flags: VideoFlags, latents: OwnLatents, sha256: str | None) -> None:
    if latents.autoencoder_sha256 != sha256:
        raise UserError(
            f"--autoencoder {flags.autoencoder} did not make the latents in {flags.data}; give the one that "
            "did"
        )


def _copy_autoencoder(flags: VideoFlags) -> None:
    """Put the autoencoder beside the model, as `models.zoo.loading` expects."""
    assert flags.autoencoder is not None
    path = find_weights(autoencoder_stem(flags.model), flags.autoencoder).path
    copy = flags.out / path.name
    if path.resolve() == copy.resolve() or (copy.exists() and file_sha256(copy) == file_sha256(path)):
        return
    with writing_to(flags.out, part=path.stem, together=True), whole_file(copy) as temporary:
        shutil.copyfile(path, temporary)
