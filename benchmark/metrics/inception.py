"""FID and KID: distances of Inception features, computed as in clean-fid.

The network is TensorFlow's of 2015, ported to TorchScript. Frames are resized to 299 x 299 with Pillow's
bicubic filter in floating point without rounding ("clean"); the network's layers get them in [-1, 1).
"""

import warnings
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from benchmark.metrics.base import Clips, Embedding, EmbeddingFunction, Resources, SetMetric
from benchmark.metrics.distances import frechet_distance, kernel_distance
from benchmark.metrics.networks import in_batches, prepare

WEIGHTS_FILE = "inception-2015-12-05.pt"
SIDE = 299

_BATCH = 16


def load_inception(resources: Resources) -> EmbeddingFunction:
    """Load the bundle's network: clips of one frame -> 2048 features."""
    path = resources.network("inception") / WEIGHTS_FILE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is deprecated
        network = prepare(torch.jit.load(path, map_location=resources.device), resources.device)  # type: ignore[no-untyped-call]

    def features(clips: Clips) -> Tensor:
        levels = torch.from_numpy(np.ascontiguousarray(clips[:, 0])).to(resources.device)
        resized = resize(levels.permute(0, 3, 1, 2).float())
        return network.layers((resized - 128.0) / 128.0).flatten(1)  # type: ignore[no-any-return]

    return partial(in_batches, features, size=_BATCH)


def resize(frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C 299 299"]:
    """Resize frames of levels 0 to 255 to the network's input, in floating point, clipped to 0 to 255."""
    rows, columns = (torch.from_numpy(filter_matrix(side)).to(frames) for side in frames.shape[-2:])
    return (rows @ (frames @ columns.T)).clamp(0.0, 255.0)


def filter_matrix(side: int) -> Float[np.ndarray, "299 side"]:
    """Return Pillow's antialiased bicubic filter from `side` pixels to 299 as a matrix."""
    unit_columns = Image.fromarray(np.eye(side, dtype=np.float32))
    return np.array(unit_columns.resize((side, SIDE), Image.Resampling.BICUBIC))


INCEPTION = Embedding(name="inception", clip=1, load=load_inception)

FID = SetMetric(
    name="fid",
    version=1,
    title="FID",
    higher_is_better=False,
    decimals=2,
    networks=("inception",),
    embedding=INCEPTION,
    distance=frechet_distance,
    biased=True,
)

KID = SetMetric(
    name="kid",
    version=1,
    title="KID",
    higher_is_better=False,
    decimals=5,
    networks=("inception",),
    embedding=INCEPTION,
    distance=kernel_distance,
)
