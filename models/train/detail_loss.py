"""The loss term that keeps reconstructions sharp: LPIPS (VGG) if its weights are given, else gradients."""

from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from loopcraft.core.errors import UserError

IN_BUNDLE = Path("vgg16", "vgg16.safetensors")
"""Path of VGG16 in a folder of weights fetched by benchmark.weights."""


DetailLoss = Callable[[Float[Tensor, "N 3 H W"], Float[Tensor, "N 3 H W"]], Float[Tensor, ""]]
"""(predicted, target) -> the mean distance between two batches of images in [0, 1]."""


def gradient_difference(
    predicted: Float[Tensor, "N 3 H W"], target: Float[Tensor, "N 3 H W"]
) -> Float[Tensor, ""]:
    """Return the mean absolute error of the vertical image gradients plus that of the horizontal ones."""
    error = predicted.float() - target
    total: Tensor = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return total


class Lpips:
    """LPIPS with VGG features; not a module, so that its frozen weights are not part of the trained model."""

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
        """Return the mean LPIPS."""
        distance: Tensor = self._network(predicted, target, normalize=True)
        return distance.float().mean()


def load_vgg(network: nn.Module, path: Path) -> None:
    """Load LPIPS's VGG from a file with torchvision's names for vgg16, or from a folder of fetched weights.

    Raises `UserError` if the file does not hold these weights.
    """
    remedy = (
        "give the folder written by python -m benchmark.weights fetch --only vgg16 --to DIR, or "
        "torchvision's vgg16 weights, or leave --vgg out"
    )
    if path.is_dir():
        path = path / IN_BUNDLE
    if not path.is_file():
        raise UserError(f"{path}: no such file; {remedy}")
    try:
        if path.suffix == ".safetensors":
            stored = load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"{path}: not a file of weights; {remedy}") from error
    keys = {name: f"features.{name.split('.', 1)[1]}" for name in network.state_dict()}
    missing = [key for key in keys.values() if key not in stored]
    if missing:
        raise UserError(f"{path}: lacks {missing[0]}; {remedy}")
    network.load_state_dict({name: stored[key] for name, key in keys.items()})
