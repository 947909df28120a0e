"""Layers that all models share: fixed features, attention, and the plain and the conditioned block.

Shapes: B batch, n tokens, D width, H heads, R condition rows. Each distinct condition is stored once and
every token has the index of its row, because thousands of tokens share a few (time, level, action) triples.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn
from torch.nn import functional

LAYER_NORM_EPS = 1e-6
RMS_NORM_EPS = 2.0**-23
"""The float32 machine epsilon, which PyTorch uses for `eps=None`, as in training of the published weights."""

KeysValues = tuple[Float[Tensor, "B H _ d"], Float[Tensor, "B H _ d"]]
"""Keys and values of some tokens in one attention layer."""

Rows = Int64[Tensor, "B #n"] | Float[Tensor, "B n k"]
"""Each token's condition row: an index among all R rows, or a one-hot vector over its sample's k rows."""

MAX_PERIOD = 10_000
NUM_TIME_FEATURES = 256
ROUNDED_DOWN = 4
"""Index of the one time frequency that the reference code's float32 exponential rounds down: it lies 0.49 ulp
below the nearest float, CPUs differ in the last bit there, and that bit moves the angle at t = 1 by 6e-5."""


@dataclass(frozen=True, kw_only=True)
class TransformerSize:
    """Depth, width and heads of a transformer."""

    depth: int
    width: int
    heads: int


SIZES = {
    "nano": TransformerSize(depth=2, width=96, heads=3),
    "micro": TransformerSize(depth=3, width=144, heads=3),
    "pico": TransformerSize(depth=4, width=160, heads=5),
    "small": TransformerSize(depth=6, width=144, heads=3),
    "small-autoencoder": TransformerSize(depth=4, width=144, heads=3),
    "tiny": TransformerSize(depth=6, width=192, heads=6),
    "S": TransformerSize(depth=12, width=384, heads=6),
    "B": TransformerSize(depth=12, width=768, heads=12),
    "L": TransformerSize(depth=24, width=1024, heads=16),
    "XL": TransformerSize(depth=28, width=1152, heads=16),
}
"""The paper's sizes S, B, L and XL (all its published models are B), and smaller ones."""


