"""The video denoiser: a transformer over a set of tokens, each with its own noise level, level and action.

It serves MilliVid, full-resolution rollout and every in-latent-space variant. There is no role embedding:
context and targets are told apart by their noise level alone. All tokens attend to all, except in a causal
denoiser, whose context attends to context only: so it can be read once, and kept while the targets are
denoised.
"""

from collections.abc import Sequence
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
"""The action id of tokens that must not know their action (its embedding is zero)."""

KVCache = list[KeysValues]
"""Of every block, what its attention reads of the context."""


@dataclass(frozen=True, kw_only=True)
class Condition:
    """The distinct (time, level, action) rows of a batch of tokens, and the row of every token."""

    time: Float[Tensor, " R"]
    level: Int64[Tensor, " R"]
    action: Int64[Tensor, " R"]
    row: Rows
    """An index for every token; or, from `by_product`, a one-hot vector over the rows of its sample."""

    def by_product(self) -> "Condition":
        """The same with rows that a matrix product selects, which is exact and, backwards, fast on a GPU.

        Every sample must have equally many rows, and they must lie one sample after the other.
        """
        batch = len(self.row)
        each = len(self.time) // batch
        first = each * torch.arange(batch, device=self.row.device)[:, None]
        chosen = functional.one_hot(self.row - first, each).to(self.time.dtype)
        return replace(self, row=chosen)

    @classmethod
    def per_group(
        cls,
        time: Float[Tensor, " groups"],
        group: Int64[Tensor, "#B n"],
        level: Int64[Tensor, "#B n"],
        action: Int64[Tensor, "#B n"],
        num_levels: int,
    ) -> "Condition":
        """A row for each (group, level, action), used or not; the tokens of a group share their time."""
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
    """A two-layer MLP on the time features."""

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
        """The condition vector of every row."""
        actions = functional.pad(self.action_embedding.weight, (0, 0, 0, 1))  # the last row is NO_ACTION
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
        """Run all blocks; the last one works for the last `num_outputs` tokens only (default: for all)."""
        caches: Sequence[KeysValues | None] = cache or [None] * len(self.blocks)
        *blocks, last = zip(self.blocks, caches, strict=True)
        for block, seen in blocks:
            x = block(x, rows, row, None, mask, seen)
        block, seen = last
        out: Tensor = block(x, rows, row, num_outputs, mask, seen)
        return out

    def prefill(self, x: Float[Tensor, "B n D"], rows: Float[Tensor, "R D"], row: Rows) -> KVCache:
        """Run all blocks but the last one's update and keep what later tokens may attend to."""
        cache: KVCache = []
        for block in self.blocks:
            assert isinstance(block, AdaLNZeroBlock)
            cache.append(block.prefill(x, rows, row))
            if len(cache) < len(self.blocks):
                x = block(x, rows, row)
        return cache


class FinalLayer(nn.Module):
    """The final modulated norm and the projection to latent channels; gives zeros at first."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, channels)
        self.modulation = Modulation(width, 2)
        zero_linear(self.linear)

    def forward(
        self, x: Float[Tensor, "B n D"], rows: Float[Tensor, "R D"], row: Rows
    ) -> Float[Tensor, "B n C"]:
        """Project every token."""
        shift, scale = self.modulation(rows, row)
        out: Tensor = self.linear(modulate(x, shift, scale))
        return out


class TokenDenoiser(nn.Module):
    """Predicts v for noisy latent tokens at any addresses.

    A causal one has the same weights; it is trained with the mask `visible_from` and sampled with `prefill`.
    One with odometry is told where every frame was seen from, as far as the actions tell.
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
        """Features of the addresses of windows, and of their poses (all the same where None are given).

        Frames count from the first one of the window, so that a window looks the same anywhere in a video.
        """
        address = address.clone()
        address[..., FRAME] -= address[..., FRAME].amin(dim=-1, keepdim=True)
        positions = video_position_features(address, self.patchify.out_features)
        if self.odometry is None:
            return positions
        if poses is None:
            poses = positions.new_zeros(*address.shape[:-1], 3)
        placed: Tensor = positions + self.odometry(pose_features(poses))
        return placed

    def forward(
        self,
        x: Float[Tensor, "B n C"],
        positions: Float[Tensor, "*#B n D"],
        condition: Condition,
        num_outputs: int | None = None,
        mask: Bool[Tensor, "B n n"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B m C"]:
        """Predict v of the last `num_outputs` tokens (default: of all).

        They see each other, as far as `mask` allows, and the context in `cache`.
        """
        rows = self.trunk.embed(condition)
        out = self.trunk(self.patchify(x) + positions, rows, condition.row, num_outputs, mask, cache)
        v: Tensor = self.head(out, rows, condition.row[:, -out.shape[1] :])
        return v

    def prefill(
        self, x: Float[Tensor, "B n C"], positions: Float[Tensor, "*#B n D"], condition: Condition
    ) -> KVCache:
        """What targets may read of the context `x`, for any number of `forward` calls."""
        return self.trunk.prefill(self.patchify(x) + positions, self.trunk.embed(condition), condition.row)


def visible_from(target: Bool[Tensor, "B n"]) -> Bool[Tensor, "B n n"]:
    """Which token (last axis) each token sees in a causal denoiser: targets all, context only context."""
    return target[:, :, None] | ~target[:, None, :]


def mask_actions(action: Int64[Tensor, "B n"], conditioned: Bool[Tensor, " B"]) -> Int64[Tensor, "B n"]:
    """Hide the actions of the samples that are not conditioned."""
    return torch.where(conditioned[:, None], action, NO_ACTION)
