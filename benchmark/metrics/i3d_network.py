"""The published I3D network (Carreira and Zisserman, 2017) for RGB clips, which FVD's features come from.

Convolutions and max pools use TensorFlow's "same" padding, which puts an odd padding's extra zero at the end.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

SIDE = 224
NUM_CLASSES = 400

Triple = tuple[int, int, int]
Clips = Float[Tensor, "N C T H W"]

_EPSILON = 1e-3
_MIXED = {
    "3b": (192, (64, 96, 128, 16, 32, 32)),
    "3c": (256, (128, 128, 192, 32, 96, 64)),
    "4b": (480, (192, 96, 208, 16, 48, 64)),
    "4c": (512, (160, 112, 224, 24, 64, 64)),
    "4d": (512, (128, 128, 256, 24, 64, 64)),
    "4e": (512, (112, 144, 288, 32, 64, 64)),
    "4f": (528, (256, 160, 320, 32, 128, 128)),
    "5b": (832, (256, 160, 320, 32, 128, 128)),
    "5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Input channels of each mixed block, and output channels of its convolutions, branch by branch."""
_POOLS: Mapping[str, tuple[Triple, Triple]] = {
    "Conv3d_2b_1x1": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3b": ((1, 3, 3), (1, 2, 2)),
    "Mixed_4b": ((3, 3, 3), (2, 2, 2)),
    "Mixed_5b": ((2, 2, 2), (2, 2, 2)),
}
"""Kernel and stride of the max pool before each layer that has one."""


def pad_same(inputs: Clips, kernel: Triple, stride: Triple) -> Clips:
    """Pad T, H and W with zeros so that ceil(extent / stride) positions of the kernel fit.

    Zeros are neutral for max pools here, whose inputs have all passed a ReLU.
    """
    padding: list[int] = []
    for extent, size, step in zip(inputs.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        missing = max((-(-extent // step) - 1) * step + size - extent, 0)
        padding += [missing // 2, missing - missing // 2]
    return functional.pad(inputs, padding)


class Unit(nn.Module):
    """Convolution, batch norm with stored statistics and no scale, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, *kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.mean = nn.Buffer(torch.zeros(outputs))
        self.variance = nn.Buffer(torch.ones(outputs))

    def forward(self, clips: Clips) -> Clips:
        """Return features whose T, H and W are ceil(extent / stride)."""
        padded = pad_same(clips, self.kernel, self.stride)
        values = functional.conv3d(padded, self.weight, stride=self.stride)
        return functional.batch_norm(values, self.mean, self.variance, None, self.bias, eps=_EPSILON).relu_()


class Mixed(nn.Module):
    """Four parallel branches, the last of which pools first."""

    def __init__(self, inputs: int, outputs: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        point, cube = (1, 1, 1), (3, 3, 3)
        first, second_in, second, third_in, third, fourth = outputs
        self.Branch_0 = nn.ModuleDict({"Conv3d_0a_1x1": Unit(inputs, first, point)})
        self.Branch_1 = nn.ModuleDict(
            {"Conv3d_0a_1x1": Unit(inputs, second_in, point), "Conv3d_0b_3x3": Unit(second_in, second, cube)}
        )
        self.Branch_2 = nn.ModuleDict(
            {"Conv3d_0a_1x1": Unit(inputs, third_in, point), "Conv3d_0b_3x3": Unit(third_in, third, cube)}
        )
        self.Branch_3 = nn.ModuleDict({"Conv3d_0b_1x1": Unit(inputs, fourth, point)})

    def forward(self, clips: Clips) -> Clips:
        """Return the branches' features, concatenated."""
        pooled = max_pool(clips, (3, 3, 3), (1, 1, 1))
        outputs = []
        for branch, values in zip(self.children(), (clips, clips, clips, pooled), strict=True):
            for unit in branch.values():  # type: ignore[operator]
                values = unit(values)
            outputs.append(values)
        return torch.cat(outputs, dim=1)


class Network(nn.Module):
    """The whole network; its state dict has the names of the original code."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, (7, 7, 7), (2, 2, 2))
        self.Conv3d_2b_1x1 = Unit(64, 64, (1, 1, 1))
        self.Conv3d_2c_3x3 = Unit(64, 192, (3, 3, 3))
        for name, (inputs, outputs) in _MIXED.items():
            self.add_module(f"Mixed_{name}", Mixed(inputs, outputs))
        self.Logits = nn.ModuleDict({"Conv3d_0c_1x1": nn.Conv3d(1024, NUM_CLASSES, 1)})

    def forward(self, clips: Float[Tensor, "N 3 T H W"]) -> Float[Tensor, "N 400"]:
        """Return the logits of at least 9 frames in [-1, 1] of any size."""
        values = resize(clips)
        for name, layer in self.named_children():
            if name != "Logits":
                if name in _POOLS:
                    values = max_pool(values, *_POOLS[name])
                values = layer(values)
        pooled = functional.avg_pool3d(values, (2, 7, 7), stride=1)
        logits: Tensor = self.Logits["Conv3d_0c_1x1"](pooled)
        return logits.mean(dim=(2, 3, 4))


def resize(clips: Float[Tensor, "N 3 T H W"]) -> Float[Tensor, "N 3 T 224 224"]:
    """Resize frames to the network's input, bilinearly with half-pixel centres and without antialiasing."""
    frames = [
        functional.interpolate(clip.transpose(0, 1), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        for clip in clips
    ]
    return torch.stack(frames).transpose(1, 2)


def max_pool(clips: Clips, kernel: Triple, stride: Triple) -> Clips:
    """Apply a max pool with "same" padding."""
    return functional.max_pool3d(pad_same(clips, kernel, stride), kernel, stride)
