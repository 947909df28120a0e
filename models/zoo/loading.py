"""Load models: weights that come with the project, a folder, the Hub, published files, or random weights."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.files import file_sha256
from loopcraft.core.seeding import integer_seed
from models.checkpoints.format import Weights, load_weights, read_checkpoint, read_published
from models.checkpoints.hub import PUBLISHED, fetch, fetch_first, is_address
from models.networks.autoencoder import Autoencoder, AutoencoderConfig
from models.sampling.diffusion import Sampling
from models.zoo.box import PRETRAINED, PRETRAINED_FOLDER, boxed_worlds, choose_set, is_boxed
from models.zoo.configs import (
    CausalModelConfig,
    FramePackConfig,
    ModelConfig,
    TokenModelConfig,
    VideoConfig,
    VideoNetwork,
    describe_architecture,
)
from models.zoo.presets import MODELS, PRESETS, find_model, find_preset

SUFFIX = ".safetensors"
AUTOENCODERS = ("autoencoder", "autoencoder-cascaded")
"""File names, without suffix, of autoencoders; all others hold video models."""
_KINDS: Mapping[str, type[AutoencoderConfig | VideoConfig]] = {
    kind.__name__: kind for kind in (AutoencoderConfig, TokenModelConfig, CausalModelConfig, FramePackConfig)
}
"""Configuration classes by the kind in a file's header."""


@dataclass(frozen=True, kw_only=True)
class WeightSource:
    """The source of a model's weights: a checkpoint, or a preset with random weights.

    A checkpoint is "pretrained" (the default), "pretrained/WORLD", "published", a folder, or
    hf://ORG/NAME[@REVISION].
    """

    checkpoint: str | None = None
    world: str | None = None
    """The world of the data; selects one of the sets that come with the project."""
    preset: str | None = None
    frame_size: int | None = None
    """Frame side in pixels for a preset; 256 if None. Checkpoints record their own."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.checkpoint is not None and self.preset is not None:
            raise UserError(
                f"give either a checkpoint ('{PRETRAINED}', 'published', a folder or hf://ORG/NAME) or a "
                f"preset ({', '.join(PRESETS)}: random weights), not both"
            )
        if self.preset is not None:
            find_preset(self.preset)

    @property
    def folder(self) -> str:
        """The checkpoint, with the project's own sets resolved to a folder; unused if a preset is named."""
        checkpoint = self.checkpoint or PRETRAINED
        return str(choose_set(checkpoint, self.world)) if is_boxed(checkpoint) else checkpoint

    @property
    def label(self) -> str:
        """A suffix for the model's name, so that random weights are never mistaken for a result."""
        return "" if self.preset is None else f" ({find_preset(self.preset).name}, random weights)"


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """The two networks of a model, their configuration, and one SHA-256 for both files (None: random)."""

    config: ModelConfig
    autoencoder: Autoencoder
    network: VideoNetwork
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One checkpoint file: its weights and its configuration (None: the paper's main setting)."""

    path: Path
    config: AutoencoderConfig | VideoConfig | None
    weights: Weights
    sampling: Sampling = field(default_factory=Sampling)
    """Default sampling settings of the model."""
    header: Mapping[str, Any] = field(default_factory=dict)
    """The header of the file; empty for published files."""

    def fill(self, module: nn.Module) -> None:
        """Load the weights into `module`, strictly."""
        load_weights(module, self.weights, self.path, published=self.config is None)


def load_model(name: str, source: WeightSource) -> LoadedModel:
    """Load the model called `name` with its autoencoder."""
    if source.preset is not None:
        autoencoder, _ = load_autoencoder(name, source)
        config = find_preset(source.preset).model(name, source.frame_size or 256)
        with seeded(source.seed):
            network = config.video.network(autoencoder.grid)
        return LoadedModel(config=config, autoencoder=autoencoder, network=network, sha256=None)
    stem = find_model(name).autoencoder
    stored = find_weights(name, source.folder)  # first, to report a missing model before fetching more
    autoencoder_file = find_weights(stem, source.folder)
    autoencoder = _fill_autoencoder(name, autoencoder_file)
    if stored.config is not None:
        require_kind(name, stored.config, stored.path)
    autoencoder_sha256 = file_sha256(autoencoder_file.path)
    require_same_autoencoder(
        stored.header, stored.path, autoencoder_file.header, autoencoder_file.path, autoencoder_sha256
    )
    video = stored.config or PRESETS["paper"].model(name).video
    assert not isinstance(video, AutoencoderConfig)
    with _config_errors(stored.path):
        network = video.network(autoencoder.grid)
    stored.fill(network)
    digest = model_sha256(autoencoder_sha256, file_sha256(stored.path))
    config = ModelConfig(autoencoder=autoencoder.config, video=video, sampling=stored.sampling)
    return LoadedModel(config=config, autoencoder=autoencoder, network=network, sha256=digest)


def model_sha256(autoencoder_sha256: str, video_sha256: str) -> str:
    """Return the SHA-256 that identifies a model, computed from the SHA-256 of its two files."""
    return hashlib.sha256(f"{autoencoder_sha256}{video_sha256}".encode()).hexdigest()


def load_autoencoder(name: str, source: WeightSource) -> tuple[Autoencoder, str | None]:
    """Return the autoencoder of the model called `name`, and its file's SHA-256 (None: random weights)."""
    if source.preset is not None:
        with seeded(source.seed):
            config = find_preset(source.preset).model(name, source.frame_size or 256)
            return Autoencoder(config.autoencoder), None
    stored = find_weights(find_model(name).autoencoder, source.folder)
    return _fill_autoencoder(name, stored), file_sha256(stored.path)


def _fill_autoencoder(name: str, stored: Stored) -> Autoencoder:
    config = stored.config or AutoencoderConfig()
    if not isinstance(config, AutoencoderConfig) or config.cascaded != find_model(name).cascaded:
        raise UserError(f"{stored.path}: does not hold the autoencoder of {name}; choose another checkpoint")
    with _config_errors(stored.path):
        autoencoder = Autoencoder(config)
    stored.fill(autoencoder)
    return autoencoder


def has_weights(stem: str, checkpoint: str) -> bool:
    """Return whether a checkpoint, other than "published", has a file STEM.safetensors."""
    name = f"{stem}{SUFFIX}"
    if is_address(checkpoint):
        return fetch_first(checkpoint, [name]) is not None
    return (_folder_of(checkpoint) / name).is_file()


def _folder_of(checkpoint: str) -> Path:
    return choose_set(checkpoint, None) if is_boxed(checkpoint) else Path(checkpoint)


def find_weights(stem: str, checkpoint: str) -> Stored:
    """Read the weights called `stem`: STEM.safetensors or a published file, in a folder or on the Hub.

    Raises `UserError` if there are none.
    """
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
        config, sampling = config_from(header, own), sampling_from(header, own)
        return Stored(path=own, config=config, weights=weights, sampling=sampling, header=header)
    if published is not None and (path := folder / published.name).is_file():
        return Stored(path=path, config=None, weights=read_published(path))
    if folder.parent == PRETRAINED_FOLDER:
        boxed = ", ".join(sorted(path.stem for path in folder.glob(f"*{SUFFIX}")))
        raise UserError(
            f"no weights of {stem} for {folder.name} come with the project, only {boxed}; give a checkpoint "
            f"(a folder, 'published'{_other_sets(stem)}), or a preset with random weights "
            f"({', '.join(PRESETS)})"
        )
    raise UserError(f"{folder}: holds no {stem}{SUFFIX}; give the folder of a checkpoint")


def _other_sets(stem: str) -> str:
    """Return the project's own sets with these weights, to be appended to a comma-separated list."""
    names = (f"{PRETRAINED}/{world}" for world in boxed_worlds())
    return "".join(f", '{name}'" for name in names if has_weights(stem, name))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw the initial weights of layers created in this block from `seed`; restore the global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer_seed(seed, "initial weights"))
        yield


