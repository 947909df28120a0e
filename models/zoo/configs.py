"""Model configurations: everything that defines a model except its weights; stored in checkpoint headers."""

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
    """Configuration of a token denoiser and the plan that it was trained for."""

    plan: PlanConfig
    size: str = "B"
    levels: int = 4
    """Rows of the level embedding table; a plan may use fewer."""
    odometry: bool = False
    """Whether each token receives the pose of its frame by dead reckoning (not in the paper)."""
    space: LatentSpace = ALL_LATENTS
    """The latents of the autoencoder that the model works on."""

    is_causal: ClassVar[bool] = False

    def network(self, grid: Grid) -> TokenDenoiser:
        """Return a freshly initialised network for an autoencoder's grid."""
        return TokenDenoiser(
            SIZES[self.size],
            channels=grid.channels,
            num_levels=self.levels,
            causal=self.is_causal,
            odometry=self.odometry,
        )

    def sampler(self, network: VideoNetwork, grid: Grid, sampling: Sampling) -> Sampler:
        """Return the sampler that rolls out the network."""
        assert isinstance(network, TokenDenoiser)
        grid = grid.coarser(self.space.finest)
        return TokenSampler(network, self.plan.build(grid), grid, sampling)


@dataclass(frozen=True, kw_only=True)
class CausalModelConfig(TokenModelConfig):
    """Configuration of a token denoiser whose context attends only to context, so its keys can be cached."""

    is_causal: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class FramePackConfig:
    """Configuration of a FramePack denoiser."""

    window: FramePackWindow
    size: str = "B"
    bottleneck: int | None = None
    odometry: bool = False
    """As in `TokenModelConfig`."""
    space: LatentSpace = ALL_LATENTS

    def network(self, grid: Grid) -> FramePackDenoiser:
        """Return a freshly initialised network for an autoencoder's grid."""
        grid = grid.coarser(self.space.finest)
        return FramePackDenoiser(
            SIZES[self.size], self.window, grid, bottleneck=self.bottleneck, odometry=self.odometry
        )

    def sampler(self, network: VideoNetwork, grid: Grid, sampling: Sampling) -> Sampler:
        """Return the sampler that rolls out the network."""
        assert isinstance(network, FramePackDenoiser)
        return FrameSampler(network, sampling)


VideoConfig = TokenModelConfig | FramePackConfig


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that defines a model except its weights."""

    autoencoder: AutoencoderConfig
    video: VideoConfig
    sampling: Sampling


def describe_architecture(network: type[VideoConfig], plan: str) -> str:
    """Describe the architecture of a video model, regardless of its size."""
    if network is FramePackConfig:
        return "a FramePack denoiser"
    causal = "causal " if network is CausalModelConfig else ""
    return f"a {causal}token denoiser for {plan} plans"
