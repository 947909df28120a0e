"""I3D features of 16-frame chunks: what FVD and KVD compare.

The network is the TorchScript file of the public FVD codes, called as the paper calls it: it resizes to
224 x 224 itself, takes frames in [-1, 1] and returns the 400 values before its softmax.
"""

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from benchmark.metrics.base import Clips, Embedding, EmbeddingFunction, Resources
from benchmark.metrics.networks import in_batches, load_torchscript, unit_frames

WEIGHTS_FILE = "metrics_models/i3d_torchscript.pt"
NUM_FRAMES = 16

_BATCH = 4


def load_i3d(resources: Resources) -> EmbeddingFunction:
    """Clips of 16 frames -> 400 features, with the bundle's network."""
    path = resources.network("i3d") / WEIGHTS_FILE
    network = load_torchscript(path, resources.device)

    def features(clips: Clips) -> Tensor:
        videos = unit_frames(clips, resources.device).transpose(1, 2) * 2.0 - 1.0  # (N, 3, 16, H, W)
        values: Tensor = network(videos.contiguous(), rescale=False, resize=True, return_features=True)
        return values

    def embed(clips: Clips) -> Float32[np.ndarray, "N 400"]:
        return in_batches(features, clips, size=_BATCH)

    return embed


I3D = Embedding(name="i3d", clip=NUM_FRAMES, load=load_i3d)
