"""Small networks of the metrics' real classes with made-up weights, saved as a bundle.

Their libraries take a second to import, so that happens when a network is made.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmark.metrics.base import Resources
from benchmark.weight_files.bundle import Bundle, Network, PublishedFile
from benchmark.weight_files.conversion import from_torchvision
from benchmark.weight_files.tensor_files import write_tensors


def fill(module: nn.Module, gain: float = 1.0) -> nn.Module:
    """Draw weights from NumPy, independent of the PyTorch version; biases are zero, scales unchanged."""
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                values = rng.standard_normal(parameter.shape) * gain / parameter[0].numel() ** 0.5
                parameter.copy_(torch.from_numpy(values))
            elif name.endswith("bias"):
                parameter.zero_()
    return module.eval()


def bundle_of(root: Path, name: str, save: Callable[[Path], object]) -> Resources:
    """Resources whose bundle holds one network, which `save` writes into its folder."""
    (root / name).mkdir(parents=True)
    save(root / name)
    files = sorted(p.relative_to(root / name).as_posix() for p in (root / name).rglob("*") if p.is_file())
    published = tuple(PublishedFile(path=path) for path in files)
    network = Network(title="", licence="", files=published, sources=())
    bundle = Bundle(root, {name: network})
    bundle.add(name, source="made here", revision="tiny")
    return Resources(weights=bundle)


@contextmanager
def linear_undrawn() -> Iterator[None]:
    """Skip initialising linear layers: those of AlexNet and VGG, which LPIPS discards, take a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Linear, "reset_parameters", lambda layer: None)
        patch.setattr(nn.init, "normal_", lambda tensor, *_, **__: tensor)
        yield


@cache
def tiny_alexnet() -> dict[str, Tensor]:
    """Features with random weights, and LPIPS's own heads."""
    from torchvision.models import alexnet

    with linear_undrawn():
        features = fill(alexnet(weights=None).features).state_dict()
    return from_torchvision("alexnet", {f"features.{name}": value for name, value in features.items()})


def tiny_dinov2() -> Any:
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2, image_size=70, patch_size=14
    )
    return fill(Dinov2Model(config), gain=2.0)


def tiny_lightglue() -> Any:
    from transformers import LightGlueConfig, LightGlueForKeypointMatching, SuperPointConfig

    detector = SuperPointConfig(
        encoder_hidden_sizes=[8, 8, 16, 16], decoder_hidden_size=16, descriptor_decoder_dim=16
    )
    config = LightGlueConfig(
        keypoint_detector_config=detector, descriptor_dim=16, num_hidden_layers=2, num_attention_heads=2
    )
    model = fill(LightGlueForKeypointMatching(config), gain=1.5)
    with torch.no_grad():
        for parameter in model.transformer_layers.parameters():
            parameter.mul_(0.3)  # descriptors pass through, so that similar features match
        for layer in model.match_assignment_layers:
            layer.final_projection.weight.copy_(20.0 * torch.eye(16))
            layer.matchability.bias.fill_(6.0)
    return model


class TinyInception(nn.Module):
    """Has what the metric uses of the real file: a child `layers` that takes normalised 299 x 299 frames."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 6, 9, stride=5), nn.ReLU(), nn.Conv2d(6, 8, 5, stride=4), nn.AdaptiveAvgPool2d(1)
        )

    def forward(self, frames: Tensor) -> Tensor:
        return self.layers(frames)


class TinyI3D(nn.Module):
    """Called like the real network; its features distinguish channels, frames and sides."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(3, 5, (3, 4, 5), stride=(2, 3, 3))

    def forward(self, clips: Tensor) -> Tensor:
        return torch.relu(self.convolution(clips)).mean(dim=[2, 3, 4])


def save_alexnet(folder: Path) -> None:
    write_tensors(folder / "alexnet.safetensors", tiny_alexnet())


def save_i3d(folder: Path) -> None:
    write_tensors(folder / "i3d.safetensors", fill(TinyI3D()).state_dict())


def save_script(module: nn.Module, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(module).save(path)


def scenes(seed: int, num_frames: int, side: int = 64) -> np.ndarray:
    """Frames of coloured rectangles: corners, edges, flat areas."""
    rng = np.random.default_rng(seed)
    frames = np.zeros((num_frames, side, side, 3), np.uint8) + rng.integers(0, 256, 3, dtype=np.uint8)
    for frame in frames:
        for _ in range(24):
            top, left = rng.integers(0, side - 4, 2)
            height, width = rng.integers(3, side // 3, 2)
            frame[top : top + height, left : left + width] = rng.integers(0, 256, 3)
    return frames
