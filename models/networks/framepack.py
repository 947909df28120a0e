"""The FramePack denoiser: reads dense latents and cuts older frames into larger patches to fit the budget.

From old to new, a window has context frames at patch levels 3, 2, 1 and 0 and then the frames to denoise at
level 0. Level l cuts the 16 x 16 latent grid into patches of 2^l x 2^l cells and has its own linear layer.
"""

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from models.networks.denoiser import Condition, DiT, FinalLayer
from models.networks.layers import TransformerSize, video_position_features
from models.networks.odometry import NUM_POSE_FEATURES, dead_reckoning, pose_features, relative_poses
from models.networks.tokens import FRAME, LEVEL, Grid


@dataclass(frozen=True, kw_only=True)
class FramePackWindow:
    """Numbers of context frames at each patch level, finest first, and of frames to denoise."""

    context_frames: tuple[int, ...]
    denoised_frames: int

    @property
    def num_context(self) -> int:
        """Number of context frames of all levels."""
        return sum(self.context_frames)

    @property
    def num_frames(self) -> int:
        """Number of frames of the whole window."""
        return self.num_context + self.denoised_frames

    def runs(self) -> list[tuple[int, int, int]]:
        """Return the runs of frames with equal patch level, old to new, as (level, first frame, frames)."""
        lengths = [*reversed(self.context_frames), self.denoised_frames]
        levels = [*reversed(range(len(self.context_frames))), 0]
        starts = [0, *itertools.accumulate(lengths)]
        return [run for run in zip(levels, starts, lengths, strict=False) if run[2]]

    def addresses(self, grid: Grid) -> Int64[Tensor, "tokens 4"]:
        """Return the addresses of the window's tokens in the network's order."""
        return torch.cat(
            [grid.addresses(torch.arange(first, first + count), level) for level, first, count in self.runs()]
        )


def patches(latents: Float[Tensor, "B T C side side"], level: int) -> Float[Tensor, "B n patch"]:
    """Cut every frame into patches of 2^level x 2^level cells, each flattened as (channel, row, column)."""
    size = 2**level
    batch, frames, channels, side, _ = latents.shape
    cut = latents.view(batch, frames, channels, side // size, size, side // size, size)
    return cut.permute(0, 1, 3, 5, 2, 4, 6).reshape(batch, -1, channels * size * size)


class FramePackDenoiser(nn.Module):
    """Predicts v for the newest frames of a window of dense level-0 latents."""

    def __init__(
        self,
        size: TransformerSize,
        window: FramePackWindow,
        grid: Grid,
        *,
        bottleneck: int | None = None,
        odometry: bool = False,
    ) -> None:
        super().__init__()
        self.window, self.grid = window, grid
        self.trunk = DiT(size, num_levels=len(window.context_frames))
        widths = [grid.channels * 4**level for level in range(len(window.context_frames))]
        self.patchify = nn.ModuleList(
            nn.Linear(width, size.width)
            if bottleneck is None
            else nn.Sequential(nn.Linear(width, bottleneck), nn.Linear(bottleneck, size.width))
            for width in widths
        )
        self.head = FinalLayer(size.width, grid.channels)
        self.odometry = nn.Linear(NUM_POSE_FEATURES, size.width) if odometry else None
        self.address: Tensor
        self.register_buffer("address", window.addresses(grid), persistent=False)
        self.positions: Tensor
        self.register_buffer("positions", video_position_features(self.address, size.width), persistent=False)

    def tokenize(self, latents: Float[Tensor, "B T C side side"]) -> Float[Tensor, "B n D"]:
        """Patchify every run of frames with the linear layer of its level."""
        return torch.cat(
            [
                self.patchify[level](patches(latents[:, first : first + count], level))
                for level, first, count in self.window.runs()
            ],
            dim=1,
        )

    def condition_by_role(self, time: Float[Tensor, "#B 2"], action: Int64[Tensor, "B T"]) -> Condition:
        """Return the condition of every token: its frame's action, its patch level, and its role's time.

        `time` holds each sample's noise levels of context frames and of frames to denoise.
        """
        frame, level = self.address[:, FRAME], self.address[:, LEVEL]
        first_group = 2 * torch.arange(len(time), device=time.device)[:, None]
        return Condition.per_group(
            time.flatten(),
            first_group + (frame >= self.window.num_context),
            level.expand(len(time), -1),
            action[:, frame],
            self.trunk.num_levels,
        )

    def pose_embeddings(self, action: Int64[Tensor, "B T"]) -> Float[Tensor, "B n D"]:
        """Embed the pose of every token's frame relative to the first denoised frame."""
        assert self.odometry is not None
        poses, first = dead_reckoning(action), self.window.num_context
        features = pose_features(relative_poses(poses[:, first : first + 1], poses))
        embeddings: Tensor = self.odometry(features)[:, self.address[:, FRAME]]
        return embeddings

    def forward(
        self,
        latents: Float[Tensor, "B T C side side"],
        condition: Condition,
        action: Int64[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B denoised C side side"]:
        """Predict v for the frames to denoise; a network with odometry needs the window's actions."""
        x = self.tokenize(latents) + self.positions
        if self.odometry is not None:
            assert action is not None, "a network with odometry needs the actions of its window"
            x = x + self.pose_embeddings(action)
        rows = self.trunk.embed(condition)
        num_outputs = self.window.denoised_frames * self.grid.tokens_at(0)
        x = self.trunk(x, rows, condition.row, num_outputs)
        v: Tensor = self.head(x, rows, condition.row[:, -num_outputs:])
        return v.view(len(v), self.window.denoised_frames, self.grid.side, self.grid.side, -1).movedim(-1, 2)
