"""The flags of `python -m models.train autoencoder` and `... video`, in groups; None is the preset's own."""

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
    """What an update is."""

    batch_size: int | None = None
    """Samples an update, over all processes."""
    accumulate: int = 1
    """Backward passes an update."""
    learning_rate: float = 1e-3
    """Of both optimisers, after warm-up."""
    warmup_steps: int | None = None
    """Updates over which the rate grows from 0; the preset's if not given."""
    cooldown: float = 0.0
    """Share of all steps, at the end, over which the rate falls to 0; such a run cannot be made longer."""
    clip_norm: float = 1.0
    """Largest norm of the gradient."""
    ema: float | None = None
    """Decay of an average of the weights, as in 0.999; the average is then what is shipped."""


@dataclass(frozen=True, kw_only=True)
class EpisodeFlags:
    """Where samples come from."""

    pool: int | None = None
    """Episodes, for each process, that samples are drawn from at a time."""
    fresh: float | None = None
    """New episodes an update, for each process."""
    workers: int = 1
    """Processes that load or simulate episodes, for each training process; 0: none but itself."""
    resolution: int | None = None
    """Worlds only: height and width of a frame."""
    episode_frames: int | None = None
    """Worlds only: frames of an episode."""
    episode_cache: Path | None = None
    """Worlds only: a folder in which episodes are kept for the next run (5 MB for 384 frames of 64 x 64)."""


@dataclass(frozen=True, kw_only=True)
class ComputeFlags:
    """Where it is computed, and how."""

    device: str = "auto"
    """cpu, cuda, or auto."""
    precision: Precision = "auto"
    compile: bool | None = None
    """torch.compile; on CUDA unless told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Flags(ABC):
    """What both commands take."""

    data: str
    """A world, as in plaza-v1 or voxel-v1; a folder of frames or latents, its address as in
    s3://BUCKET/FOLDER, or a data set at hf://ORG/NAME."""
    out: Path
    """The folder of checkpoints, logs and pictures; all models of a set may share one."""
    preset: str = "gpu-hour"
    """Sizes, plans and schedule: paper, paper-ablation, gpu-hour, gpu-minutes, cpu-evening, or trial."""
    steps: int | None = None
    """Updates in all. A finished run goes on when this is raised."""
    begin_with: Path | None = None
    """A .safetensors file of ours with the weights to begin with; without it they are drawn at random."""
    seed: int = 0
    """Root of all randomness: weights, worlds, samples and noise."""
    update: UpdateFlags = field(default_factory=UpdateFlags)
    episodes: EpisodeFlags = field(default_factory=EpisodeFlags)
    compute: ComputeFlags = field(default_factory=ComputeFlags)
    loop: LoopConfig = field(default_factory=LoopConfig)

    @property
    def sizes(self) -> Preset:
        """The preset itself; raises `UserError` for a name that none has."""
        return find_preset(self.preset)

    @property
    @abstractmethod
    def schedule(self) -> TrainingSchedule:
        """What the preset has where the flags say nothing."""

    def check(self) -> None:
        """Refuse numbers that make no sense; raises `UserError`."""
        require_at_least(self, steps=1, seed=0)
        require_at_least(self.update, batch_size=1, accumulate=1, warmup_steps=1)
        require_at_least(self.episodes, pool=1, resolution=8, episode_frames=8, workers=0)
        require_at_least(self.loop, save_every=1, picture_every=0, log_every=1)
        for name, value in (vars(self.update) | vars(self.episodes)).items():
            if name in ("learning_rate", "clip_norm", "fresh") and value is not None and not value > 0:
                raise UserError(f"--{name.replace('_', '-')} {value}: choose a number above 0")
        if not 0 <= self.update.cooldown <= 1:
            raise UserError(f"--cooldown {self.update.cooldown}: choose a share from 0 to 1")
        if self.update.ema is not None and not 0 < self.update.ema < 1:
            raise UserError(f"--ema {self.update.ema}: choose a number between 0 and 1, as in 0.999")


@dataclass(frozen=True, kw_only=True)
class AutoencoderFlags(Flags):
    """Train an autoencoder on frames."""

    cascaded: bool = False
    """The ablation whose coarse latents are means of the finer ones."""
    vgg: Path | None = None
    """torchvision's file of vgg16 weights, for the LPIPS term; without it, image gradients are compared."""

    @property
    def model(self) -> str:
        """What the run is called."""
        return "autoencoder-cascaded" if self.cascaded else "autoencoder"

    @property
    def schedule(self) -> TrainingSchedule:
        """That of the preset's autoencoder."""
        return SCHEDULES[self.sizes.name].autoencoder


@dataclass(frozen=True, kw_only=True)
class VideoFlags(Flags):
    """Train a video model on latents, or on frames that an autoencoder encodes as they arrive."""

    model: str = "millivid"
    autoencoder: str | None = None
    """Folder or hf://ORG/NAME of a trained autoencoder: frames need it, for latents it draws the pictures."""
    context_dropout: float = 0.1
    """Share of samples whose context is pure noise."""
    context_noise: float = 0.0
    """Half of the samples see their context at a noise level from 0 to this one; the paper has 0."""

    @property
    def schedule(self) -> TrainingSchedule:
        """That of the preset's video models."""
        return SCHEDULES[self.sizes.name].video


AnyFlags = AutoencoderFlags | VideoFlags
