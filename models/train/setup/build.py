"""Builds a training run from its flags and finds all mistakes before any work is done."""

import shutil
from typing import cast

import torch
from jaxtyping import Shaped
from torch import Tensor

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256, whole_file
from loopcraft.core.urls import path_at
from loopcraft.core.writing import writing_to
from models.latents.codec import FrameCodec
from models.latents.store import Latents, OwnLatents, open_latents
from models.networks.autoencoder import Autoencoder, AutoencoderConfig
from models.networks.tokens import Grid, LatentSpace
from models.train.checkpoint import read_state
from models.train.data.episodes import EpisodeSource, LatentEpisodes, holds_latents
from models.train.data.played import is_world
from models.train.data.pool import Convert, EpisodePool
from models.train.data.transfer import send
from models.train.detail_loss import Lpips, gradient_difference
from models.train.flags import AnyFlags, AutoencoderFlags, VideoFlags
from models.train.loop import Draw
from models.train.objectives import AutoencoderObjective, video_objective
from models.train.pictures import COLUMNS, Frames, reconstructions, rollout
from models.train.processes import Processes
from models.train.setup.frames import open_frames, refuse_world_flags
from models.train.setup.run import Run, load_initial_weights, make_config
from models.train.trainer import Trainer
from models.zoo.configs import ModelConfig, TokenModelConfig, VideoNetwork
from models.zoo.loading import WeightSource, find_weights, load_autoencoder, seeded
from models.zoo.presets import find_model


def build_run(flags: AnyFlags, processes: Processes) -> Run:
    """Open the data, the autoencoder and the stored state; raise `UserError` if they do not fit together."""
    flags.check()
    if isinstance(flags, AutoencoderFlags):
        run = _build_autoencoder(flags, processes)
    else:
        run = _build_video(flags, processes)
    flags.out.mkdir(parents=True, exist_ok=True)
    return run


def _build_autoencoder(flags: AutoencoderFlags, processes: Processes) -> Run:
    source, size = open_frames(flags, "autoencoder", min_frames=1)
    name = "millivid-cascaded" if flags.cascaded else "millivid"
    network_config = flags.sizes.model(name, size).autoencoder
    require_patches(network_config)
    with seeded(flags.seed):
        network = Autoencoder(network_config)
    initial = load_initial_weights(network, flags.begin_with)
    detail = gradient_difference if flags.vgg is None else Lpips(flags.vgg, processes.device)
    config = make_config(
        flags,
        processes,
        model=flags.model,
        network=network_config,
        grid=network_config.grid,
        data=source.identity,
        initial=initial,
        detail="gradient" if flags.vgg is None else "lpips",
    )

    def draw(trainer: Trainer, pool: EpisodePool) -> Frames:
        frames = torch.linspace(0, int(pool.lengths[0]) - 1, COLUMNS).long()
        images = pool.values[0, frames].movedim(-1, 1).to(processes.device).float() / 255
        return reconstructions(cast(Autoencoder, trainer.best), images)

    return Run(
        config=config,
        steps=flags.steps or flags.schedule.steps,
        state=read_state(flags.out, config),
        objective=AutoencoderObjective(network, detail, config.detail_weight),
        source=source,
        convert=lambda frames: send(frames, processes.device),
        draw=draw,
    )


