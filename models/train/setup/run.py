"""A training run that is ready to start, and the parts of its setup that all models share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from models.checkpoints.format import load_weights, read_checkpoint
from models.networks.precision import uses_bfloat16
from models.train.config import TrainingConfig
from models.train.data.episodes import EpisodeSource
from models.train.data.pool import Convert, PoolConfig
from models.train.flags import Flags
from models.train.loop import Draw
from models.train.objectives import Objective
from models.train.optimizers import OptimizerConfig
from models.train.processes import Processes


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run, ready to start."""

    config: TrainingConfig
    steps: int
    state: dict[str, Any] | None
    """The stored state to resume from."""
    objective: Objective
    source: EpisodeSource
    convert: Convert
    draw: Draw | None
    """Makes the pictures; None if there is no autoencoder to decode latents."""


def load_initial_weights(network: nn.Module, path: Path | None) -> str | None:
    """Load the network's initial weights from `path`, if given, and return the file's SHA-256."""
    if path is None:
        return None
    _, weights = read_checkpoint(path)
    load_weights(network, weights, path)
    return file_sha256(path)


def make_config(flags: Flags, processes: Processes, **fields: Any) -> TrainingConfig:
    """Make the configuration from the flags; flags that are not given take the preset's values.

    Raises `UserError` if the batch cannot be divided equally.
    """
    default, update, episodes = flags.schedule, flags.update, flags.episodes
    batch_size, steps = update.batch_size or default.batch_size, flags.steps or default.steps
    parts = update.accumulate * processes.count
    if batch_size % parts:
        raise UserError(
            f"--batch-size {batch_size} cannot be divided into {update.accumulate} accumulated batches on "
            f"{processes.count} processes; choose a multiple of {parts}"
        )
    return TrainingConfig(
        batch_size=batch_size,
        accumulate=update.accumulate,
        processes=processes.count,
        pool=PoolConfig(
            episodes=episodes.pool or default.pool.episodes,
            fresh=default.pool.fresh if episodes.fresh is None else episodes.fresh,
        ),
        optimizer=OptimizerConfig(
            learning_rate=update.learning_rate,
            warmup_steps=update.warmup_steps or default.warmup_steps,
            cooldown_steps=round(update.cooldown * steps),
            last_step=steps if update.cooldown else None,
        ),
        clip_norm=update.clip_norm,
        ema_decay=update.ema,
        bfloat16=uses_bfloat16(flags.compute.precision, processes.device),
        seed=flags.seed,
        **fields,
    )
