"""Configurations of every model: the paper's main and ablation settings, and small ones for a CPU.

A preset is a function of the model's name and of the side of its frames in pixels (256 in the paper).
"""

from collections.abc import Callable
from dataclasses import dataclass

from loopcraft.core.errors import UserError
from models.networks.autoencoder import AutoencoderConfig
from models.networks.denoiser import TokenDenoiser
from models.networks.framepack import FramePackDenoiser, FramePackWindow
from models.networks.layers import SIZES
from models.networks.tokens import ALL_LATENTS, Grid, LatentSpace
from models.plans.builders import PlanConfig, plan_config
from models.sampling.diffusion import Sampling
from models.sampling.frame_sampler import FrameSampler
from models.sampling.token_sampler import Sampler, TokenSampler

VideoNetwork = TokenDenoiser | FramePackDenoiser


@dataclass(frozen=True, kw_only=True)
class TokenModelConfig:
    """A token denoiser and the plan that it was trained for."""

    plan: PlanConfig
    size: str = "B"
    levels: int = 4
    """Rows of the level table; a plan may use fewer."""
    odometry: bool = False
    """Whether tokens are told where their frame was seen from, by dead reckoning; the paper's are not."""
    space: LatentSpace = ALL_LATENTS
    """Which latents of an autoencoder the model works on."""

    def network(self, grid: Grid) -> TokenDenoiser:
        """The network for an autoencoder's grid, freshly initialised."""
        return TokenDenoiser(
            SIZES[self.size], channels=grid.channels, num_levels=self.levels, odometry=self.odometry
        )

    def sampler(self, network: VideoNetwork, grid: Grid, sampling: Sampling) -> Sampler:
        """What rolls it out."""
        assert isinstance(network, TokenDenoiser)
        grid = grid.coarser(self.space.finest)
        return TokenSampler(network, self.plan.build(grid), grid, sampling)


@dataclass(frozen=True, kw_only=True)
class CausalModelConfig(TokenModelConfig):
    """A token denoiser whose context attends to context only, so that it is read once for all its calls."""

    def network(self, grid: Grid) -> TokenDenoiser:
        """The network, freshly initialised."""
        return TokenDenoiser(
            SIZES[self.size],
            channels=grid.channels,
            num_levels=self.levels,
            causal=True,
            odometry=self.odometry,
        )


@dataclass(frozen=True, kw_only=True)
class FramePackConfig:
    """A FramePack denoiser."""

    window: FramePackWindow
    size: str = "B"
    bottleneck: int | None = None
    odometry: bool = False
    """As of `TokenModelConfig`."""
    space: LatentSpace = ALL_LATENTS

    def network(self, grid: Grid) -> FramePackDenoiser:
        """The network for an autoencoder's grid, freshly initialised."""
        grid = grid.coarser(self.space.finest)
        return FramePackDenoiser(
            SIZES[self.size], self.window, grid, bottleneck=self.bottleneck, odometry=self.odometry
        )

    def sampler(self, network: VideoNetwork, grid: Grid, sampling: Sampling) -> Sampler:
        """What rolls it out."""
        assert isinstance(network, FramePackDenoiser)
        return FrameSampler(network, sampling)


VideoConfig = TokenModelConfig | FramePackConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything that defines a model but its weights."""

    autoencoder: AutoencoderConfig
    video: VideoConfig
    sampling: Sampling


MODELS = (
    "millivid",
    "millivid-cascaded",
    "millivid-causal",
    "framepack",
    "framepack-hierarchical",
    "framepack-cascaded",
    "framepack-mirrored",
    "full-resolution",
    "rollout-upscale",
    "upscale",
)
"""The names of all models."""


def require_model(name: str) -> None:
    """Raise `UserError` for a name that no model has."""
    if name not in MODELS:
        raise UserError(f"there is no model {name!r}; choose one of {', '.join(MODELS)}")


def main(name: str, frame_size: int = 256) -> Preset:
    """The settings of the paper's main table: 3840 tokens a step (full-resolution: 3584)."""
    videos: dict[str, VideoConfig] = {
        "millivid": TokenModelConfig(
            plan=plan_config("millivid", windows=[3, 12, 48, 192], extra_budget=768)
        ),
        "framepack": FramePackConfig(
            window=FramePackWindow(context_frames=(3, 12, 48, 192), denoised_frames=3)
        ),
        "full-resolution": TokenModelConfig(plan=plan_config("full-resolution", num_frames=14)),
    }
    if name not in videos:
        raise UserError(f"the paper has no main setting of {name}; choose the preset ablation or tiny")
    return Preset(
        autoencoder=AutoencoderConfig(frame_size=frame_size), video=videos[name], sampling=Sampling()
    )


