"""Where a model's weights come from: the box, a folder of ours, the published files, or a random draw."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from loopcraft.cli import UserError
from loopcraft.seeding import integer_seed
from loopcraft.storage import file_sha256
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.checkpoints import Weights, load_weights, read_checkpoint, read_published
from models.diffusion import Sampling
from models.framepack import FramePackWindow
from models.hub import PUBLISHED, fetch, fetch_first, is_address
from models.plans import PlanConfig
from models.presets import (
    PRESETS,
    CausalModelConfig,
    FramePackConfig,
    Preset,
    TokenModelConfig,
    VideoConfig,
    VideoNetwork,
    tiny,
)

SUFFIX = ".safetensors"
AUTOENCODERS = ("autoencoder", "autoencoder-cascaded")
"""What files of autoencoders are called; all others hold video models."""
PRETRAINED = "pretrained"
"""The name of the checkpoints that come with the project."""
PRETRAINED_FOLDER = Path(__file__).parent / PRETRAINED


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where weights come from: a checkpoint, or a preset with random weights.

    A checkpoint is "pretrained" (the default), "published", a folder, or hf://ORG/NAME[@REVISION].
    """

    checkpoint: str | None = None
    preset: str | None = None
    frame_size: int | None = None
    """Side of the frames that a preset is made for; 256 if None. Checkpoints have their own."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.checkpoint is not None and self.preset is not None:
            raise UserError(
                f"give either a checkpoint ('{PRETRAINED}', 'published', a folder or hf://ORG/NAME) or a "
                f"preset ({', '.join(PRESETS)}: random weights), and not both"
            )
        if self.preset is not None and self.preset not in PRESETS:
            raise UserError(f"there is no preset {self.preset!r}; choose one of {', '.join(PRESETS)}")

    @property
    def folder(self) -> str:
        """The checkpoint; asked for only where no preset is named."""
        return self.checkpoint or PRETRAINED

    @property
    def label(self) -> str:
        """What a model's name adds, so that random weights are never mistaken for a result."""
        return "" if self.preset is None else f" ({self.preset}, random weights)"


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """The two networks of a model, what defines them, and one SHA-256 of both files (None: random)."""

    preset: Preset
    autoencoder: Autoencoder
    network: VideoNetwork
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One checkpoint file: its configuration (None: the paper's main setting) and its weights."""

    path: Path
    config: AutoencoderConfig | VideoConfig | None
    weights: Weights
    sampling: Sampling = field(default_factory=Sampling)
    """How the model is sampled unless told otherwise."""

    def fill(self, module: nn.Module) -> None:
        """Load the weights strictly."""
        load_weights(module, self.weights, self.path, published=self.config is None)


def load_model(name: str, source: Source) -> LoadedModel:
    """The model called `name`, with its autoencoder."""
    autoencoder, autoencoder_sha256 = load_autoencoder(name, source)
    if source.preset is not None:
        preset = PRESETS[source.preset](name, source.frame_size or 256)
        with seeded(source.seed):
            network = preset.video.network(autoencoder.grid)
        return LoadedModel(preset=preset, autoencoder=autoencoder, network=network, sha256=None)
    stored = find_weights(name, source.folder)
    if stored.config is not None:
        require_kind(name, stored.config, stored.path)
    video = stored.config or PRESETS["main"](name, 256).video
    assert not isinstance(video, AutoencoderConfig)
    network = video.network(autoencoder.grid)
    stored.fill(network)
    digest = hashlib.sha256(f"{autoencoder_sha256}{file_sha256(stored.path)}".encode()).hexdigest()
    preset = Preset(autoencoder=autoencoder.config, video=video, sampling=stored.sampling)
    return LoadedModel(preset=preset, autoencoder=autoencoder, network=network, sha256=digest)


def load_autoencoder(name: str, source: Source) -> tuple[Autoencoder, str | None]:
    """The autoencoder of the model called `name`, and its file's SHA-256 (None: random weights)."""
    if source.preset is not None:
        with seeded(source.seed):
            return Autoencoder(PRESETS[source.preset](name, source.frame_size or 256).autoencoder), None
    stored = find_weights(autoencoder_stem(name), source.folder)
    config = stored.config or AutoencoderConfig()
    if not isinstance(config, AutoencoderConfig) or config.cascaded != tiny(name).autoencoder.cascaded:
        raise UserError(f"{stored.path}: does not hold the autoencoder of {name}; choose another checkpoint")
    autoencoder = Autoencoder(config)
    stored.fill(autoencoder)
    return autoencoder, file_sha256(stored.path)


def autoencoder_stem(name: str) -> str:
    """What the file of the autoencoder of the model called `name` is called."""
    return "autoencoder-cascaded" if tiny(name).autoencoder.cascaded else "autoencoder"


def holds(stem: str, checkpoint: str) -> bool:
    """Whether a checkpoint, published ones apart, has a file STEM.safetensors."""
    name = f"{stem}{SUFFIX}"
    if is_address(checkpoint):
        return fetch_first(checkpoint, [name]) is not None
    return (_folder_of(checkpoint) / name).is_file()


def _folder_of(checkpoint: str) -> Path:
    return PRETRAINED_FOLDER if checkpoint == PRETRAINED else Path(checkpoint)


def find_weights(stem: str, checkpoint: str) -> Stored:
    """The weights called `stem`: STEM.safetensors or a published file in a folder, or on the Hub."""
    published = PUBLISHED.get(stem)
    if checkpoint == "published":
        if published is None:
            raise UserError(f"no weights of {stem} are published; choose {', '.join(PUBLISHED)}, or train it")
        path = fetch(published)
        return Stored(path=path, config=None, weights=read_published(path))
    if is_address(checkpoint):
        names = [f"{stem}{SUFFIX}", *([] if published is None else [published.name])]
        fetched = fetch_first(checkpoint, names)
        if fetched is None:
            raise UserError(f"{checkpoint}: holds no {names[0]}; choose another model or repository")
        folder = fetched.parent
    else:
        folder = _folder_of(checkpoint)
    if (own := folder / f"{stem}{SUFFIX}").is_file():
        header, weights = read_checkpoint(own)
        sampling = Sampling(**header.get("sampling", {}))
        return Stored(path=own, config=config_from(header, own), weights=weights, sampling=sampling)
    if published is not None and (path := folder / published.name).is_file():
        return Stored(path=path, config=None, weights=read_published(path))
    if checkpoint == PRETRAINED:
        boxed = ", ".join(sorted(path.stem for path in folder.glob(f"*{SUFFIX}")))
        raise UserError(
            f"no weights of {stem} come with the project, only {boxed}; give a checkpoint (a folder, or "
            f"'published'), or a preset with random weights ({', '.join(PRESETS)})"
        )
    raise UserError(f"{folder}: holds no {stem}{SUFFIX}; give the folder of a checkpoint")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Layers made in this block draw their weights from `seed`; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer_seed(seed, "initial weights"))
        yield


