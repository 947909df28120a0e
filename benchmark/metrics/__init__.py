"""The registry of metrics. A new one needs a file with function and declaration, a line here, and a test."""

from collections.abc import Sequence

from benchmark.contract.protocol import EvaluationProtocol
from benchmark.metrics.base import Metric, PairedMetric, SetMetric
from benchmark.metrics.dinov2 import DINOV2
from benchmark.metrics.i3d import FVD, KVD
from benchmark.metrics.inception import FID, KID
from benchmark.metrics.lightglue import LIGHTGLUE
from benchmark.metrics.lightglue_aliked import LIGHTGLUE_ALIKED
from benchmark.metrics.lpips import LPIPS
from benchmark.metrics.ms_ssim import MS_SSIM
from benchmark.metrics.psnr import PSNR
from benchmark.metrics.sift import SIFT
from benchmark.metrics.ssim import SSIM
from loopcraft.core.errors import UserError

METRICS: tuple[Metric, ...] = (
    PSNR,
    SSIM,
    MS_SSIM,
    LPIPS,
    DINOV2,
    LIGHTGLUE,
    LIGHTGLUE_ALIKED,
    SIFT,
    FID,
    KID,
    FVD,
    KVD,
)


def get_metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    """Return the metrics named, in that order; raises `UserError` for unknown or repeated names, or none."""
    known = {metric.name: metric for metric in METRICS}
    for name in names:
        if name not in known:
            raise UserError(f"unknown metric {name!r}: choose from {', '.join(known)}")
    if len(set(names)) < len(names) or not names:
        raise UserError(f"--metrics {','.join(names)}: name each metric once, and at least one")
    return tuple(known[name] for name in names)


def check_fit(
    metrics: Sequence[Metric], protocol: EvaluationProtocol, frame_shape: tuple[int, int, int]
) -> None:
    """Raise `UserError` if the protocol's windows do not fit a metric's clips, or frames are too small."""
    check_sides(metrics, frame_shape)
    for metric in metrics:
        if isinstance(metric, SetMetric):
            clip = metric.embedding.clip
            bounds = [protocol.horizon, *(edge for w in protocol.windows for edge in (w.first - 1, w.last))]
            if any(bound % clip for bound in bounds):
                raise UserError(
                    f"{metric.name} sees {clip} frames at a time, and the windows of {protocol.id} are not "
                    f"multiples of that: leave it out of --metrics"
                )


def check_sides(metrics: Sequence[Metric], frame_shape: tuple[int, int, int]) -> None:
    """Raise `UserError` if the frames (3, H, W) are too small for a paired metric."""
    for metric in metrics:
        if isinstance(metric, PairedMetric) and min(frame_shape[1:]) < metric.smallest_side:
            raise UserError(
                f"{metric.name} needs frames of at least {metric.smallest_side} pixels a side, but the data "
                f"set has {frame_shape[1]}x{frame_shape[2]}: leave it out of --metrics"
            )
