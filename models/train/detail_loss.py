"""The term that keeps reconstructions sharp: LPIPS (VGG) where its weights are there, or gradients."""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Protocol

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from loopcraft.core.errors import UserError

IN_BUNDLE = Path("vgg16", "vgg16.safetensors")
"""Where a folder of fetched weights has VGG16."""


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
    """Fill LPIPS's VGG from a file of torchvision's vgg16 names, or from a folder of fetched weights.

    Raises `UserError` for a file that does not hold them.
    """
    remedy = (
        "give the folder that python -m benchmark.weights fetch --only vgg16 --to DIR made, or torchvision's "
        "vgg16 weights, or leave --vgg out"
    )
    if path.is_dir():
        path = path / IN_BUNDLE
    if not path.is_file():
        raise UserError(f"{path}: no such file; {remedy}")
    try:
        stored = load_file(path) if path.suffix == ".safetensors" else _load_pickled(path)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"{path}: not a file of weights; {remedy}") from error
    wanted = {name: f"features.{name.split('.', 1)[1]}" for name in network.state_dict()}
    missing = [name for name in wanted.values() if name not in stored]
    if missing:
        raise UserError(f"{path}: lacks {missing[0]}; {remedy}")
    network.load_state_dict({name: stored[theirs] for name, theirs in wanted.items()})


def _load_pickled(path: Path) -> Mapping[str, Tensor]:
    stored: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return stored