def require_kind(stem: str, config: AutoencoderConfig | VideoConfig, path: Path) -> None:
    """Raise `UserError` if a file called `stem` holds a model of another architecture."""
    wanted = "an autoencoder" if stem in AUTOENCODERS else _family(tiny(stem).video)
    if _family(config) != wanted:
        raise UserError(f"{path}: holds {_family(config)}, not {stem}; choose another checkpoint")


def _family(config: AutoencoderConfig | VideoConfig) -> str:
    """The architecture of a model, whatever its size."""
    match config:
        case AutoencoderConfig():
            return "an autoencoder"
        case FramePackConfig():
            return "a FramePack denoiser"
        case CausalModelConfig():
            return f"a causal token denoiser for {config.plan.kind} plans"
    return f"a token denoiser for {config.plan.kind} plans"


def config_from(header: dict[str, Any], path: Path) -> AutoencoderConfig | VideoConfig:
    """The configuration in a checkpoint's header; `UserError` for kinds or fields that are not ours."""
    fields = dict(header["config"])
    try:
        match header["kind"]:
            case "AutoencoderConfig":
                return AutoencoderConfig(**fields)
            case "TokenModelConfig":
                return TokenModelConfig(**{**fields, "plan": PlanConfig(**fields["plan"])})
            case "CausalModelConfig":
                return CausalModelConfig(**{**fields, "plan": PlanConfig(**fields["plan"])})
            case "FramePackConfig":
                window = dict(fields["window"])
                window["context_frames"] = tuple(window["context_frames"])
                return FramePackConfig(**{**fields, "window": FramePackWindow(**window)})
    except (TypeError, KeyError) as error:
        raise UserError(f"{path}: its configuration is not one of ours ({error}); save it again") from error
    raise UserError(f"{path}: holds an unknown kind of model, {header['kind']!r}")
