"""What defines a model but its weights; a checkpoint's header holds it."""

from dataclasses import dataclass
from typing import ClassVar

from models.networks.autoencoder import AutoencoderConfig
from models.networks.denoiser import TokenDenoiser
from models.networks.framepack import FramePackDenoiser, FramePackWindow
from models.networks.layers import SIZES
from models.networks.tokens import ALL_LATENTS, Grid, LatentSpace
from models.plans.builders import PlanConfig
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

    is_causal: ClassVar[bool] = False

    def network(self, grid: Grid) -> TokenDenoiser:
        """The network for an autoencoder's grid, freshly initialised."""
        return TokenDenoiser(
            SIZES[self.size],
            channels=grid.channels,
            num_levels=self.levels,
            causal=self.is_causal,
            odometry=self.odometry,
        )

    def sampler(self, network: VideoNetwork, grid: Grid, sampling: Sampling) -> Sampler:
        """What rolls it out."""
        assert isinstance(network, TokenDenoiser)
        grid = grid.coarser(self.space.finest)
        return TokenSampler(network, self.plan.build(grid), grid, sampling)


@dataclass(frozen=True, kw_only=True)
class CausalModelConfig(TokenModelConfig):
    """A token denoiser whose context attends to context only, so that it is read once for all its calls."""

    is_causal: ClassVar[bool] = True


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
class ModelConfig:
    """Everything that defines a model but its weights."""

    autoencoder: AutoencoderConfig
    video: VideoConfig
    sampling: Sampling


def describe_architecture(network: type[VideoConfig], plan: str) -> str:
    """The architecture of a video model, whatever its size."""
    if network is FramePackConfig:
        return "a FramePack denoiser"
    causal = "causal " if network is CausalModelConfig else ""
    return f"a {causal}token denoiser for {plan} plans"
