"""LightGlue: the number of confident matches of two frames' SuperPoint features, counted as in the paper.

Frames are enlarged to 1024 pixels on the long side, and the 1024 strongest features above 0.0005 are kept:
the defaults of the original `lightglue` package, which transformers' port leaves to the caller. As in that
package, the network sees one pair at a time: if the pairs of a batch stop at different depths, the port
(5.23) returns their matches in the wrong order, because it applies the order of stopping, not its inverse.
The network drops matches below a confidence of 0.1, so the counts above 0.0 and 0.1 are equal.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from benchmark.metrics.base import Frames, PairedFunction, PairedMetric, Resources
from benchmark.metrics.networks import in_batches, prepare, unit_frames

LONG_SIDE = 1024
MAX_KEYPOINTS = 1024
DETECTION_THRESHOLD = 0.0005
HEADLINE = 0.5
FURTHER_THRESHOLDS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)
COLUMNS = (*(f"above_{threshold}" for threshold in FURTHER_THRESHOLDS), "confidence")
"""Columns after the matches above 0.5; `confidence` is the mean over matches, 0 if there are none."""

_LUMA = (0.299, 0.587, 0.114)


def load_lightglue(resources: Resources, long_side: int = LONG_SIDE) -> PairedFunction:
    """Load the metric with the bundle's networks; rows are the matches above 0.5, then `COLUMNS`."""
    folder = resources.network("lightglue")
    from transformers import LightGlueConfig, LightGlueForKeypointMatching  # slow to import

    config = LightGlueConfig.from_pretrained(folder, local_files_only=True)
    detector: Any = config.keypoint_detector_config
    detector.max_keypoints = MAX_KEYPOINTS
    detector.keypoint_threshold = DETECTION_THRESHOLD
    model = LightGlueForKeypointMatching.from_pretrained(folder, config=config, local_files_only=True)
    model = prepare(model, resources.device)

    def score(predicted: Frames, target: Frames) -> Tensor:
        frames = unit_frames(np.concatenate([predicted, target]), resources.device)
        output = model(enlarge(to_grey(frames), long_side)[None])
        matched = output.matches[0, 0] >= 0
        return summarize(output.matching_scores[0, 0][matched])[None]

    return partial(in_batches, score, size=1)


def to_grey(frames: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N 3 H W"]:
    """Return the frames' luma in all three channels; SuperPoint uses only the first."""
    luma = (frames * frames.new_tensor(_LUMA).view(3, 1, 1)).sum(dim=1, keepdim=True)
    return luma.expand(-1, 3, -1, -1)


def enlarge(frames: Float[Tensor, "N 3 H W"], long_side: int) -> Float[Tensor, "N 3 h w"]:
    """Scale the frames' long side to `long_side` pixels, bilinearly."""
    scale = long_side / max(frames.shape[-2:])
    size = [round(scale * side) for side in frames.shape[-2:]]
    return functional.interpolate(frames, size=size, mode="bilinear", antialias=True)


def summarize(confidences: Float[Tensor, " K"]) -> Float[Tensor, " columns"]:
    """Return a pair's row from the confidences of its matches."""
    counts = [(confidences > threshold).sum() for threshold in (HEADLINE, *FURTHER_THRESHOLDS)]
    mean = confidences.sum() / max(len(confidences), 1)
    return torch.stack([*counts, mean])


LIGHTGLUE = PairedMetric(
    name="lightglue",
    version=1,
    title="LightGlue",
    unit="matches",
    higher_is_better=True,
    decimals=1,
    networks=("lightglue",),
    load=load_lightglue,
    columns=COLUMNS,
)