@contextmanager
def _config_errors(path: Path) -> Iterator[None]:
    """Convert errors from building a network into a `UserError` that blames the file's configuration."""
    try:
        yield
    except (TypeError, KeyError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise UserError(f"{path}: its configuration is invalid ({error}); save it again") from error


def require_kind(stem: str, config: AutoencoderConfig | VideoConfig, path: str | Path) -> None:
    """Raise `UserError` if a file called `stem` holds a model of a different architecture."""
    expected = "an autoencoder" if stem in AUTOENCODERS else MODELS[stem].architecture
    if isinstance(config, AutoencoderConfig):
        actual = "an autoencoder"
    else:
        plan = "" if isinstance(config, FramePackConfig) else config.plan.kind
        actual = describe_architecture(type(config), plan)
    if actual != expected:
        raise UserError(f"{path}: holds {actual}, not {stem}; choose another checkpoint")


def require_same_autoencoder(
    video: Mapping[str, Any],
    video_path: str | Path,
    autoencoder: Mapping[str, Any],
    autoencoder_path: str | Path,
    sha256: str,
) -> None:
    """Raise `UserError` if the header `video` names an autoencoder other than this file or its original.

    The original is the file that `models.pack` made it from.
    """
    trained_on = video.get("training", {}).get("autoencoder")
    if trained_on not in (None, sha256, autoencoder.get("packed_from")):
        raise UserError(
            f"{video_path} was trained with an autoencoder of SHA-256 {str(trained_on)[:12]}..., but "
            f"{autoencoder_path} has {sha256[:12]}...; replace it with the one used in training"
        )


def sampling_from(header: Mapping[str, Any], path: Path) -> Sampling:
    """Return the sampling settings in a checkpoint's header; raise `UserError` if they are invalid."""
    try:
        return decode(Sampling, header.get("sampling", {}))
    except (SchemaError, UserError) as error:
        raise UserError(f"{path}: its sampling settings are invalid ({error}); save it again") from error


def config_from(header: Mapping[str, Any], path: str | Path) -> AutoencoderConfig | VideoConfig:
    """Return the configuration in a checkpoint's header; raise `UserError` for unknown kinds or fields."""
    try:
        kind = _KINDS.get(str(header["kind"]))
        if kind is not None:
            return decode(kind, header["config"])
    except (SchemaError, UserError, KeyError) as error:
        raise UserError(f"{path}: its configuration is invalid ({error}); save it again") from error
    raise UserError(f"{path}: holds an unknown kind of model, {header['kind']!r}")
