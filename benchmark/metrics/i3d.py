"""FVD and KVD: distances of I3D features of 16-frame clips.

As in public FVD code, frames in [-1, 1] are resized to 224 x 224, and the features are the 400 logits.
"""

from functools import partial

from torch import Tensor

from benchmark.metrics.base import Clips, Embedding, EmbeddingFunction, Resources, SetMetric
from benchmark.metrics.distances import frechet_distance, kernel_distance
from benchmark.metrics.i3d_network import Network
from benchmark.metrics.networks import in_batches, prepare, unit_frames
from benchmark.weight_files.tensor_files import read_tensors

WEIGHTS_FILE = "i3d.safetensors"
NUM_FRAMES = 16

_BATCH = 4


def load_i3d(resources: Resources) -> EmbeddingFunction:
    """Load the bundle's network: clips of 16 frames -> 400 features."""
    network = Network()
    network.load_state_dict(read_tensors(resources.network("i3d") / WEIGHTS_FILE))
    network = prepare(network, resources.device)

    def features(clips: Clips) -> Tensor:
        videos = unit_frames(clips, resources.device).transpose(1, 2) * 2.0 - 1.0  # (N, 3, 16, H, W)
        values: Tensor = network(videos)
        return values

    return partial(in_batches, features, size=_BATCH)


I3D = Embedding(name="i3d", clip=NUM_FRAMES, load=load_i3d)

FVD = SetMetric(
    name="fvd",
    version=1,
    title="FVD",
    higher_is_better=False,
    decimals=1,
    networks=("i3d",),
    embedding=I3D,
    distance=frechet_distance,
    biased=True,
)

KVD = SetMetric(
    name="kvd",
    version=1,
    title="KVD",
    higher_is_better=False,
    decimals=4,
    networks=("i3d",),
    embedding=I3D,
    distance=kernel_distance,
)
