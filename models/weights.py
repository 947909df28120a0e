"""Where a model's weights come from: a folder of ours, the published files, or a random draw."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from loopcraft.cli import UserError
from loopcraft.seeding import integer_seed
from loopcraft.storage import file_sha256
from models.autoencoder import Autoencoder, AutoencoderConfig
from models.checkpoints import Weights, load_weights, read_checkpoint, read_published
from models.diffusion import Sampling
from models.framepack import FramePackWindow
from models.hub import PUBLISHED, fetch
from models.plans import PlanConfig
from models.presets import PRESETS, FramePackConfig, Preset, TokenModelConfig, VideoConfig, VideoNetwork, tiny

SUFFIX = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """The two networks of a model, what defines them, and one SHA-256 of both files (None: random)."""

    preset: Preset
    autoencoder: Autoencoder
    network: VideoNetwork
    sha256: str | None


def load_model(
    name: str, *, checkpoint: str | None, preset: str | None, frame_size: int | None, seed: int
) -> LoadedModel:
    """The model called `name` with weights from `checkpoint`, or with random ones in the setting `preset`.

    `checkpoint` is "published" or a folder that holds our files or the published ones.
    """
    if (checkpoint is None) == (preset is None):
        raise UserError(
            f"{name} needs either checkpoint ('published' or a folder) or preset "
            f"({', '.join(PRESETS)}: random weights), not both"
        )
    if preset is not None:
        if preset not in PRESETS:
            raise UserError(f"there is no preset {preset!r}; choose one of {', '.join(PRESETS)}")
        return random_model(PRESETS[preset](name, frame_size or 256), seed)
    assert checkpoint is not None
    if checkpoint == "published":
        return published_model(name)
    folder = Path(checkpoint)
    if (folder / f"{name}{SUFFIX}").is_file():
        return own_model(name, folder)
    if name in PUBLISHED and (folder / PUBLISHED[name].name).is_file():
        return published_model(name, folder)
    raise UserError(f"{folder}: holds no {name}{SUFFIX}; give the folder of a checkpoint of {name}")


def random_model(preset: Preset, seed: int) -> LoadedModel:
    """Fresh weights, drawn from `seed`; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer_seed(seed, "initial weights"))
        autoencoder = Autoencoder(preset.autoencoder)
        network = preset.video.network(preset.autoencoder.grid)
    return LoadedModel(preset=preset, autoencoder=autoencoder, network=network, sha256=None)


def published_model(name: str, folder: Path | None = None) -> LoadedModel:
    """The paper's own weights, from the Hub or from a folder that holds its files."""
    if name not in PUBLISHED:
        raise UserError(f"no weights of {name} are published; choose {', '.join(PUBLISHED)}, or train it")
    files = [PUBLISHED["autoencoder"], PUBLISHED[name]]
    paths = [fetch(file) if folder is None else folder / file.name for file in files]
    return _filled(
        PRESETS["main"](name, 256), [read_published(path) for path in paths], paths, published=True
    )


def own_model(name: str, folder: Path) -> LoadedModel:
    """Weights of ours: autoencoder.safetensors (or autoencoder-cascaded) beside NAME.safetensors."""
    paths = [folder / f"{stem}{SUFFIX}" for stem in (autoencoder_name(name), name)]
    (first, autoencoder_weights), (second, video_weights) = map(read_checkpoint, paths)
    autoencoder, video = config_from(first, paths[0]), config_from(second, paths[1])
    expected = tiny(name)  # of the right architecture, whatever its size
    if (
        not isinstance(autoencoder, AutoencoderConfig)
        or autoencoder.cascaded != expected.autoencoder.cascaded
    ):
        raise UserError(f"{paths[0]}: holds {first['kind']}, not the autoencoder that {name} needs")
    if isinstance(video, AutoencoderConfig) or _family(video) != _family(expected.video):
        raise UserError(f"{paths[1]}: holds another model ({second['kind']}), not {name}")
    preset = Preset(autoencoder=autoencoder, video=video, sampling=Sampling())
    return _filled(preset, [autoencoder_weights, video_weights], paths, published=False)


def autoencoder_name(name: str) -> str:
    """The stem of the autoencoder's file beside the video model called `name`."""
    return "autoencoder-cascaded" if name.endswith("-cascaded") else "autoencoder"


def _family(config: VideoConfig) -> str:
    return config.plan.kind if isinstance(config, TokenModelConfig) else "patched framepack"


def _filled(preset: Preset, weights: list[Weights], paths: list[Path], *, published: bool) -> LoadedModel:
    model = random_model(preset, seed=0)
    for module, values, path in zip((model.autoencoder, model.network), weights, paths, strict=True):
        load_weights(module, values, path, published=published)
    digest = hashlib.sha256("".join(file_sha256(path) for path in paths).encode()).hexdigest()
    return LoadedModel(preset=preset, autoencoder=model.autoencoder, network=model.network, sha256=digest)


def config_from(header: dict[str, Any], path: Path) -> AutoencoderConfig | VideoConfig:
    """The configuration in a checkpoint's header; `UserError` for kinds or fields that are not ours."""
    fields = dict(header["config"])
    try:
        match header["kind"]:
            case "AutoencoderConfig":
                return AutoencoderConfig(**fields)
            case "TokenModelConfig":
                return TokenModelConfig(**{**fields, "plan": PlanConfig(**fields["plan"])})
            case "FramePackConfig":
                window = dict(fields["window"])
                window["context_frames"] = tuple(window["context_frames"])
                return FramePackConfig(**{**fields, "window": FramePackWindow(**window)})
    except (TypeError, KeyError) as error:
        raise UserError(f"{path}: its configuration is not one of ours ({error}); save it again") from error
    raise UserError(f"{path}: holds an unknown kind of model, {header['kind']!r}")
