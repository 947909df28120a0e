"""What a run needs, and what both commands make of their flags: a preset, a configuration."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Shaped
from torch import Tensor, nn

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from models.checkpoints.format import load_weights, read_checkpoint
from models.networks.precision import uses_bfloat16
from models.train.config import Schedule, TrainingConfig, schedule_of
from models.train.data.episodes import Source
from models.train.data.pool import PoolConfig
from models.train.flags import AutoencoderFlags, Flags
from models.train.loop import Draw
from models.train.objectives import Objective
from models.train.optimizers import OptimizerConfig
from models.train.processes import Processes
from models.zoo.presets import PRESETS, Preset

USUAL_FRAME_SIZE = {"main": 256, "ablation": 256, "nano": 64, "pico": 64, "small": 64, "tiny": 32}


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


def preset_of(flags: Flags, name: str, frame_size: int) -> Preset:
    """What the flags' preset has under that name; raises `UserError` for an unknown one."""
    return PRESETS[flags.preset](name, frame_size)


def schedule_for(flags: Flags) -> Schedule:
    """What the preset has where the flags say nothing."""
    return schedule_of(flags.preset, "autoencoder" if isinstance(flags, AutoencoderFlags) else "video")


def begin_with(network: nn.Module, path: Path | None) -> str | None:
    """Give the network the weights that the flags name, and tell their SHA-256."""
    if path is None:
        return None
    _, weights = read_checkpoint(path)
    load_weights(network, weights, path)
    return file_sha256(path)


def config_of(flags: Flags, processes: Processes, **fields: Any) -> TrainingConfig:
    """The configuration: what the flags say, else the preset's schedule."""
    usual = schedule_for(flags)
    batch_size, steps = flags.batch_size or usual.batch_size, flags.steps or usual.steps
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
            learning_rate=flags.learning_rate,
            warmup_steps=flags.warmup_steps or usual.warmup_steps,
            cooldown_steps=round(flags.cooldown * steps),
            last_step=steps if flags.cooldown else None,
        ),
        clip_norm=flags.clip_norm,
        ema_decay=flags.ema,
        bfloat16=uses_bfloat16(flags.precision, processes.device),
        seed=flags.seed,
        **fields,
    )