def _build_video(flags: VideoFlags, processes: Processes) -> Run:
    flags.sizes.model(flags.model)  # rejects an unknown model before anything is read
    autoencoder, sha256 = None, None
    if flags.autoencoder is not None:
        autoencoder, sha256 = load_autoencoder(flags.model, WeightSource(checkpoint=flags.autoencoder))
    size = flags.sizes.frame_size if autoencoder is None else autoencoder.config.frame_size
    model = flags.sizes.model(flags.model, size)
    grid = model.autoencoder.grid if autoencoder is None else autoencoder.grid
    latents = _open_latents(flags, grid, sha256)
    if latents is not None:
        grid = latents.grid
    _require_levels(model, grid, flags)
    space, used = model.video.space, grid.coarser(model.video.space.finest)
    plan = model.video.plan.build(used) if isinstance(model.video, TokenModelConfig) else None
    with seeded(flags.seed):
        network = model.video.network(grid)
    initial = load_initial_weights(network, flags.begin_with)
    objective = video_objective(network, plan, used, flags.context_dropout, flags.context_noise)
    source = _episodes(flags, latents, objective.clip_length, size)
    config = make_config(
        flags,
        processes,
        model=flags.model,
        network=model.video,
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
        codec = FrameCodec(autoencoder.to(processes.device), flags.compute.precision, space)
    convert = _make_encoder(codec, processes) if latents is None else _make_selector(space, grid, processes)
    return Run(
        config=config,
        steps=flags.steps or flags.schedule.steps,
        state=state,
        objective=objective,
        source=source,
        convert=convert,
        draw=None if codec is None else _rollout_picture(model, codec),
    )


def _open_latents(flags: VideoFlags, grid: Grid, sha256: str | None) -> Latents | None:
    """Open the latents in --data and check which autoencoder made them; return None if it holds frames."""
    if is_world(flags.data) or not holds_latents(path_at(flags.data)):
        if flags.autoencoder is None:
            raise UserError(
                f"--data {flags.data} holds frames: give the --autoencoder that encodes them as latents"
            )
        return None
    refuse_world_flags(flags)
    latents = open_latents(flags.data, grid)
    if isinstance(latents, OwnLatents) and sha256 not in (None, latents.autoencoder_sha256):
        raise UserError(
            f"--autoencoder {flags.autoencoder} did not encode the latents in {flags.data}; give the one "
            "that did"
        )
    return latents


def _episodes(flags: VideoFlags, latents: Latents | None, clip_length: int, size: int) -> EpisodeSource:
    """Open the episodes of latents, or of frames with the autoencoder's frame size."""
    if latents is not None:
        return LatentEpisodes(latents, min_frames=clip_length, seed=flags.seed)
    source, data_size = open_frames(flags, flags.model, clip_length, size)
    if data_size != size:
        raise UserError(
            f"--data {flags.data} has frames of {data_size} pixels a side, but the autoencoder takes {size}; "
            "choose another"
        )
    return source


def require_patches(config: AutoencoderConfig) -> None:
    """Raise `UserError` if frames cannot be cut into patches at every level."""
    coarsest = config.patch * 2 ** (config.levels - 1)
    if config.patch < 1 or config.frame_size % coarsest:
        raise UserError(
            f"frames of {config.frame_size} x {config.frame_size} cannot be cut into patches of "
            f"{config.patch} at {config.levels} levels; choose a resolution that {max(coarsest, 8)} divides"
        )


def _make_encoder(codec: FrameCodec | None, processes: Processes) -> Convert:
    """Return a function from frames (T, H, W, 3) to latents (T, tokens, C) of all levels on the device."""
    assert codec is not None

    def encode(frames: Shaped[Tensor, "T *value"]) -> Shaped[Tensor, "T *stored"]:
        levels = codec.encode(send(frames, processes.device).movedim(-1, 1)[None])
        return torch.cat(levels, dim=2)[0]

    return encode


def _make_selector(space: LatentSpace, grid: Grid, processes: Processes) -> Convert:
    """Return a function from stored latents (T, tokens, C) to those of the model's space on the device."""

    def select(latents: Shaped[Tensor, "T *value"]) -> Shaped[Tensor, "T *stored"]:
        levels = list(torch.split(send(latents, processes.device), grid.tokens_per_level, dim=1))
        return torch.cat(space.enter(levels), dim=1)

    return select


def _rollout_picture(model: ModelConfig, codec: FrameCodec) -> Draw:
    def draw(trainer: Trainer, pool: EpisodePool) -> Frames:
        network = cast(VideoNetwork, trainer.best)
        length = int(pool.lengths[0])
        return rollout(
            model.video, network, codec, model.sampling, pool.values[0, :length], pool.actions[0, :length]
        )

    return draw


def _require_levels(model: ModelConfig, grid: Grid, flags: VideoFlags) -> None:
    expected = model.autoencoder
    if (grid.levels, grid.channels) != (expected.levels, expected.channels):
        raise UserError(
            f"--data {flags.data}: latents have {grid.levels} levels of {grid.channels} channels, but the "
            f"preset {flags.preset} takes {expected.levels} of {expected.channels}; choose the autoencoder's "
            "preset"
        )


def _copy_autoencoder(flags: VideoFlags) -> None:
    """Copy the autoencoder to the model's folder, where `models.zoo.loading` expects it."""
    assert flags.autoencoder is not None
    path = find_weights(find_model(flags.model).autoencoder, flags.autoencoder).path
    copy = flags.out / path.name
    if path.resolve() == copy.resolve() or (copy.exists() and file_sha256(copy) == file_sha256(path)):
        return
    with writing_to(flags.out, part=path.stem, together=True), whole_file(copy) as temporary:
        shutil.copyfile(path, temporary)
