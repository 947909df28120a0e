"""LPIPS: the distance of two frames in AlexNet's features, with weights fitted to human judgements.

The package `lpips` (version 0.1 of the metric) defines the network; the bundle holds all its weights.
"""

import warnings
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from benchmark.metrics.base import Frames, MapFunction, Mapped, PairedFunction, PairedMetric, Resources
from benchmark.metrics.networks import in_batches, prepare, unit_frames
from benchmark.weight_files.tensor_files import Tensors, read_tensors

WEIGHTS_FILE = "alexnet.safetensors"
SMALLEST_SIDE = 31
"""AlexNet's strides reduce smaller frames to nothing."""

_BATCH = 16
_EPSILON = 1e-10


def load_lpips(resources: Resources) -> PairedFunction:
    """Load the metric with the bundle's AlexNet; 0 means identical."""
    model = _load(resources)

    def distance(predicted: Frames, target: Frames) -> Tensor:
        return sum_of_means(layer_distances(model, predicted, target, resources.device))

    return partial(in_batches, distance, size=_BATCH)


def load_lpips_map(resources: Resources) -> MapFunction:
    """Load the metric with its map: the sum of all layers' distances, upsampled bilinearly to the frame.

    A layer sees more than the pixel that its distance is charged to, the deepest nearly all of 64 x 64.
    """
    model = _load(resources)

    def distance(predicted: Frames, target: Frames) -> Tensor:
        layers = layer_distances(model, predicted, target, resources.device)
        upsampled = [
            functional.interpolate(layer[:, None], predicted.shape[1:3], mode="bilinear") for layer in layers
        ]
        charges = torch.cat(upsampled, dim=1).sum(dim=1)
        return torch.cat([sum_of_means(layers)[:, None], charges.flatten(1)], dim=1)

    def lpips_map(predicted: Frames, target: Frames) -> Mapped:
        rows = in_batches(distance, predicted, target, size=_BATCH)
        return Mapped(rows[:, 0], rows[:, 1:].reshape(predicted.shape[:3]))

    return lpips_map


def layer_distances(
    model: Any, predicted: Frames, target: Frames, device: torch.device
) -> list[Float[Tensor, "N h w"]]:
    """Return each layer's weighted squared differences of features normalised to unit length per position."""
    features = [
        model.net(model.scaling_layer(2.0 * unit_frames(frames, device) - 1.0))
        for frames in (predicted, target)
    ]
    layers = []
    for head, *pair in zip(model.lins, *features, strict=True):
        first, second = (
            layer / (layer.square().sum(dim=1, keepdim=True).sqrt() + _EPSILON) for layer in pair
        )
        layers.append(head((first - second).square())[:, 0])
    return layers


def sum_of_means(layers: list[Float[Tensor, "N h w"]]) -> Float[Tensor, " N"]:
    """Return LPIPS from the distances of its layers."""
    return torch.stack([layer.mean(dim=(1, 2)) for layer in layers]).sum(dim=0)


def _load(resources: Resources) -> Any:
    tensors = read_tensors(resources.network("alexnet") / WEIGHTS_FILE)
    return prepare(build_lpips(tensors), resources.device)


def build_lpips(tensors: Tensors) -> Any:
    """Build the package's module from these tensors, without the download that it would start."""
    from lpips import LPIPS  # slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it makes a deprecated torchvision call
        model = LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    # the package splits AlexNet into slices but keeps the indices: slice2.3.weight is features.3.weight
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
