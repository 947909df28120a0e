"""Where a model's weights come from: the box, a folder of ours, the published files, or a random draw."""

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
"""What files of autoencoders are called; all others hold video models."""
_KINDS: Mapping[str, type[AutoencoderConfig | VideoConfig]] = {
    kind.__name__: kind for kind in (AutoencoderConfig, TokenModelConfig, CausalModelConfig, FramePackConfig)
}
"""What a file's configuration may be, by what its header calls it."""


@dataclass(frozen=True, kw_only=True)
class WeightSource:
    """Where weights come from: a checkpoint, or a preset with random weights.

    A checkpoint is "pretrained" (the default), "pretrained/WORLD", "published", a folder, or
    hf://ORG/NAME[@REVISION].
    """

    checkpoint: str | None = None
    world: str | None = None
    """The world of the data, which chooses among the sets that come with the project."""
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
        if self.preset is not None:
            find_preset(self.preset)

    @property
    def folder(self) -> str:
        """The checkpoint; asked for only where no preset is named."""
        checkpoint = self.checkpoint or PRETRAINED
        return str(choose_set(checkpoint, self.world)) if is_boxed(checkpoint) else checkpoint

    @property
    def label(self) -> str:
        """What a model's name adds, so that random weights are never mistaken for a result."""
        return "" if self.preset is None else f" ({find_preset(self.preset).name}, random weights)"


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """The two networks of a model, what defines them, and one SHA-256 of both files (None: random)."""

    config: ModelConfig
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
    header: Mapping[str, Any] = field(default_factory=dict)
    """All that the file says of itself; empty for the published ones."""

    def fill(self, module: nn.Module) -> None:
        """Load the weights strictly."""
        load_weights(module, self.weights, self.path, published=self.config is None)


def load_model(name: str, source: WeightSource) -> LoadedModel:
    """The model called `name`, with its autoencoder."""
    if source.preset is not None:
        autoencoder, _ = load_autoencoder(name, source)
        config = find_preset(source.preset).model(name, source.frame_size or 256)
        with seeded(source.seed):
            network = config.video.network(autoencoder.grid)
        return LoadedModel(config=config, autoencoder=autoencoder, network=network, sha256=None)
    stem = find_model(name).autoencoder
    stored = find_weights(name, source.folder)  # first: what is not there is said before more is fetched
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
    with _described_by(stored.path):
        network = video.network(autoencoder.grid)
    stored.fill(network)
    digest = model_sha256(autoencoder_sha256, file_sha256(stored.path))
    config = ModelConfig(autoencoder=autoencoder.config, video=video, sampling=stored.sampling)
    return LoadedModel(config=config, autoencoder=autoencoder, network=network, sha256=digest)


def model_sha256(autoencoder_sha256: str, video_sha256: str) -> str:
    """What identifies a model: one SHA-256 of those of its two files."""
    return hashlib.sha256(f"{autoencoder_sha256}{video_sha256}".encode()).hexdigest()


def load_autoencoder(name: str, source: WeightSource) -> tuple[Autoencoder, str | None]:
    """The autoencoder of the model called `name`, and its file's SHA-256 (None: random weights)."""
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
    with _described_by(stored.path):
        autoencoder = Autoencoder(config)
    stored.fill(autoencoder)
    return autoencoder


def holds(stem: str, checkpoint: str) -> bool:
    """Whether a checkpoint, published ones apart, has a file STEM.safetensors."""
    name = f"{stem}{SUFFIX}"
    if is_address(checkpoint):
        return fetch_first(checkpoint, [name]) is not None
    return (_folder_of(checkpoint) / name).is_file()


def _folder_of(checkpoint: str) -> Path:
    return choose_set(checkpoint, None) if is_boxed(checkpoint) else Path(checkpoint)


def find_weights(stem: str, checkpoint: str) -> Stored:
    """The weights called `stem`: STEM.safetensors or a published file in a folder, or on the Hub.

    Raises `UserError` where there are none.
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
    """The sets in the box that have such weights, as a list goes on."""
    return "".join(
        f", '{PRETRAINED}/{world}'" for world in boxed_worlds() if holds(stem, f"{PRETRAINED}/{world}")
    )


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Layers made in this block draw their weights from `seed`; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer_seed(seed, "initial weights"))
        yield


@contextmanager
def _described_by(path: Path) -> Iterator[None]:
    """A network that cannot be built is its file's fault: `UserError` with the path."""
    try:
        yield
    except (TypeError, KeyError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise UserError(f"{path}: its configuration is not one of ours ({error}); save it again") from error


def require_kind(stem: str, config: AutoencoderConfig | VideoConfig, path: str | Path) -> None:
    """Raise `UserError` if a file called `stem` holds a model of another architecture."""
    wanted = "an autoencoder" if stem in AUTOENCODERS else MODELS[stem].architecture
    if _family(config) != wanted:
        raise UserError(f"{path}: holds {_family(config)}, not {stem}; choose another checkpoint")


def require_same_autoencoder(
    video: Mapping[str, Any],
    video_path: str | Path,
    autoencoder: Mapping[str, Any],
    autoencoder_path: str | Path,
    sha256: str,
) -> None:
    """Raise `UserError` if the header `video` names another autoencoder than this file, or what it is of."""
    trained_on = video.get("training", {}).get("autoencoder")
    if trained_on not in (None, sha256, autoencoder.get("packed_from")):
        raise UserError(
            f"{video_path} was trained on an autoencoder of SHA-256 {str(trained_on)[:12]}..., and "
            f"{autoencoder_path} has {sha256[:12]}...; put the one that it was trained on there"
        )


def _family(config: AutoencoderConfig | VideoConfig) -> str:
    """The architecture of a model, whatever its size."""
    if isinstance(config, AutoencoderConfig):
        return "an autoencoder"
    return describe_architecture(
        type(config), "" if isinstance(config, FramePackConfig) else config.plan.kind
    )


def sampling_from(header: Mapping[str, Any], path: Path) -> Sampling:
    """How a checkpoint's header says that it is sampled; raises `UserError` for what is no sampling."""
    try:
        return decode(Sampling, header.get("sampling", {}))
    except (SchemaError, UserError) as error:
        raise UserError(f"{path}: its sampling is not one of ours ({error}); save it again") from error


def config_from(header: Mapping[str, Any], path: str | Path) -> AutoencoderConfig | VideoConfig:
    """The configuration in a checkpoint's header; `UserError` for kinds or fields that are not ours."""
    try:
        kind = _KINDS.get(str(header["kind"]))
        if kind is not None:
            return decode(kind, header["config"])
    except (SchemaError, UserError, KeyError) as error:
        raise UserError(f"{path}: its configuration is not one of ours ({error}); save it again") from error
    raise UserError(f"{path}: holds an unknown kind of model, {header['kind']!r}")
