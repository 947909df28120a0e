"""The flags of `python -m models.train autoencoder` and `... video`; None means the preset's value."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from loopcraft.core.cli import require_at_least
from loopcraft.core.errors import UserError
from models.networks.precision import Precision
from models.train.config import SCHEDULES, LoopConfig, TrainingSchedule
from models.zoo.presets import Preset, find_preset


@dataclass(frozen=True, kw_only=True)
class UpdateFlags:
    """Batches, learning rate and averaging."""

    batch_size: int | None = None
    """Samples per update, over all processes; the preset's if not given."""
    accumulate: int = 1
    """Backward passes per update."""
    learning_rate: float = 1e-3
    """Learning rate of both optimisers after warm-up."""
    warmup_steps: int | None = None
    """Updates over which the learning rate grows from 0; the preset's if not given."""
    cooldown: float = 0.0
    """Final fraction of all steps over which the learning rate falls to 0; such a run cannot be extended."""
    clip_norm: float = 1.0
    """Maximum norm of the gradient."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights, as in 0.999; the average is then shipped."""


@dataclass(frozen=True, kw_only=True)
class EpisodeFlags:
    """Episodes that samples are drawn from."""

    pool: int | None = None
    """Episodes in the pool of each process; the preset's if not given."""
    fresh: float | None = None
    """New episodes per update in each process; the preset's if not given."""
    workers: int = 1
    """Loader processes per training process; 0: the training process itself loads episodes."""
    resolution: int | None = None
    """Worlds only: height and width of a frame."""
    episode_frames: int | None = None
    """Worlds only: frames per episode."""
    episode_cache: Path | None = None
    """Worlds only: a folder that keeps episodes for later runs (5 MB for 384 frames of 64 x 64)."""


@dataclass(frozen=True, kw_only=True)
class ComputeFlags:
    """Device, precision and compilation."""

    device: str = "auto"
    """cpu, cuda, or auto."""
    precision: Precision = "auto"
    compile: bool | None = None
    """Use torch.compile; only on CUDA if not given."""


@dataclass(frozen=True, kw_only=True)
class Flags(ABC):
    """The flags of both commands."""

    data: str
    """A world such as plaza-v1 or voxel-v1, a folder of frames or latents, its address such as
    s3://BUCKET/FOLDER, or a data set at hf://ORG/NAME."""
    out: Path
    """The output folder for checkpoints, logs and pictures; all models of a set can share one."""
    preset: str = "gpu-hour"
    """Sizes, plans and schedule: paper, paper-ablation, gpu-hour, gpu-minutes, cpu-evening, or trial."""
    steps: int | None = None
    """Total number of updates; the preset's if not given. Raise it to continue a finished run."""
    begin_with: Path | None = None
    """A .safetensors file of this project with the initial weights; random weights if not given."""
    seed: int = 0
    """Seed of all randomness: weights, worlds, samples and noise."""
    update: UpdateFlags = field(default_factory=UpdateFlags)
    episodes: EpisodeFlags = field(default_factory=EpisodeFlags)
    compute: ComputeFlags = field(default_factory=ComputeFlags)
    loop: LoopConfig = field(default_factory=LoopConfig)

    @property
    def sizes(self) -> Preset:
        """The preset itself; raises `UserError` for an unknown name."""
        return find_preset(self.preset)

    @property
    @abstractmethod
    def schedule(self) -> TrainingSchedule:
        """The preset's values for flags that are not given."""

    def check(self) -> None:
        """Raise `UserError` for numbers out of range."""
        require_at_least(self, steps=1, seed=0)
        require_at_least(self.update, batch_size=1, accumulate=1, warmup_steps=1)
        require_at_least(self.episodes, pool=1, resolution=8, episode_frames=8, workers=0)
        require_at_least(self.loop, save_every=1, picture_every=0, log_every=1)
        for name, value in (vars(self.update) | vars(self.episodes)).items():
            if name in ("learning_rate", "clip_norm", "fresh") and value is not None and not value > 0:
                raise UserError(f"--{name.replace('_', '-')} {value}: choose a number above 0")
        if not 0 <= self.update.cooldown <= 1:
            raise UserError(f"--cooldown {self.update.cooldown}: choose a fraction from 0 to 1")
        if self.update.ema is not None and not 0 < self.update.ema < 1:
            raise UserError(f"--ema {self.update.ema}: choose a number between 0 and 1, such as 0.999")


@dataclass(frozen=True, kw_only=True)
class AutoencoderFlags(Flags):
    """Train an autoencoder on frames."""

    cascaded: bool = False
    """Train the ablation whose coarse latents are means of the finer ones."""
    vgg: Path | None = None
    """For LPIPS: torchvision's vgg16 weights or a benchmark.weights folder; without it, use gradients."""

    @property
    def model(self) -> str:
        """Name of the model, as in file names."""
        return "autoencoder-cascaded" if self.cascaded else "autoencoder"

    @property
    def schedule(self) -> TrainingSchedule:
        """The schedule of the preset's autoencoder."""
        return SCHEDULES[self.sizes.name].autoencoder


@dataclass(frozen=True, kw_only=True)
class VideoFlags(Flags):
    """Train a video model on latents, or on frames that an autoencoder encodes on the fly."""

    model: str = "millivid"
    autoencoder: str | None = None
    """Folder or hf://ORG/NAME of a trained autoencoder: required for frames; used for pictures of latents."""
    context_dropout: float = 0.1
    """Fraction of samples whose context is pure noise."""
    context_noise: float = 0.0
    """Half of the samples have context at a noise level from 0 to this one; the paper uses 0."""

    @property
    def schedule(self) -> TrainingSchedule:
        """The schedule of the preset's video models."""
        return SCHEDULES[self.sizes.name].video


AnyFlags = AutoencoderFlags | VideoFlags
