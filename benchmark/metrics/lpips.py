"""LPIPS: the distance of two frames in the features of AlexNet, weighted by what people judge similar.

The package `lpips` (version 0.1 of the metric) brings the network's form; all its weights are in the bundle.
"""

import warnings
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from benchmark.metrics.base import Frames, PairedFunction, Resources
from benchmark.metrics.networks import in_batches, ready, unit_frames
from benchmark.tensors import Tensors, read_tensors

WEIGHTS_FILE = "alexnet.safetensors"
SMALLEST_SIDE = 31
"""AlexNet's strides leave nothing of smaller frames."""

_BATCH = 16


def load_lpips(resources: Resources) -> PairedFunction:
    """The metric with the bundle's AlexNet: 0 means identical."""
    tensors = read_tensors(resources.network("alexnet") / WEIGHTS_FILE)
    model = ready(build_lpips(tensors), resources.device)

    def distance(predicted: Frames, target: Frames) -> torch.Tensor:
        pair = (unit_frames(frames, resources.device) for frames in (predicted, target))
        distances: torch.Tensor = model(*pair, normalize=True)
        return distances.flatten()

    def lpips(predicted: Frames, target: Frames) -> Float32[np.ndarray, " N"]:
        return in_batches(distance, predicted, target, size=_BATCH)

    return lpips


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
