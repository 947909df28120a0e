"""LPIPS: the distance of two frames in the features of AlexNet, weighted by what people judge similar.

The package `lpips` (version 0.1 of the metric) brings the network's form; all its weights are in the bundle.
"""

import warnings
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from benchmark.metrics.base import Frames, MapFunction, Mapped, PairedFunction, PairedMetric, Resources
from benchmark.metrics.networks import in_batches, ready, unit_frames
from benchmark.weight_files.tensor_files import Tensors, read_tensors

WEIGHTS_FILE = "alexnet.safetensors"
SMALLEST_SIDE = 31
"""AlexNet's strides leave nothing of smaller frames."""

_BATCH = 16
_EPSILON = 1e-10


def load_lpips(resources: Resources) -> PairedFunction:
    """The metric with the bundle's AlexNet: 0 means identical."""
    model = _load(resources)

    def distance(predicted: Frames, target: Frames) -> Tensor:
        return sum_of_means(layer_distances(model, predicted, target, resources.device))

    return partial(in_batches, distance, size=_BATCH)


def load_lpips_map(resources: Resources) -> MapFunction:
    """The same with its map: every layer's distances, spread over the frame by bilinear interpolation.

    A layer sees more of the frame than the pixel that it is charged to, the deepest nearly all of 64 x 64.
    """
    model = _load(resources)

    def distance(predicted: Frames, target: Frames) -> Tensor:
        layers = layer_distances(model, predicted, target, resources.device)
        spread = [
            functional.interpolate(layer[:, None], predicted.shape[1:3], mode="bilinear") for layer in layers
        ]
        charges = torch.cat(spread, dim=1).sum(dim=1)
        return torch.cat([sum_of_means(layers)[:, None], charges.flatten(1)], dim=1)

    def lpips_map(predicted: Frames, target: Frames) -> Mapped:
        rows = in_batches(distance, predicted, target, size=_BATCH)
        return Mapped(rows[:, 0], rows[:, 1:].reshape(predicted.shape[:3]))

    return lpips_map


def layer_distances(
    model: Any, predicted: Frames, target: Frames, device: torch.device
) -> list[Float[Tensor, "N h w"]]:
    """Each layer's weighted squared differences of its features, which have unit length at every place."""
    features = []
    for frames in (predicted, target):
        features.append(model.net(model.scaling_layer(2.0 * unit_frames(frames, device) - 1.0)))
    layers = []
    for head, one, other in zip(model.lins, *features, strict=True):
        one, other = (
            layer / (layer.square().sum(dim=1, keepdim=True).sqrt() + _EPSILON) for layer in (one, other)
        )
        layers.append(head((one - other).square())[:, 0])
    return layers


def sum_of_means(layers: list[Float[Tensor, "N h w"]]) -> Float[Tensor, " N"]:
    """LPIPS of its layers' distances."""
    return torch.stack([layer.mean(dim=(1, 2)) for layer in layers]).sum(dim=0)


def _load(resources: Resources) -> Any:
    tensors = read_tensors(resources.network("alexnet") / WEIGHTS_FILE)
    return ready(build_lpips(tensors), resources.device)


def build_lpips(tensors: Tensors) -> Any:
    """The package's module with these tensors, without the download that it would start by itself."""
    from lpips import LPIPS  # slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it calls torchvision in a way that is deprecated
        model = LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    # the package cuts AlexNet into slices and keeps the indices: slice2.3.weight is features.3.weight
    names = {name: "features." + name.partition(".")[2] for name in model.net.state_dict()}
    model.net.load_state_dict({name: tensors[original] for name, original in names.items()})
    for number, head in enumerate(model.lins):
        head.model[-1].weight.data.copy_(tensors[f"lin{number}.model.1.weight"])
    return model


LPIPS = PairedMetric(
    name="lpips",
    version=1,
    title="LPIPS",
    higher_is_better=False,
    decimals=4,
    networks=("alexnet",),
    load=load_lpips,
    load_map=load_lpips_map,
    smallest_side=SMALLEST_SIDE,
)
