"""The video denoiser: a DiT over a set of tokens, each with its own noise level, pyramid level and action.

MilliVid, full-resolution rollout and all variants in latent space use it. There is no role embedding: only
the noise level distinguishes context from targets. All tokens attend to each other, except in a causal
denoiser, whose context attends only to context, so that its keys and values are computed once per window.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from models.networks.layers import (
    NUM_TIME_FEATURES,
    AdaLNZeroBlock,
    KeysValues,
    Modulation,
    Rows,
    TransformerSize,
    modulate,
    time_features,
    video_position_features,
    zero_linear,
)
from models.networks.odometry import NUM_POSE_FEATURES, pose_features
from models.networks.tokens import FRAME

NUM_ACTIONS = 3
NO_ACTION = NUM_ACTIONS
"""Action id for tokens whose action is hidden; its embedding is zero."""

KVCache = list[KeysValues]
"""Keys and values of the context in every block."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """The distinct (time, level, action) rows of a batch of tokens, and each token's row."""

    time: Float[Tensor, " R"]
    level: Int64[Tensor, " R"]
    action: Int64[Tensor, " R"]
    row: Rows
    """An index per token or, after `to_one_hot`, a one-hot vector over the rows of its sample."""

    def to_one_hot(self) -> "Condition":
        """Select rows by a matrix product with one-hot vectors: exact, and its backward is fast on a GPU.

        Every sample must have the same number of rows, stored sample after sample.
        """
        batch = len(self.row)
        rows_per_sample = len(self.time) // batch
        first = rows_per_sample * torch.arange(batch, device=self.row.device)[:, None]
        one_hot = functional.one_hot(self.row - first, rows_per_sample)
        return replace(self, row=one_hot.to(self.time.dtype))

    @classmethod
    def per_group(
        cls,
        time: Float[Tensor, " groups"],
        group: Int64[Tensor, "#B n"],
        level: Int64[Tensor, "#B n"],
        action: Int64[Tensor, "#B n"],
        num_levels: int,
    ) -> "Condition":
        """Make a row for every (group, level, action), used or not; the tokens of a group share a time."""
        per_level = NUM_ACTIONS + 1
        per_time = num_levels * per_level
        entries = torch.arange(len(time) * per_time, device=time.device)
        return cls(
            time=time[entries // per_time],
            level=entries % per_time // per_level,
            action=entries % per_level,
            row=group * per_time + level * per_level + action,
        )


class TimeEmbedding(nn.Module):
    """A two-layer MLP over sinusoidal features of the noise level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(NUM_TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, time: Float[Tensor, " R"]) -> Float[Tensor, "R D"]:
        """Embed noise levels."""
        out: Tensor = self.mlp(time_features(time))
        return out


class DiT(nn.Module):
    """A stack of AdaLN-Zero blocks, with the embeddings of time, level and action."""

    def __init__(self, size: TransformerSize, num_levels: int) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.blocks = nn.ModuleList(AdaLNZeroBlock(size.width, size.heads) for _ in range(size.depth))
        self.time_embedding = TimeEmbedding(size.width)
        self.level_embedding = nn.Embedding(num_levels, size.width)
        self.action_embedding = nn.Embedding(NUM_ACTIONS, size.width)

    def embed(self, condition: Condition) -> Float[Tensor, "R D"]:
        """Return each row's condition vector; level and action enter the network only through it."""
        actions = functional.pad(self.action_embedding.weight, (0, 0, 0, 1))  # a zero row for NO_ACTION
        rows: Tensor = self.time_embedding(condition.time) + self.level_embedding(condition.level)
        return rows + functional.embedding(condition.action, actions)

    def forward(
        self,
        x: Float[Tensor, "B n D"],
        rows: Float[Tensor, "R D"],
        row: Rows,
        num_outputs: int | None = None,
        mask: Bool[Tensor, "B n n"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B m D"]:
        """Run all blocks; the last block updates only the last `num_outputs` tokens (default: all)."""
        for index, block in enumerate(self.blocks):
            outputs = num_outputs if index == len(self.blocks) - 1 else None
            x = block(x, rows, row, outputs, mask, None if cache is None else cache[index])
        return x

    def prefill(self, x: Float[Tensor, "B n D"], rows: Float[Tensor, "R D"], row: Rows) -> KVCache:
        """Run the context through all blocks and return the keys and values that targets attend to."""
        cache: KVCache = []
        for block in self.blocks:
            assert isinstance(block, AdaLNZeroBlock)
            cache.append(block.prefill(x, rows, row))
            if len(cache) < len(self.blocks):  # nothing reads the last block's update of the context
                x = block(x, rows, row)
        return cache


class FinalLayer(nn.Module):
    """The final modulated norm and the projection to latent channels; outputs zeros at initialisation."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, channels)
        self.modulation = Modulation(width, 2)
        zero_linear(self.linear)

    def forward(
        self, x: Float[Tensor, "B n D"], rows: Float[Tensor, "R D"], row: Rows
    ) -> Float[Tensor, "B n C"]:
        """Normalise, modulate and project every token."""
        shift, scale = self.modulation(rows, row)
        out: Tensor = self.linear(modulate(x, shift, scale))
        return out


class TokenDenoiser(nn.Module):
    """Predicts v for noisy latent tokens at arbitrary addresses.

    A causal denoiser has the same parameters but is trained with `causal_mask` and sampled with `prefill`. A
    denoiser with odometry also receives each frame's pose, as estimated from the actions.
    """

    def __init__(
        self,
        size: TransformerSize,
        *,
        channels: int,
        num_levels: int,
        causal: bool = False,
        odometry: bool = False,
    ) -> None:
        super().__init__()
        self.causal = causal
        self.trunk = DiT(size, num_levels)
        self.patchify = nn.Linear(channels, size.width)
        self.head = FinalLayer(size.width, channels)
        self.odometry = nn.Linear(NUM_POSE_FEATURES, size.width) if odometry else None

    def positions(
        self, address: Int64[Tensor, "*#B n 4"], poses: Float[Tensor, "B n 3"] | None = None
    ) -> Float[Tensor, "*B n D"]:
        """Return features of the addresses and, with odometry, of the poses (None: all zero).

        Frames are counted from the first frame of the window, so a window looks the same anywhere in a video.
        """
        address = address.clone()
        address[..., FRAME] -= address[..., FRAME].amin(dim=-1, keepdim=True)
        positions = video_position_features(address, self.patchify.out_features)
        if self.odometry is None:
            return positions
        if poses is None:
            poses = positions.new_zeros(*address.shape[:-1], 3)
        with_poses: Tensor = positions + self.odometry(pose_features(poses))
        return with_poses

    def forward(
        self,
        x: Float[Tensor, "B n C"],
        positions: Float[Tensor, "*#B n D"],
        condition: Condition,
        num_outputs: int | None = None,
        mask: Bool[Tensor, "B n n"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B m C"]:
        """Predict v for the last `num_outputs` tokens (default: all).

        Tokens attend to each other, as `mask` allows, and to the context in `cache`.
        """
        rows = self.trunk.embed(condition)
        out = self.trunk(self.patchify(x) + positions, rows, condition.row, num_outputs, mask, cache)
        v: Tensor = self.head(out, rows, condition.row[:, -out.shape[1] :])
        return v

    def prefill(
        self, x: Float[Tensor, "B n C"], positions: Float[Tensor, "*#B n D"], condition: Condition
    ) -> KVCache:
        """Return the keys and values of the context `x`, reusable in any number of `forward` calls."""
        return self.trunk.prefill(self.patchify(x) + positions, self.trunk.embed(condition), condition.row)


def causal_mask(target: Bool[Tensor, "B n"]) -> Bool[Tensor, "B n n"]:
    """Return a causal denoiser's attention mask (query, key): targets see all, context sees only context."""
    return target[:, :, None] | ~target[:, None, :]


def mask_actions(action: Int64[Tensor, "B n"], conditioned: Bool[Tensor, " B"]) -> Int64[Tensor, "B n"]:
    """Hide the actions of samples that are not conditioned."""
    return torch.where(conditioned[:, None], action, NO_ACTION)
