"""The configuration of a training run, and the schedules of the presets."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from models.networks.autoencoder import AutoencoderConfig
from models.networks.tokens import Grid
from models.train.data.pool import PoolConfig
from models.train.optimizers import OptimizerConfig
from models.zoo.configs import VideoConfig

Detail = Literal["lpips", "gradient"]
"""The loss added to the squared error: LPIPS (VGG), or the difference of image gradients."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that determines the losses; a run can only be resumed with an equal configuration."""

    model: str
    """"autoencoder", "autoencoder-cascaded", or the name of a video model."""
    network: AutoencoderConfig | VideoConfig
    grid: Grid
    """The latent grid of a frame."""
    data: str
    """Identity of the episodes: a world and its settings, or a SHA-256 computed from their content."""
    autoencoder: str | None = None
    """SHA-256 of the autoencoder that encodes the episodes, if there is one."""
    initial: str | None = None
    """SHA-256 of the checkpoint with the run's initial weights, if there is one."""
    batch_size: int
    """Samples per update, over all processes and accumulated batches."""
    accumulate: int = 1
    processes: int = 1
    pool: PoolConfig
    optimizer: OptimizerConfig
    clip_norm: float = 1.0
    """The gradient is clipped to this total norm."""
    context_dropout: float = 0.1
    """Fraction of samples whose context is pure noise (video models only)."""
    context_noise: float = 0.0
    """Half of the samples have context at a noise level drawn from 0 to this one (video models only)."""
    detail: Detail = "gradient"
    detail_weight: float = 0.05
    ema_decay: float | None = None
    bfloat16: bool = False
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the configuration as stored in files."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @property
    def micro_batch(self) -> int:
        """Number of samples that one process handles at a time."""
        return self.batch_size // (self.accumulate * self.processes)


def differences(current: dict[str, Any], stored: dict[str, Any], prefix: str = "") -> list[str]:
    """List the differences between two configurations, as "name is A here and B there"."""
    changes = []
    for name in sorted(current.keys() | stored.keys()):
        new, old = current.get(name), stored.get(name)
        if isinstance(new, dict) and isinstance(old, dict):
            changes += differences(new, old, f"{prefix}{name}.")
        elif new != old:
            changes.append(f"{prefix}{name} is {new} here and {old} there")
    return changes


@dataclass(frozen=True, kw_only=True)
class TrainingSchedule:
    """The length, batch size and episodes of a preset's training."""

    steps: int
    batch_size: int
    warmup_steps: int = 2000
    pool: PoolConfig = field(default_factory=PoolConfig)
    episode_frames: int = 1024
    """Frames per simulated episode."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How often a run logs, draws pictures and saves; does not affect the losses."""

    save_every: int = 1000
    """Updates between checkpoints."""
    picture_every: int = 1000
    """Updates between pictures; 0: no pictures."""
    log_every: int = 50
    """Updates between printed lines."""
    tensorboard: bool = False
    """Also log to TensorBoard."""


@dataclass(frozen=True, kw_only=True)
class PresetSchedules:
    """A preset's two schedules; batch sizes are per update, over all GPUs."""

    autoencoder: TrainingSchedule
    video: TrainingSchedule


_TRIAL = TrainingSchedule(
    steps=50, batch_size=4, warmup_steps=10, pool=PoolConfig(episodes=4, fresh=0.25), episode_frames=128
)
SCHEDULES = {
    "paper": PresetSchedules(
        autoencoder=TrainingSchedule(steps=128_000, batch_size=1792),
        video=TrainingSchedule(steps=192_000, batch_size=384),
    ),
    "paper-ablation": PresetSchedules(
        autoencoder=TrainingSchedule(steps=128_000, batch_size=1792),
        video=TrainingSchedule(steps=256_000, batch_size=384),
    ),
    "trial": PresetSchedules(autoencoder=_TRIAL, video=_TRIAL),
    "gpu-hour": PresetSchedules(
        autoencoder=TrainingSchedule(steps=20_000, batch_size=64, episode_frames=512),
        video=TrainingSchedule(steps=40_000, batch_size=64, episode_frames=512),
    ),
    "cpu-evening": PresetSchedules(
        autoencoder=TrainingSchedule(
            steps=4_000, batch_size=64, warmup_steps=100, pool=PoolConfig(fresh=0.25), episode_frames=384
        ),
        video=TrainingSchedule(
            steps=5_000, batch_size=16, warmup_steps=100, pool=PoolConfig(episodes=512), episode_frames=384
        ),
    ),
    "gpu-minutes": PresetSchedules(
        autoencoder=TrainingSchedule(
            steps=2_000,
            batch_size=384,
            warmup_steps=100,
            pool=PoolConfig(episodes=512, fresh=0.8),
            episode_frames=384,
        ),
        video=TrainingSchedule(
            steps=3_900,
            batch_size=64,
            warmup_steps=100,
            pool=PoolConfig(episodes=512, fresh=0.8),
            episode_frames=384,
        ),
    ),
}
"""The schedules by preset name."""