def ablation(name: str, frame_size: int = 256) -> Preset:
    """The settings of the paper's ablations: about 1280 tokens a step."""
    require_model(name)
    plan = plan_config("millivid", windows=[1, 4, 16, 64], extra_budget=256)
    millivid = TokenModelConfig(plan=plan)
    in_latent_space = TokenModelConfig(plan=plan_config("framepack", context=[1, 4, 16, 64], denoised=1))
    mirrored = plan_config("framepack-mirrored", context=[1, 2, 8, 32], denoised=[1, 2, 8, 32])
    videos: dict[str, VideoConfig] = {
        "millivid": millivid,
        "millivid-cascaded": millivid,
        "millivid-causal": CausalModelConfig(plan=plan),
        "framepack": FramePackConfig(
            window=FramePackWindow(context_frames=(1, 4, 16, 64), denoised_frames=1)
        ),
        "framepack-hierarchical": in_latent_space,
        "framepack-cascaded": in_latent_space,
        "framepack-mirrored": TokenModelConfig(plan=mirrored),
        "full-resolution": TokenModelConfig(plan=plan_config("full-resolution", num_frames=4)),
        "rollout-upscale": TokenModelConfig(plan=plan_config("rollout-upscale", base_frames=4, num_levels=4)),
        "upscale": TokenModelConfig(plan=plan_config("upscale", base_frames=4, num_levels=4)),
    }
    autoencoder = AutoencoderConfig(frame_size=frame_size, cascaded=name.endswith("-cascaded"))
    return Preset(autoencoder=autoencoder, video=videos[name], sampling=Sampling())


def tiny(name: str, frame_size: int = 256) -> Preset:
    """Settings that run on a CPU in seconds: 8 x 8 tokens a frame, two blocks, four sampling steps."""
    require_model(name)
    millivid = plan_config("millivid", windows=[2, 8, 32], extra_budget=64)
    in_latent_space = plan_config("framepack", context=[2, 4, 16], denoised=2)
    mirrored = plan_config("framepack-mirrored", context=[2, 4, 8], denoised=[2, 4, 8])
    plans = {
        "millivid": millivid,
        "millivid-cascaded": millivid,
        "millivid-causal": millivid,
        "framepack-hierarchical": in_latent_space,
        "framepack-cascaded": in_latent_space,
        "framepack-mirrored": mirrored,
        "full-resolution": plan_config("full-resolution", num_frames=8),
        "rollout-upscale": plan_config("rollout-upscale", base_frames=4, num_levels=3),
        "upscale": plan_config("upscale", base_frames=4, num_levels=3),
    }
    autoencoder = AutoencoderConfig(
        frame_size=frame_size,
        patch=frame_size // 8,
        levels=3,
        channels=8,
        size="nano",
        cascaded=name.endswith("-cascaded"),
    )
    video: VideoConfig
    if name == "framepack":
        window = FramePackWindow(context_frames=(2, 4, 16), denoised_frames=2)
        video = FramePackConfig(window=window, size="nano")
    else:
        kind = CausalModelConfig if name.endswith("-causal") else TokenModelConfig
        video = kind(plan=plans[name], size="nano", levels=3)
    return Preset(autoencoder=autoencoder, video=video, sampling=Sampling(steps=4, solver="dpm++2m"))


def nano(name: str, frame_size: int = 64) -> Preset:
    """Small enough to train in one sitting: 64 / 16 / 4 / 1 tokens a frame, at most 288 tokens a step.

    53 frames of context, so that the mini protocol, which gives 64, can be played. Full-resolution rollout
    has 256 tokens, the nearest whole frame below.
    """
    cascaded = name.endswith("-cascaded")
    autoencoder = AutoencoderConfig(
        frame_size=frame_size, patch=8, channels=16, size="micro", cascaded=cascaded
    )
    millivid = plan_config("millivid", windows=[1, 4, 16, 64], extra_budget=32)
    videos: dict[str, VideoConfig] = {
        "millivid": TokenModelConfig(plan=millivid, size="micro"),
        "millivid-cascaded": TokenModelConfig(plan=millivid, size="micro"),
        "millivid-causal": CausalModelConfig(plan=millivid, size="micro"),
        "framepack": FramePackConfig(
            window=FramePackWindow(context_frames=(1, 4, 16, 32), denoised_frames=1), size="micro"
        ),
        "full-resolution": TokenModelConfig(plan=plan_config("full-resolution", num_frames=4), size="micro"),
    }
    if name not in videos:
        raise UserError(f"there is no nano setting of {name}; choose {', '.join(videos)}, or the preset tiny")
    return Preset(autoencoder=autoencoder, video=videos[name], sampling=Sampling(steps=10, solver="dpm++2m"))


