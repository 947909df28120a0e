"""Count the arithmetic and memory of training every preset, without running any: `python -m perf.cost`.

Networks are traced forwards and backwards on fake tensors, which have shapes but no numbers. Hours follow
from the GPU's matrix-multiply rate and the share of it that training is assumed to reach; both are flags.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from loopcraft.core.cli import run
from loopcraft.core.errors import UserError
from models.networks.autoencoder import Autoencoder
from models.networks.denoiser import Condition
from models.networks.framepack import FramePackDenoiser
from models.networks.tokens import LEVEL
from models.train.config import SCHEDULES
from models.zoo.configs import ModelConfig, TokenModelConfig
from models.zoo.presets import PRESETS

SHOWN = tuple(name for name in PRESETS if name != "trial")
"""The presets that are not only for tests."""
VIDEO_MODELS = ("millivid", "framepack", "full-resolution")
STATE_BYTES = 4 + 4 + 8
"""Bytes per parameter: weight, gradient and AdamW's two moments in float32; Muon keeps one moment."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """Speed of the GPU."""

    teraflops: float = 790
    """bfloat16 matrix multiplication, in 10^12 operations per second; 790 was measured on an H200."""
    utilisation: float = 0.4
    """Share of that rate that training is assumed to reach."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Cost of one sample of a network."""

    parameters: int
    operations: float
    """Operations of one sample, forwards and backwards."""
    activation_bytes: int
    """Bytes of one sample kept for the backward pass under bfloat16 autocast, without torch.compile."""


def count_cost(network: nn.Module, forward: Callable[[], Tensor]) -> Cost:
    """Trace one sample."""
    saved: list[Tensor] = []  # kept alive until counted, as a freed tensor's address may be reused

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with FlopCounterMode(display=False) as counter:
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16),
        ):
            out = forward()
        out.sum().backward()  # type: ignore[no-untyped-call]
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in saved}
    for parameter in network.parameters():
        storages.pop(parameter.untyped_storage()._cdata, None)
    return Cost(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        operations=float(counter.get_total_flops()),
        activation_bytes=sum(storages.values()),
    )


def autoencoder_cost(config: ModelConfig) -> Cost:
    """Return the cost of an image through the encoder and the decoder."""
    network = Autoencoder(config.autoencoder)
    size = config.autoencoder.frame_size
    images = torch.zeros(1, 3, size, size)
    level = torch.zeros(1, dtype=torch.int64)
    return count_cost(network, lambda: network.decode_patches(network.encode(images), level))


def video_cost(config: ModelConfig) -> Cost:
    """Return the cost of a window through a video network."""
    network = config.video.network(config.autoencoder.grid)
    grid = config.autoencoder.grid.coarser(config.video.space.finest)
    if isinstance(network, FramePackDenoiser):
        frames = network.window.num_frames
        latents = torch.zeros(1, frames, grid.channels, grid.side, grid.side)
        action = torch.zeros(1, frames, dtype=torch.int64)
        condition = network.condition_by_role(torch.zeros(1, 2), action)
        return count_cost(network, lambda: network(latents, condition, action))
    video = cast(TokenModelConfig, config.video)
    num_tokens = int(video.plan.build(grid).num_tokens(grid).max())
    x = torch.zeros(1, num_tokens, grid.channels)
    address = torch.zeros(1, num_tokens, 4, dtype=torch.int64)
    role = torch.zeros(1, num_tokens, dtype=torch.int64)
    positions = network.positions(address)
    time = torch.zeros(2)
    condition = Condition.per_group(time, role, address[..., LEVEL], role, network.trunk.num_levels)
    return count_cost(network, lambda: network(x, positions, condition))


def show(flags: Flags) -> None:
    """Print the table."""
    if flags.teraflops <= 0 or not 0 < flags.utilisation <= 1:
        raise UserError("--teraflops must be above 0, and --utilisation in (0, 1]")
    table = Table(title=f"at {flags.utilisation:.0%} of {flags.teraflops:g} TFLOP/s")
    for column in (
        "preset",
        "model",
        "parameters",
        "updates",
        "batch",
        "GFLOP a sample",
        "PFLOP in all",
        "GPU hours",
        "state, GB",
        "activations a sample, MB",
    ):
        table.add_column(column, justify="left" if column in ("preset", "model") else "right")
    rate = flags.teraflops * flags.utilisation * 1e12
    for preset in SHOWN:
        size = PRESETS[preset].frame_size
        with FakeTensorMode():
            costs = {"autoencoder": autoencoder_cost(PRESETS[preset].model("millivid", size))}
            costs |= {name: video_cost(PRESETS[preset].model(name, size)) for name in VIDEO_MODELS}
        for name, cost in costs.items():
            schedule = getattr(SCHEDULES[preset], "autoencoder" if name == "autoencoder" else "video")
            total = cost.operations * schedule.batch_size * schedule.steps
            table.add_row(
                preset,
                name,
                f"{cost.parameters / 1e6:.2f} M",
                f"{schedule.steps:,}",
                f"{schedule.batch_size}",
                f"{cost.operations / 1e9:.3g}",
                f"{total / 1e15:,.3g}" if total < 1e19 else f"{total / 1e15:,.0f}",
                f"{total / rate / 3600:,.2g}" if total / rate < 3.6e5 else f"{total / rate / 3600:,.0f}",
                f"{cost.parameters * STATE_BYTES / 1e9:.3g}",
                f"{cost.activation_bytes / 1e6:,.0f}",
            )
    Console(width=140).print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return run(Flags, show, argv)


if __name__ == "__main__":
    raise SystemExit(main())
