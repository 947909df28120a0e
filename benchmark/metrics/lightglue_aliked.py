"""LightGlue matches of ALIKED features: the metric `lightglue` without SuperPoint.

The networks' code is kornia's. Frames are enlarged to 512 pixels on the long side, and the 1024 strongest
features are kept however weak, so that blurred frames have as many as sharp ones. The rest is as in
lightglue.py.
"""

from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from benchmark.metrics.base import Frames, MetricUnavailableError, PairedFunction, PairedMetric, Resources
from benchmark.metrics.lightglue import COLUMNS, MAX_KEYPOINTS, enlarge, summarize
from benchmark.metrics.networks import in_batches, prepare, unit_frames
from benchmark.weight_files.tensor_files import Tensors, read_tensors

WEIGHTS_FILE = "aliked.safetensors"
LONG_SIDE = 512
DESCRIPTOR_SIZE = 128

_DERIVED = {"dkd.hw_grid", "confidence_thresholds"}
"""Buffers that the modules compute, so that no weights hold them."""


def load_lightglue_aliked(resources: Resources) -> PairedFunction:
    """Load the metric with the bundle's networks; rows are the matches above 0.5, then `COLUMNS`."""
    tensors = read_tensors(resources.network("aliked") / WEIGHTS_FILE)
    detector, matcher = (prepare(network, resources.device) for network in build_networks(tensors))

    def score(predicted: Frames, target: Frames) -> Tensor:
        frames = unit_frames(np.concatenate([predicted, target]), resources.device)
        images = enlarge(frames, LONG_SIDE)
        detections = detector(images)
        if min(len(features.keypoints) for features in detections) == 0:
            return frames.new_zeros(1, len(COLUMNS) + 1)
        size = frames.new_tensor([images.shape[:1:-1]])  # (1, 2): width, height
        first, second = (
            {"keypoints": each.keypoints[None], "descriptors": each.descriptors[None], "image_size": size}
            for each in detections
        )
        output = matcher({"image0": first, "image1": second})
        return summarize(output["matching_scores0"][0][output["matches0"][0] >= 0])[None]

    return partial(in_batches, score, size=1)


def build_networks(tensors: Tensors) -> tuple[Any, Any]:
    """Build the detector and the matcher; raises `MetricUnavailableError` without kornia."""
    try:
        from kornia.feature import ALIKED, LightGlue  # slow to import
    except ImportError as error:
        raise MetricUnavailableError("needs the package kornia: pip install -e '.[matchers]'") from error
    detector = ALIKED("aliked-n16", max_num_keypoints=MAX_KEYPOINTS, detection_threshold=0.0)
    no_features: Any = None  # None means custom weights, which the annotation does not allow for
    matcher = LightGlue(features=no_features, input_dim=DESCRIPTOR_SIZE)
    for network, prefix in ((detector, "detector."), (matcher, "matcher.")):
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        missing, unknown = network.load_state_dict(own, strict=False)
        assert set(missing) <= _DERIVED, missing
        assert not unknown, unknown
    return detector, matcher


LIGHTGLUE_ALIKED = PairedMetric(
    name="lightglue_aliked",
    version=1,
    title="LightGlue (ALIKED)",
    unit="matches",
    higher_is_better=True,
    decimals=1,
    networks=("aliked",),
    load=load_lightglue_aliked,
    columns=COLUMNS,
)
