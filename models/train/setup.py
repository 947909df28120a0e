"""From flags to all that a run needs, with every mistake found before any work is done."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Shaped
from torch import Tensor

from loopcraft.cli import UserError
from loopcraft.recipe import Recipe
from loopcraft.storage import whole_file
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.latents import OwnLatents, open_latents
from models.optimizers import OptimizerConfig
from models.presets import PRESETS, Preset, TokenModelConfig, VideoNetwork
from models.rollouts import FrameCodec, uses_bfloat16
from models.tokens import Grid
from models.train.checkpoint import read_state
from models.train.config import PoolConfig, Schedule, TrainingConfig, schedule_of
from models.train.details import Lpips, gradient_difference
from models.train.episodes import (
    DatasetEpisodes,
    LatentEpisodes,
    Source,
    WorldEpisodes,
    holds_latents,
    is_world,
)
from models.train.flags import AutoencoderFlags, Flags, VideoFlags
from models.train.loop import Draw
from models.train.objectives import AutoencoderObjective, Objective, video_objective
from models.train.pictures import COLUMNS, reconstructions, rollout
from models.train.pool import EpisodePool
from models.train.processes import Processes
from models.train.trainer import Trainer
from models.weights import Source as WeightSource
from models.weights import autoencoder_stem, find_weights, load_autoencoder, seeded

USUAL_FRAME_SIZE = {"main": 256, "ablation": 256, "nano": 64, "pico": 64, "tiny": 32}
WORLD_ONLY = ("resolution", "episode_frames")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """A run, ready to start."""

    config: TrainingConfig
    steps: int
    state: dict[str, Any] | None
    """What to go on from."""
    objective: Objective
    source: Source
    keep: Callable[[Shaped[Tensor, "T *value"]], Shaped[Tensor, "T *kept"]]
    """From what the source gives to what the pool keeps."""
    draw: Draw | None
    """Makes the pictures; None without an autoencoder to decode latents."""


def prepare(flags: Flags, processes: Processes) -> Setup:
    """Read the data's description, the autoencoder's and the stored state; raises `UserError` on misfits."""
    flags.check()
    if isinstance(flags, AutoencoderFlags):
        setup = _prepare_autoencoder(flags, processes)
    else:
        setup = _prepare_video(cast(VideoFlags, flags), processes)
    flags.out.mkdir(parents=True, exist_ok=True)
    return setup


def _prepare_autoencoder(flags: AutoencoderFlags, processes: Processes) -> Setup:
    source, size = _open_frames(flags, "autoencoder", min_frames=1)
    name = "millivid-cascaded" if flags.cascaded else "millivid"
    network_config = _preset(flags, name, size).autoencoder
    require_patches(network_config)
    with seeded(flags.seed):
        network = Autoencoder(network_config)
    detail = gradient_difference if flags.vgg is None else Lpips(flags.vgg, processes.device)
    config = _config(
        flags,
        processes,
        model="autoencoder-cascaded" if flags.cascaded else "autoencoder",
        network=network_config,
        grid=network_config.grid,
        data=source.identity,
        detail="gradient" if flags.vgg is None else "lpips",
    )

    def draw(trainer: Trainer, pool: EpisodePool) -> Tensor:
        frames = torch.linspace(0, int(pool.lengths[0]) - 1, COLUMNS).long()
        images = pool.values[0, frames].movedim(-1, 1).to(processes.device).float() / 255
        return reconstructions(cast(Autoencoder, trainer.best), images)

    return Setup(
        config=config,
        steps=flags.steps or _schedule(flags).steps,
        state=read_state(flags.out, config),
        objective=AutoencoderObjective(network, detail, config.detail_weight),
        source=source,
        keep=lambda frames: frames,
        draw=draw,
    )


def _prepare_video(flags: VideoFlags, processes: Processes) -> Setup:
    _preset(flags, flags.model, USUAL_FRAME_SIZE[flags.preset])  # an unknown model is said first
    autoencoder, sha256 = _load_autoencoder(flags)
    is_latent = not is_world(flags.data) and holds_latents(Path(flags.data))
    size = USUAL_FRAME_SIZE[flags.preset] if autoencoder is None else autoencoder.config.frame_size
    preset = _preset(flags, flags.model, size)
    grid = preset.autoencoder.grid if autoencoder is None else autoencoder.grid
    if is_latent:
        _refuse_world_flags(flags)
        latents = open_latents(Path(flags.data), grid)
        grid = latents.grid
        if isinstance(latents, OwnLatents) and autoencoder is not None:
            _require_same_autoencoder(flags, latents, sha256)
    elif autoencoder is None:
        raise UserError(
            f"--data {flags.data} holds frames: give the --autoencoder that turns them into latents"
        )
    _require_levels(preset, grid, flags)
    plan = preset.video.plan.build(grid) if isinstance(preset.video, TokenModelConfig) else None
    with seeded(flags.seed):
        network = preset.video.network(grid)
    objective = video_objective(network, plan, grid, flags.context_dropout)
    source: Source
    if is_latent:
        source = LatentEpisodes(latents, min_frames=objective.clip_length, seed=flags.seed)
    else:
        source, found = _open_frames(flags, flags.model, objective.clip_length, size)
        if found != size:
            raise UserError(
                f"--data {flags.data} has frames of {found}, and the autoencoder takes {size}; choose another"
            )
    config = _config(
        flags,
        processes,
        model=flags.model,
        network=preset.video,
        grid=grid,
        data=source.identity,
        autoencoder=sha256,
        context_dropout=flags.context_dropout,
    )
    state = read_state(flags.out, config)
    if flags.autoencoder is not None and processes.rank == 0:
        _copy_autoencoder(flags)
    codec = None if autoencoder is None else FrameCodec(autoencoder.to(processes.device), flags.precision)
    return Setup(
        config=config,
        steps=flags.steps or _schedule(flags).steps,
        state=state,
        objective=objective,
        source=source,
        keep=(lambda latents: latents.to(processes.device)) if is_latent else _encoder(codec, processes),
        draw=None if autoencoder is None else _rollout_picture(preset, autoencoder),
    )


def _encoder(
    codec: FrameCodec | None, processes: Processes
) -> Callable[[Shaped[Tensor, "T *value"]], Shaped[Tensor, "T *kept"]]:
    """Frames (T, H, W, 3) to the latents (T, tokens, C) of all levels, on the device."""
    assert codec is not None

    def encode(frames: Shaped[Tensor, "T *value"]) -> Shaped[Tensor, "T *kept"]:
        levels = codec.encode(frames.movedim(-1, 1)[None].to(processes.device))
        return torch.cat(levels, dim=2)[0]

    return encode


def _rollout_picture(preset: Preset, autoencoder: Autoencoder) -> Draw:
    def draw(trainer: Trainer, pool: EpisodePool) -> Tensor:
        network = cast(VideoNetwork, trainer.best)
        length = int(pool.lengths[0])
        return rollout(
            preset.video,
            network,
            autoencoder,
            preset.sampling,
            pool.values[0, :length],
            pool.actions[0, :length],
        )

    return draw


def _preset(flags: Flags, name: str, frame_size: int) -> Preset:
    try:
        return PRESETS[flags.preset](name, frame_size)
    except KeyError:
        raise UserError(
            f"the preset {flags.preset} has no model {name!r}; see docs/models.md for the names"
        ) from None


def _schedule(flags: Flags) -> Schedule:
    return schedule_of(flags.preset, "autoencoder" if isinstance(flags, AutoencoderFlags) else "video")


def _config(flags: Flags, processes: Processes, **fields: Any) -> TrainingConfig:
    """The configuration: what the flags say, else the preset's schedule."""
    usual = _schedule(flags)
    batch_size = flags.batch_size or usual.batch_size
    parts = flags.accumulate * processes.count
    if batch_size % parts:
        raise UserError(
            f"--batch-size {batch_size} cannot be divided into {flags.accumulate} accumulated batches on "
            f"{processes.count} processes; choose a multiple of {parts}"
        )
    return TrainingConfig(
        batch_size=batch_size,
        accumulate=flags.accumulate,
        processes=processes.count,
        pool=PoolConfig(
            episodes=flags.pool or usual.pool.episodes,
            fresh=usual.pool.fresh if flags.fresh is None else flags.fresh,
        ),
        optimizer=OptimizerConfig(
            learning_rate=flags.learning_rate, warmup_steps=flags.warmup_steps or usual.warmup_steps
        ),
        clip_norm=flags.clip_norm,
        ema_decay=flags.ema,
        bfloat16=uses_bfloat16(flags.precision, processes.device),
        seed=flags.seed,
        **fields,
    )


