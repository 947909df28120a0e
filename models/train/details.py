"""The term that keeps reconstructions sharp: LPIPS (VGG) where its weights are there, or gradients."""

from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from loopcraft.cli import UserError


class DetailLoss(Protocol):
    """What a detail term is: a distance of two batches of images in [0, 1]."""

    def __call__(
        self, predicted: Float[Tensor, "N 3 H W"], target: Float[Tensor, "N 3 H W"]
    ) -> Float[Tensor, ""]:
        """Mean distance."""


def gradient_difference(
    predicted: Float[Tensor, "N 3 H W"], target: Float[Tensor, "N 3 H W"]
) -> Float[Tensor, ""]:
    """Mean absolute difference of neighbouring pixels' differences, down and to the right."""
    error = predicted.float() - target
    total: Tensor = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return total


class Lpips:
    """LPIPS with VGG features; not a module, so that its frozen weights are no part of what is trained."""

    def __init__(self, vgg: Path, device: torch.device) -> None:
        try:
            import lpips
        except ImportError as error:
            raise UserError(f"--vgg {vgg} needs the package lpips; install it, or leave --vgg out") from error
        self._network: nn.Module = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False)
        load_vgg(self._network.net, vgg)
        self._network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)

    def __call__(
        self, predicted: Float[Tensor, "N 3 H W"], target: Float[Tensor, "N 3 H W"]
    ) -> Float[Tensor, ""]:
        """Mean LPIPS."""
        distance: Tensor = self._network(predicted, target, normalize=True)
        return distance.float().mean()


def load_vgg(network: nn.Module, path: Path) -> None:
    """Fill LPIPS's VGG from torchvision's file of vgg16, whose feature layers have the same numbers."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; give torchvision's vgg16 weights, or leave --vgg out")
    stored = torch.load(path, map_location="cpu", weights_only=True)
    wanted = {name: f"features.{name.split('.', 1)[1]}" for name in network.state_dict()}
    missing = [name for name in wanted.values() if name not in stored]
    if missing:
        raise UserError(f"{path}: lacks {missing[0]}; give torchvision's vgg16 weights, or leave --vgg out")
    network.load_state_dict({name: stored[theirs] for name, theirs in wanted.items()})
