"""All models and presets of the project.

A model's name determines its plan, its network and its autoencoder. A preset determines its size: there are
the settings of the paper, and smaller ones for a single GPU or a CPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loopcraft.core.errors import UserError
from models.networks.autoencoder import AutoencoderConfig
from models.networks.framepack import FramePackWindow
from models.networks.tokens import ALL_LATENTS, LatentSpace
from models.plans.builders import plan_config
from models.sampling.diffusion import Sampling
from models.zoo.configs import (
    CausalModelConfig,
    FramePackConfig,
    ModelConfig,
    TokenModelConfig,
    VideoConfig,
    describe_architecture,
)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The properties of a model that do not depend on its size."""

    plan: str
    """The kind of its plan, one of `models.plans.builders.BUILDERS`."""
    network: type[TokenModelConfig | FramePackConfig] = TokenModelConfig
    cascaded: bool = False
    """Whether its autoencoder is the ablation whose coarse latents are means of the finer ones."""

    @property
    def autoencoder(self) -> str:
        """File name, without suffix, of its autoencoder."""
        return "autoencoder-cascaded" if self.cascaded else "autoencoder"

    @property
    def architecture(self) -> str:
        """Its architecture in words, for messages."""
        return describe_architecture(self.network, self.plan)


MODELS: Mapping[str, Kind] = {
    "millivid": Kind(plan="millivid"),
    "millivid-cascaded": Kind(plan="millivid", cascaded=True),
    "millivid-causal": Kind(plan="millivid", network=CausalModelConfig),
    "framepack": Kind(plan="framepack", network=FramePackConfig),
    "framepack-hierarchical": Kind(plan="framepack"),
    "framepack-cascaded": Kind(plan="framepack", cascaded=True),
    "framepack-mirrored": Kind(plan="framepack-mirrored"),
    "full-resolution": Kind(plan="full-resolution"),
    "rollout-upscale": Kind(plan="rollout-upscale"),
    "upscale": Kind(plan="upscale"),
}
"""All models by name."""


def find_model(name: str) -> Kind:
    """Return the model called `name`; raise `UserError` for an unknown name."""
    if name not in MODELS:
        raise UserError(f"there is no model {name!r}; choose one of {', '.join(MODELS)}")
    return MODELS[name]


_PAPER_SAMPLING = Sampling()


@dataclass(frozen=True, kw_only=True)
class Preset:
    """The sizes that a set of models shares, and the arguments of each kind of plan."""

    name: str
    frame_size: int = 256
    """Default side of a frame in pixels."""
    patches: int | None = None
    """Patches along each side of a frame; None: patches of 16 x 16 pixels, as in the paper."""
    autoencoder_levels: int = 4
    channels: int = 32
    autoencoder_size: str = "B"
    video_size: str = "B"
    video_levels: int = 4
    odometry: bool = False
    space: LatentSpace = ALL_LATENTS
    plans: Mapping[str, Mapping[str, Any]]
    models: Sequence[str] = tuple(MODELS)
    """The models that the preset offers."""
    sampling: Sampling = _PAPER_SAMPLING

    def model(self, name: str, frame_size: int | None = None) -> ModelConfig:
        """Return the model called `name` for square frames with `frame_size` pixels a side.

        Raises `UserError` if the preset has no such model or its patches do not divide the frame size.
        """
        kind = find_model(name)
        if name not in self.models:
            raise UserError(
                f"the preset {self.name} has no {name}, only {', '.join(self.models)}; choose the preset "
                "paper-ablation or trial, which have all models"
            )
        size = frame_size or self.frame_size
        if self.patches is not None and size % self.patches:
            raise UserError(
                f"frames of {size} x {size} cannot be cut into {self.patches} x {self.patches} patches; "
                f"choose a resolution that {self.patches} divides"
            )
        autoencoder = AutoencoderConfig(
            frame_size=size,
            patch=16 if self.patches is None else size // self.patches,
            levels=self.autoencoder_levels,
            channels=self.channels,
            size=self.autoencoder_size,
            cascaded=kind.cascaded,
        )
        return ModelConfig(autoencoder=autoencoder, video=self._video(kind), sampling=self.sampling)

    def _video(self, kind: Kind) -> VideoConfig:
        arguments = self.plans[kind.plan]
        if issubclass(kind.network, FramePackConfig):
            window = FramePackWindow(
                context_frames=tuple(arguments["context"]), denoised_frames=arguments["denoised"]
            )
            return kind.network(window=window, size=self.video_size, odometry=self.odometry, space=self.space)
        return kind.network(
            plan=plan_config(kind.plan, **arguments),
            size=self.video_size,
            levels=self.video_levels,
            odometry=self.odometry,
            space=self.space,
        )


_COMPARED = ("millivid", "millivid-cascaded", "millivid-causal", "framepack", "full-resolution")
_FAST = Sampling(steps=10, solver="dpm++2m")
_SCALED_COARSE = LatentSpace(finest=1, scale=2.0)