def _open_frames(
    flags: Flags, model: str, min_frames: int, size: int | None = None
) -> tuple[WorldEpisodes | DatasetEpisodes, int]:
    """The source of frames, and their size."""
    if not is_world(flags.data):
        _refuse_world_flags(flags)
        if Path(flags.data).is_dir() and holds_latents(Path(flags.data)):
            raise UserError(
                f"--data {flags.data} holds latents, and an autoencoder needs frames; give a data set"
            )
        stored = DatasetEpisodes(flags.data, min_frames=min_frames, seed=flags.seed)
        return stored, stored.frame_size
    num_frames = flags.episode_frames or _schedule(flags).episode_frames
    if num_frames < min_frames:
        raise UserError(
            f"a sample of {model} spans {min_frames} frames and an episode has {num_frames}; raise "
            "--episode-frames, or choose a preset with a smaller budget"
        )
    resolution = flags.resolution or size or USUAL_FRAME_SIZE[flags.preset]
    recipe = Recipe(
        world=flags.data,
        split="train",
        num_episodes=1,
        num_frames=num_frames,
        resolution=resolution,
        seed=flags.seed,
    )
    return WorldEpisodes(recipe=recipe), resolution


def _refuse_world_flags(flags: Flags) -> None:
    for name in WORLD_ONLY:
        if getattr(flags, name) is not None:
            raise UserError(
                f"--{name.replace('_', '-')} is for worlds; {flags.data} has its own: leave it out"
            )


def require_patches(config: AutoencoderConfig) -> None:
    """Refuse frames that cannot be cut into patches at every level."""
    coarsest = config.patch * 2 ** (config.levels - 1)
    if config.patch < 1 or config.frame_size % coarsest:
        raise UserError(
            f"frames of {config.frame_size} x {config.frame_size} cannot be cut into patches of "
            f"{config.patch} at {config.levels} levels; choose a resolution that {max(coarsest, 8)} divides"
        )


def _require_levels(preset: Preset, grid: Grid, flags: Flags) -> None:
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
    """Put the autoencoder beside the model, as `models.weights` expects."""
    assert flags.autoencoder is not None
    path = find_weights(autoencoder_stem(flags.model), flags.autoencoder).path
    if path.resolve() != (flags.out / path.name).resolve():
        with whole_file(flags.out / path.name) as temporary:
            shutil.copyfile(path, temporary)