def sinusoid_pairs(
    values: Shaped[Tensor, "*shape axes"], num_frequencies: int
) -> Float[Tensor, "*shape features"]:
    """Return sines then cosines for each axis in turn, with wavelengths from 2 pi to exactly 10,000 x 2 pi.

    The order of operations matters: rounding the frequencies differently moves the features of frame 400 by
    3e-5.
    """
    steps = torch.arange(num_frequencies, dtype=torch.float32, device=values.device)
    angles = values[..., None] * (1 / MAX_PERIOD ** (steps / (num_frequencies - 1)))
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def video_position_features(
    address: Int64[Tensor, "*shape 4"], width: int
) -> Float[Tensor, "*shape {width}"]:
    """Return features of (frame, row, column), zero-padded to `width`; they do not depend on the level."""
    frame, _, row, column = address.unbind(-1)  # indexing with a list would synchronise with the GPU
    features = sinusoid_pairs(torch.stack([frame, row, column], -1), width // 6)
    return functional.pad(features, (0, width - features.shape[-1]))


def image_position_features(
    address: Int64[Tensor, "*shape 4"], width: int
) -> Float[Tensor, "*shape {width}"]:
    """Return features of (column, row): column first, as in the published autoencoder."""
    _, _, row, column = address.unbind(-1)
    return sinusoid_pairs(torch.stack([column, row], -1), width // 4)


def time_features(time: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape 256"]:
    """Return cosines then sines of the noise level (0 to 1) at 128 frequencies, identical on every CPU."""
    fractions = torch.linspace(0, 1, NUM_TIME_FEATURES // 2, device=time.device)
    frequencies = torch.exp((-math.log(MAX_PERIOD) * fractions).double()).float()
    frequencies[ROUNDED_DOWN] -= 2.0**-24
    angles = (1000 * time.float())[..., None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def layer_norm(x: Float[Tensor, "*shape D"]) -> Float[Tensor, "*shape D"]:
    """Apply layer norm without learned scale and offset."""
    return functional.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS)


class HeadNorm(nn.Module):
    """RMS norm over one head's channels with a learned gain, always computed in float32."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(head_width))

    def forward(self, x: Float[Tensor, "*shape d"]) -> Float[Tensor, "*shape d"]:
        """Normalise the last axis."""
        normalised: Tensor = functional.rms_norm(x.float(), x.shape[-1:], self.weight, RMS_NORM_EPS)
        return normalised


class Attention(nn.Module):
    """Multi-head attention with normalised queries and keys (QK norm) and without rotary embedding."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = HeadNorm(width // heads)
        self.k_norm = HeadNorm(width // heads)
        self.proj = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "B n D"],
        num_outputs: int | None = None,
        mask: Bool[Tensor, "B m n"] | None = None,
        cache: KeysValues | None = None,
    ) -> Float[Tensor, "B m D"]:
        """Attend from the last `num_outputs` tokens (default: all) to all tokens and those in `cache`.

        With a `mask`, each query attends only to the keys for which it is true.
        """
        if num_outputs is None:
            q, k, v = (self._split_heads(part) for part in self.qkv(x).chunk(3, dim=-1))
            k = self.k_norm(k).to(v.dtype)
        else:
            weight, bias, width = self.qkv.weight, self.qkv.bias, x.shape[-1]
            q = self._split_heads(functional.linear(x[:, -num_outputs:], weight[:width], bias[:width]))
            k, v = self.keys_values(x)
        q = self.q_norm(q).to(v.dtype)
        if cache is not None:
            k, v = (torch.cat(parts, dim=2) for parts in zip(cache, (k, v), strict=True))
        visible = None if mask is None else mask[:, None]
        attended = functional.scaled_dot_product_attention(q, k, v, visible)
        out: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return out

    def keys_values(self, x: Float[Tensor, "B n D"]) -> KeysValues:
        """Return the keys and values of these tokens."""
        weight, bias, width = self.qkv.weight, self.qkv.bias, x.shape[-1]
        kv = functional.linear(x, weight[width:], bias[width:])
        k, v = (self._split_heads(part) for part in kv.chunk(2, dim=-1))
        return self.k_norm(k).to(v.dtype), v

    def _split_heads(self, x: Float[Tensor, "B n D"]) -> Float[Tensor, "B H n d"]:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Mlp(nn.Module):
    """A two-layer MLP with a hidden width of 4 D and the tanh approximation of GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "*shape D"]) -> Float[Tensor, "*shape D"]:
        """Apply both layers to every token."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))
        return out


class TransformerBlock(nn.Module):
    """A plain pre-norm transformer block, used in the autoencoder's encoder."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width)
        self.apply(xavier_linear)

    def forward(self, x: Float[Tensor, "B n D"]) -> Float[Tensor, "B n D"]:
        """Apply residual attention, then the residual MLP."""
        x = x + self.attn(layer_norm(x))
        out: Tensor = x + self.mlp(layer_norm(x))
        return out


class Modulation(nn.Module):
    """The adaLN layer: maps condition rows to `parts` shifts, scales or gates per token, zero-initialised."""

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(width, parts * width)
        zero_linear(self.linear)

    def forward(self, rows: Float[Tensor, "R D"], row: Rows) -> list[Float[Tensor, "B #n D"]]:
        """Compute the modulation of the R distinct rows, then select each token's row."""
        modulated = self.linear(functional.silu(rows))
        if row.is_floating_point():  # one-hot, see `Condition.to_one_hot`
            selected = row.to(modulated.dtype) @ modulated.view(len(row), -1, modulated.shape[-1])
            return list(selected.chunk(self.parts, dim=-1))
        return [functional.embedding(row, part) for part in modulated.chunk(self.parts, dim=-1)]


def modulate(
    x: Float[Tensor, "B n D"], shift: Float[Tensor, "B #n D"], scale: Float[Tensor, "B #n D"]
) -> Float[Tensor, "B n D"]:
    """Apply adaLN: layer norm, then each token's scale and shift."""
    return torch.addcmul(shift, layer_norm(x), 1 + scale)


class AdaLNZeroBlock(nn.Module):
    """A transformer block with norms and residual gates from each token's condition (adaLN-zero of DiT).

    With m = Linear(silu(c)): x += gate1 attn(adaLN1(x)), then x += gate2 mlp(adaLN2(x)).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width)
        self.apply(xavier_linear)
        self.modulation = Modulation(width, 6)

    def forward(
        self,
        x: Float[Tensor, "B n D"],
        rows: Float[Tensor, "R D"],
        row: Rows,
        num_outputs: int | None = None,
        mask: Bool[Tensor, "B m n"] | None = None,
        cache: KeysValues | None = None,
    ) -> Float[Tensor, "B m D"]:
        """Update and return the last `num_outputs` tokens (default: all); the rest is as in `Attention`."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(rows, row)
        attended = self.attn(modulate(x, shift1, scale1), num_outputs, mask, cache)
        if num_outputs is not None and row.shape[1] > 1:
            gate1, shift2, scale2, gate2 = (m[:, -num_outputs:] for m in (gate1, shift2, scale2, gate2))
        x = torch.addcmul(x[:, -attended.shape[1] :], gate1, attended)
        return torch.addcmul(x, gate2, self.mlp(modulate(x, shift2, scale2)))

    def prefill(self, x: Float[Tensor, "B n D"], rows: Float[Tensor, "R D"], row: Rows) -> KeysValues:
        """Return the keys and values of these tokens for the attention of other tokens."""
        shift, scale, *_ = self.modulation(rows, row)
        return self.attn.keys_values(modulate(x, shift, scale))


def xavier_linear(module: nn.Module) -> None:
    """Initialise a linear layer with a Xavier-uniform weight (fused matrices count as one) and zero bias."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def zero_linear(linear: nn.Linear) -> None:
    """Initialise a linear layer so that it outputs zeros."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