def pico(name: str, frame_size: int = 64) -> Preset:
    """Small enough to train on a processor: 16 / 4 / 1 tokens a frame, 352 tokens a step.

    Made for the mini protocol, which gives 64 frames: MilliVid reads 56 of them and outlines all 192 others
    in one step. Its plan is nested, and all models are told where they stand by dead reckoning.
    """
    autoencoder = AutoencoderConfig(
        frame_size=frame_size,
        patch=frame_size // 4,
        levels=3,
        channels=64,
        size="micro",
        cascaded=name.endswith("-cascaded"),
    )

    def token_model(plan: PlanConfig, kind: type[TokenModelConfig] = TokenModelConfig) -> TokenModelConfig:
        return kind(plan=plan, size="pico", levels=3, odometry=True)

    millivid = plan_config("millivid", windows=[2, 16, 192], extra_budget=38, nested=True)
    videos: dict[str, VideoConfig] = {
        "millivid": token_model(millivid),
        "millivid-cascaded": token_model(millivid),
        "millivid-causal": token_model(millivid, CausalModelConfig),
        "framepack": FramePackConfig(
            window=FramePackWindow(context_frames=(8, 24, 32), denoised_frames=6), size="pico", odometry=True
        ),
        "full-resolution": token_model(plan_config("full-resolution", num_frames=22)),
    }
    if name not in videos:
        raise UserError(f"there is no pico setting of {name}; choose {', '.join(videos)}, or the preset tiny")
    return Preset(autoencoder=autoencoder, video=videos[name], sampling=Sampling(steps=10, solver="dpm++2m"))


def small(name: str, frame_size: int = 64) -> Preset:
    """Small enough to sample on a processor, made to be trained in minutes of a GPU: 1280 tokens a step.

    Made for the mini protocol, which gives 64 frames. The autoencoder has 64 / 16 / 4 tokens a frame; video
    models work on the 16 and the 4, so that MilliVid outlines all 192 frames in one step, from 4 tokens of
    each of the 64 that it was given, and keeps that outline before it in all 12 steps that follow.
    """
    autoencoder = AutoencoderConfig(
        frame_size=frame_size,
        patch=frame_size // 8,
        levels=3,
        channels=64,
        size="small-autoencoder",
        cascaded=name.endswith("-cascaded"),
    )
    space = LatentSpace(finest=1, scale=2.0)

    def token_model(plan: PlanConfig, kind: type[TokenModelConfig] = TokenModelConfig) -> TokenModelConfig:
        return kind(plan=plan, size="small", levels=2, odometry=True, space=space)

    millivid = plan_config("millivid", windows=[16, 192], extra_budget=192, nested=True)
    videos: dict[str, VideoConfig] = {
        "millivid": token_model(millivid),
        "millivid-cascaded": token_model(millivid),
        "millivid-causal": token_model(millivid, CausalModelConfig),
        "framepack": FramePackConfig(
            window=FramePackWindow(context_frames=(48, 16), denoised_frames=28),
            size="small",
            odometry=True,
            space=space,
        ),
        "full-resolution": token_model(plan_config("full-resolution", num_frames=80)),
    }
    if name not in videos:
        raise UserError(
            f"there is no small setting of {name}; choose {', '.join(videos)}, or the preset tiny"
        )
    sampling = Sampling(steps=8, solver="dpm++2m", bound=space.scale)
    return Preset(autoencoder=autoencoder, video=videos[name], sampling=sampling)


PRESETS: dict[str, Callable[[str, int], Preset]] = {
    "main": main,
    "ablation": ablation,
    "tiny": tiny,
    "nano": nano,
    "pico": pico,
    "small": small,
}
