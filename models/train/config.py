"""What decides the losses of a training run, and the published and small settings of it."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from models.networks.autoencoder import AutoencoderConfig
from models.networks.tokens import Grid
from models.train.data.pool import PoolConfig
from models.train.optimizers import OptimizerConfig
from models.zoo.configs import VideoConfig

Detail = Literal["lpips", "gradient"]
"""The term beside the squared error: LPIPS (VGG), or the difference of image gradients."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Everything that the losses follow from; a run is only resumed under an equal one."""

    model: str
    """"autoencoder", "autoencoder-cascaded", or the name of a video model."""
    network: AutoencoderConfig | VideoConfig
    grid: Grid
    """The latents of a frame."""
    data: str
    """What the episodes are: a world and its settings, or a SHA-256 that follows from their content."""
    autoencoder: str | None = None
    """The SHA-256 of the autoencoder that encodes the episodes, where one does."""
    initial: str | None = None
    """The SHA-256 of the checkpoint whose weights the run begins with, where there is one."""
    batch_size: int
    """Samples an update, over all processes and accumulated batches."""
    accumulate: int = 1
    processes: int = 1
    pool: PoolConfig
    optimizer: OptimizerConfig
    clip_norm: float = 1.0
    """The largest norm of the whole gradient."""
    context_dropout: float = 0.1
    """Share of video samples whose context is pure noise (video models only)."""
    context_noise: float = 0.0
    """Half of the video samples see their context at a noise level drawn from 0 to this one."""
    detail: Detail = "gradient"
    detail_weight: float = 0.05
    ema_decay: float | None = None
    bfloat16: bool = False
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """The configuration as a file holds it."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @property
    def micro_batch(self) -> int:
        """Samples that one process works on at a time."""
        return self.batch_size // (self.accumulate * self.processes)


def differences(ours: dict[str, Any], stored: dict[str, Any], prefix: str = "") -> list[str]:
    """What differs between two configurations, as "name is A here and B there"."""
    found = []
    for name in sorted(ours.keys() | stored.keys()):
        here, there = ours.get(name), stored.get(name)
        if isinstance(here, dict) and isinstance(there, dict):
            found += differences(here, there, f"{prefix}{name}.")
        elif here != there:
            found.append(f"{prefix}{name} is {here} here and {there} there")
    return found


@dataclass(frozen=True, kw_only=True)
class TrainingSchedule:
    """How long a preset trains, and on how much at a time."""

    steps: int
    batch_size: int
    warmup_steps: int = 2000
    pool: PoolConfig = field(default_factory=PoolConfig)
    episode_frames: int = 1024
    """Frames of a simulated episode."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How often a run logs, draws and saves; changes nothing about the losses."""

    save_every: int = 1000
    """Updates between checkpoints."""
    picture_every: int = 1000
    """Updates between pictures; 0 is none."""
    log_every: int = 50
    """Updates between printed lines."""
    tensorboard: bool = False
    """Log to TensorBoard as well."""


@dataclass(frozen=True, kw_only=True)
class PresetSchedules:
    """A preset's two schedules; the batch is per update, over all GPUs."""

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
"""By the name of the preset."""
