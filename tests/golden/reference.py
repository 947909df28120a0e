"""A plain second implementation of the token denoiser and of sampling one window: the baseline for speed.

The conditioning network runs for every token in every block, all tokens go through all blocks, and nothing is
shared between sampling steps. It reads the same weights and uses none of the package's layers.
"""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

Weights = dict[str, Tensor]


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def attention(weights: Weights, name: str, x: Tensor, heads: int, visible: Tensor | None) -> Tensor:
    batch, count, width = x.shape
    qkv = (
        linear(weights, f"{name}.qkv", x).view(batch, count, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    )
    q = F.rms_norm(qkv[0], (width // heads,), weights[f"{name}.q_norm.weight"], 2**-23)
    k = F.rms_norm(qkv[1], (width // heads,), weights[f"{name}.k_norm.weight"], 2**-23)
    out = F.scaled_dot_product_attention(q, k, qkv[2], visible)
    return linear(weights, f"{name}.proj", out.transpose(1, 2).reshape(batch, count, width))


def block(weights: Weights, name: str, x: Tensor, c: Tensor, heads: int, visible: Tensor | None) -> Tensor:
    m = linear(weights, f"{name}.modulation.linear", F.silu(c)).chunk(6, -1)
    x = x + m[2] * attention(weights, f"{name}.attn", norm(x) * (1 + m[1]) + m[0], heads, visible)
    hidden = linear(weights, f"{name}.mlp.fc1", norm(x) * (1 + m[4]) + m[3])
    return x + m[5] * linear(weights, f"{name}.mlp.fc2", F.gelu(hidden, approximate="tanh"))


def sinusoids(values: Tensor, count: int) -> Tensor:
    angles = values[..., None] * (1 / 10000 ** (torch.arange(count) / (count - 1)))
    return torch.cat([angles.sin(), angles.cos()], -1)


def condition(weights: Weights, time: Tensor, level: Tensor, action: Tensor) -> Tensor:
    angles = 1000 * time[..., None] * torch.exp(-math.log(10000) * torch.linspace(0, 1, 128))
    features = torch.cat([angles.cos(), angles.sin()], -1)
    hidden = F.silu(linear(weights, "trunk.time_embedding.mlp.0", features))
    c = linear(weights, "trunk.time_embedding.mlp.2", hidden) + weights["trunk.level_embedding.weight"][level]
    known = (action < 3)[..., None]
    return c + torch.where(
        known, weights["trunk.action_embedding.weight"][action.clamp(max=2)], torch.zeros(())
    )


def predict(
    weights: Weights,
    heads: int,
    x: Tensor,
    address: Tensor,
    time: Tensor,
    action: Tensor,
    visible: Tensor | None = None,
) -> Tensor:
    """Predict v of every token; it attends to all tokens, or to some (last two axes of `visible`)."""
    frame = address[..., 0] - address[..., 0].amin(-1, keepdim=True)
    width = weights["patchify.weight"].shape[0]
    position = torch.cat([sinusoids(v, width // 6) for v in (frame, address[..., 2], address[..., 3])], -1)
    h = linear(weights, "patchify", x) + F.pad(position, (0, width - position.shape[-1]))
    c = condition(weights, time, address[..., 1], action)
    depth = 1 + max(int(key.split(".")[2]) for key in weights if key.startswith("trunk.blocks."))
    for index in range(depth):
        h = block(weights, f"trunk.blocks.{index}", h, c, heads, visible)
    shift, scale = linear(weights, "head.modulation.linear", F.silu(c)).chunk(2, -1)
    return linear(weights, "head.linear", norm(h) * (1 + scale) + shift)


def alpha_sigma(time: Tensor) -> tuple[Tensor, Tensor]:
    low, high = math.atan(math.exp(-7.5)), math.atan(math.exp(7.5))
    ratio = torch.tan(low + time.double() * (high - low))  # sigma / alpha
    alpha = 1 / (1 + ratio**2).sqrt()
    return alpha.float(), (ratio * alpha).float()


def sample_window(
    weights: Weights,
    heads: int,
    x: Tensor,
    eps: Tensor,
    address: Tensor,
    action: Tensor,
    target: Tensor,
    steps: int,
    *,
    causal: bool = False,
) -> Tensor:
    """Denoise the target tokens of one window by DDIM; return all tokens."""
    visible = torch.where(target[:, None], True, ~target) if causal else None
    for t in torch.linspace(1, 0, steps):
        time = torch.where(target, t, torch.zeros(())).expand(x.shape[:2])
        alpha, sigma = (w[..., None] for w in alpha_sigma(time))
        noisy = alpha * x + sigma * eps
        v = predict(weights, heads, noisy, address.expand(len(x), -1, -1), time, action, visible)
        x = torch.where(target[..., None], alpha * noisy - sigma * v, x)
        eps = torch.where(target[..., None], alpha * v + sigma * noisy, eps)
    return x
