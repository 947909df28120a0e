"""The pieces that every model is made of: fixed features, attention, and the plain and the conditioned block.

Shapes: B batch, n tokens, D width, R condition rows. A condition is stored once for each distinct value and
every token knows its row, because thousands of tokens share a handful of (time, level, action) triples.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor, nn
from torch.nn import functional

LAYER_NORM_EPS = 1e-6
RMS_NORM_EPS = 2.0**-23
"""The float32 machine epsilon: PyTorch's `eps=None`, with which the published weights were trained."""

KeysValues = tuple[Float[Tensor, "B H _ d"], Float[Tensor, "B H _ d"]]
"""What a layer's attention reads of some tokens."""

Rows = Int64[Tensor, "B #n"] | Float[Tensor, "B n k"]
"""The condition row of every token: its index among all R rows, or a one-hot vector over its sample's k."""

MAX_PERIOD = 10_000
NUM_TIME_FEATURES = 256
ROUNDED_DOWN = 4
"""The one frequency of time (0.49 of a float's distance below the nearest float) that the reference code's
exponential rounds down. Processors differ in the last bit of float32 exponentials, and t = 1 makes it 6e-5.
"""


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
"""The paper's four sizes (all its models are B) and smaller ones."""


def sinusoid_pairs(
    values: Shaped[Tensor, "*shape axes"], num_frequencies: int
) -> Float[Tensor, "*shape features"]:
    """Sines then cosines of each axis in turn, with wavelengths from 2 pi to exactly 10,000 times that.

    The frequencies are rounded to float32 in the order of operations below; another order moves the features
    of frame 400 by 3e-5.
    """
    steps = torch.arange(num_frequencies, dtype=torch.float32, device=values.device)
    angles = values[..., None] * (1 / MAX_PERIOD ** (steps / (num_frequencies - 1)))
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(-2)


def video_position_features(
    address: Int64[Tensor, "*shape 4"], width: int
) -> Float[Tensor, "*shape {width}"]:
    """Features of (frame, row, column), zero-padded to `width`; the level is not part of them."""
    frame, _, row, column = address.unbind(-1)  # a list as an index would make a GPU wait
    features = sinusoid_pairs(torch.stack([frame, row, column], -1), width // 6)
    return functional.pad(features, (0, width - features.shape[-1]))


def image_position_features(
    address: Int64[Tensor, "*shape 4"], width: int
) -> Float[Tensor, "*shape {width}"]:
    """Features of (column, row): column first, as the autoencoder was trained."""
    _, _, row, column = address.unbind(-1)
    return sinusoid_pairs(torch.stack([column, row], -1), width // 4)


def time_features(time: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape 256"]:
    """Cosines, then sines, of the noise level (0 to 1) at 128 frequencies, the same on every processor."""
    fractions = torch.linspace(0, 1, NUM_TIME_FEATURES // 2, device=time.device)
    frequencies = torch.exp((-math.log(MAX_PERIOD) * fractions).double()).float()
    frequencies[ROUNDED_DOWN] -= 2.0**-24
    angles = (1000 * time.float())[..., None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def layer_norm(x: Float[Tensor, "*shape D"]) -> Float[Tensor, "*shape D"]:
    """Layer norm without learned scale and offset."""
    return functional.layer_norm(x, x.shape[-1:], eps=LAYER_NORM_EPS)


class HeadNorm(nn.Module):
    """RMS norm of one head's channels with a learned gain, always computed in float32."""

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(head_width))

    def forward(self, x: Float[Tensor, "*shape d"]) -> Float[Tensor, "*shape d"]:
        """Normalise the last axis."""
        normalised: Tensor = functional.rms_norm(x.float(), x.shape[-1:], self.weight, RMS_NORM_EPS)
        return normalised


class Attention(nn.Module):
    """Attention without rotary embedding; queries and keys are normalised."""

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
        """Attend from the last `num_outputs` tokens (default: from all) to all tokens.

        Where there is a `mask`, to those where it is true; where there is a `cache`, to what it holds too.
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
        """What other tokens read of these."""
        weight, bias, width = self.qkv.weight, self.qkv.bias, x.shape[-1]
        kv = functional.linear(x, weight[width:], bias[width:])
        k, v = (self._split_heads(part) for part in kv.chunk(2, dim=-1))
        return self.k_norm(k).to(v.dtype), v

    def _split_heads(self, x: Float[Tensor, "B n D"]) -> Float[Tensor, "B H n d"]:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class Mlp(nn.Module):
    """The usual two layers with four times the width between them and the tanh form of GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "*shape D"]) -> Float[Tensor, "*shape D"]:
        """Apply both layers to every token."""
        out: Tensor = self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))
        return out


class TransformerBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width)
        self.apply(xavier_linear)

    def forward(self, x: Float[Tensor, "B n D"]) -> Float[Tensor, "B n D"]:
        """One residual step of attention, then one of the MLP."""
        x = x + self.attn(layer_norm(x))
        out: Tensor = x + self.mlp(layer_norm(x))
        return out


class Modulation(nn.Module):
    """The adaLN linear: condition rows to `parts` shifts, scales or gates for every token; zero at first."""

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(width, parts * width)
        zero_linear(self.linear)

    def forward(self, rows: Float[Tensor, "R D"], row: Rows) -> list[Float[Tensor, "B #n D"]]:
        """Modulate the R distinct rows, then hand every token the parts of its own row."""
        modulated = self.linear(functional.silu(rows))
        if row.is_floating_point():
            chosen = row.to(modulated.dtype) @ modulated.view(len(row), -1, modulated.shape[-1])
            return list(chosen.chunk(self.parts, dim=-1))
        return [functional.embedding(row, part) for part in modulated.chunk(self.parts, dim=-1)]


def modulate(
    x: Float[Tensor, "B n D"], shift: Float[Tensor, "B #n D"], scale: Float[Tensor, "B #n D"]
) -> Float[Tensor, "B n D"]:
    """Normalise, then scale and shift."""
    return torch.addcmul(shift, layer_norm(x), 1 + scale)


class AdaLNZeroBlock(nn.Module):
    """A transformer block whose norms and residual gates follow each token's condition (adaLN-zero)."""

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
        """Update the last `num_outputs` tokens (default: all) and return them; the rest is `Attention`'s."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(rows, row)
        attended = self.attn(modulate(x, shift1, scale1), num_outputs, mask, cache)
        if num_outputs is not None and row.shape[1] > 1:
            gate1, shift2, scale2, gate2 = (m[:, -num_outputs:] for m in (gate1, shift2, scale2, gate2))
        x = torch.addcmul(x[:, -attended.shape[1] :], gate1, attended)
        return torch.addcmul(x, gate2, self.mlp(modulate(x, shift2, scale2)))

    def prefill(self, x: Float[Tensor, "B n D"], rows: Float[Tensor, "R D"], row: Rows) -> KeysValues:
        """What the attention of later tokens reads of these."""
        shift, scale, *_ = self.modulation(rows, row)
        return self.attn.keys_values(modulate(x, shift, scale))


def xavier_linear(module: nn.Module) -> None:
    """Initialise a linear layer of a block: Xavier-uniform weight (fused matrices as one), zero bias."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def zero_linear(linear: nn.Linear) -> None:
    """Initialise a layer so that it gives zeros."""
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