_PRESETS = (
    # The paper's main table: 3840 tokens per step, and 3584 for full-resolution rollout.
    Preset(
        name="paper",
        models=("millivid", "framepack", "full-resolution"),
        plans={
            "millivid": {"windows": [3, 12, 48, 192], "extra_budget": 768},
            "framepack": {"context": [3, 12, 48, 192], "denoised": 3},
            "full-resolution": {"num_frames": 14},
        },
    ),
    # The paper's ablations: about 1280 tokens per step.
    Preset(
        name="paper-ablation",
        plans={
            "millivid": {"windows": [1, 4, 16, 64], "extra_budget": 256},
            "framepack": {"context": [1, 4, 16, 64], "denoised": 1},
            "framepack-mirrored": {"context": [1, 2, 8, 32], "denoised": [1, 2, 8, 32]},
            "full-resolution": {"num_frames": 4},
            "rollout-upscale": {"base_frames": 4, "num_levels": 4},
            "upscale": {"base_frames": 4, "num_levels": 4},
        },
    ),
    # For tests and for trying things out, seconds on a CPU: 8 x 8 tokens per frame at level 0, two blocks.
    Preset(
        name="trial",
        frame_size=32,
        patches=8,
        autoencoder_levels=3,
        channels=8,
        autoencoder_size="nano",
        video_size="nano",
        video_levels=3,
        plans={
            "millivid": {"windows": [2, 8, 32], "extra_budget": 64},
            "framepack": {"context": [2, 4, 16], "denoised": 2},
            "framepack-mirrored": {"context": [2, 4, 8], "denoised": [2, 4, 8]},
            "full-resolution": {"num_frames": 8},
            "rollout-upscale": {"base_frames": 4, "num_levels": 3},
            "upscale": {"base_frames": 4, "num_levels": 3},
        },
        sampling=Sampling(steps=4, solver="dpm++2m"),
    ),
    # An hour on a GPU: 64 / 16 / 4 / 1 tokens per frame, at most 288 tokens per step, 53 context frames.
    # Full-resolution rollout has 256 tokens, the largest number of whole frames within that budget.
    Preset(
        name="gpu-hour",
        frame_size=64,
        patches=8,
        channels=16,
        autoencoder_size="micro",
        video_size="micro",
        models=_COMPARED,
        plans={
            "millivid": {"windows": [1, 4, 16, 64], "extra_budget": 32},
            "framepack": {"context": [1, 4, 16, 32], "denoised": 1},
            "full-resolution": {"num_frames": 4},
        },
        sampling=_FAST,
    ),
    # An evening on a CPU: 16 / 4 / 1 tokens per frame, 352 tokens per step. Made for loopcraft-mini with its
    # 64 context frames: MilliVid reads 56 of them and outlines all 192 future frames in its first step.
    Preset(
        name="cpu-evening",
        frame_size=64,
        patches=4,
        autoencoder_levels=3,
        channels=64,
        autoencoder_size="micro",
        video_size="pico",
        video_levels=3,
        odometry=True,
        models=_COMPARED,
        plans={
            "millivid": {"windows": [2, 16, 192], "extra_budget": 38, "nested": True},
            "framepack": {"context": [8, 24, 32], "denoised": 6},
            "full-resolution": {"num_frames": 22},
        },
        sampling=_FAST,
    ),
    # Trained in minutes on a GPU, sampled on a CPU: 64 / 16 / 4 tokens per frame, of which video models use
    # the 16 and the 4; 1280 tokens per step. MilliVid outlines the 192 future frames of loopcraft-mini in its
    # first step, from 4 tokens of each of the 64 context frames, and reads that outline in the next 12 steps.
    Preset(
        name="gpu-minutes",
        frame_size=64,
        patches=8,
        autoencoder_levels=3,
        channels=64,
        autoencoder_size="small-autoencoder",
        video_size="small",
        video_levels=2,
        odometry=True,
        space=_SCALED_COARSE,
        models=_COMPARED,
        plans={
            "millivid": {"windows": [16, 192], "extra_budget": 192, "nested": True},
            "framepack": {"context": [48, 16], "denoised": 28},
            "full-resolution": {"num_frames": 80},
        },
        sampling=Sampling(steps=8, solver="dpm++2m", bound=_SCALED_COARSE.scale),
    ),
)
PRESETS: Mapping[str, Preset] = {preset.name: preset for preset in _PRESETS}
"""All presets by name."""
OLD_NAMES = {
    "main": "paper",
    "ablation": "paper-ablation",
    "tiny": "trial",
    "nano": "gpu-hour",
    "pico": "cpu-evening",
    "small": "gpu-minutes",
}
"""Former names of presets, still accepted."""


def find_preset(name: str) -> Preset:
    """Return the preset called `name`, which may be an old name; raise `UserError` if there is none."""
    name = OLD_NAMES.get(name, name)
    if name not in PRESETS:
        raise UserError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
