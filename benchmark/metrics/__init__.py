"""The registry of metrics. A new one is a file with a pure function, a declaration here, and a test."""

from collections.abc import Sequence

from benchmark.contract.protocol import EvaluationProtocol
from benchmark.metrics import lightglue, lpips, ms_ssim, sift, ssim
from benchmark.metrics.base import MapTitle, Metric, PairedMetric, SetMetric
from benchmark.metrics.dinov2 import PATCH, load_dinov2
from benchmark.metrics.distances import frechet_distance, kernel_distance
from benchmark.metrics.i3d import I3D
from benchmark.metrics.inception import INCEPTION
from benchmark.metrics.lightglue_aliked import load_lightglue_aliked
from benchmark.metrics.psnr import psnr
from loopcraft.core.errors import UserError

METRICS: tuple[Metric, ...] = (
    PairedMetric(
        name="psnr",
        version=1,
        title="PSNR",
        unit="dB",
        higher_is_better=True,
        decimals=2,
        load=lambda resources: psnr,
    ),
    PairedMetric(
        name="ssim",
        version=1,
        title="SSIM",
        higher_is_better=True,
        decimals=4,
        load=lambda resources: ssim.ssim,
        load_map=lambda resources: ssim.ssim_map,
        smallest_side=ssim.SMALLEST_SIDE,
    ),
    PairedMetric(
        name="ms_ssim",
        version=1,
        title="MS-SSIM",
        higher_is_better=True,
        decimals=4,
        load=lambda resources: ms_ssim.ms_ssim,
        smallest_side=ms_ssim.SMALLEST_SIDE,
    ),
    PairedMetric(
        name="lpips",
        version=1,
        title="LPIPS",
        higher_is_better=False,
        decimals=4,
        networks=("alexnet",),
        load=lpips.load_lpips,
        load_map=lpips.load_lpips_map,
        smallest_side=lpips.SMALLEST_SIDE,
    ),
    PairedMetric(
        name="dinov2",
        version=1,
        title="DINOv2",
        higher_is_better=True,
        decimals=4,
        networks=("dinov2",),
        load=load_dinov2,
        smallest_side=PATCH,
    ),
    PairedMetric(
        name="lightglue",
        version=1,
        title="LightGlue",
        unit="matches",
        higher_is_better=True,
        decimals=1,
        networks=("lightglue",),
        load=lightglue.load_lightglue,
        columns=lightglue.COLUMNS,
    ),
    PairedMetric(
        name="lightglue_aliked",
        version=1,
        title="LightGlue (ALIKED)",
        unit="matches",
        higher_is_better=True,
        decimals=1,
        networks=("aliked",),
        load=load_lightglue_aliked,
        columns=lightglue.COLUMNS,
    ),
    PairedMetric(
        name="sift",
        version=1,
        title="SIFT",
        unit="matches",
        higher_is_better=True,
        decimals=1,
        load=lambda resources: sift.sift,
        load_map=lambda resources: sift.sift_map,
        map_title=MapTitle(title="SIFT features found again", unit="", decimals=3),
    ),
    SetMetric(
        name="fid",
        version=1,
        title="FID",
        higher_is_better=False,
        decimals=2,
        networks=("inception",),
        embedding=INCEPTION,
        distance=frechet_distance,
        biased=True,
    ),
    SetMetric(
        name="kid",
        version=1,
        title="KID",
        higher_is_better=False,
        decimals=5,
        networks=("inception",),
        embedding=INCEPTION,
        distance=kernel_distance,
    ),
    SetMetric(
        name="fvd",
        version=1,
        title="FVD",
        higher_is_better=False,
        decimals=1,
        networks=("i3d",),
        embedding=I3D,
        distance=frechet_distance,
        biased=True,
    ),
    SetMetric(
        name="kvd",
        version=1,
        title="KVD",
        higher_is_better=False,
        decimals=4,
        networks=("i3d",),
        embedding=I3D,
        distance=kernel_distance,
    ),
)


def get_metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics of those names, in the order given; raises `UserError` for an unknown or repeated one."""
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
    """Raise `UserError` before any rollout if a metric's clips or windows do not fit the task."""
    check_sides(metrics, frame_shape)
    for metric in metrics:
        if isinstance(metric, SetMetric):
            clip = metric.embedding.clip
            bounds = [protocol.horizon, *(edge for w in protocol.windows for edge in (w.first - 1, w.last))]
            if any(bound % clip for bound in bounds):
                raise UserError(
                    f"{metric.name} sees {clip} frames at a time, and the windows of {protocol.id} are no "
                    f"multiples of that: leave it out of --metrics"
                )


def check_sides(metrics: Sequence[Metric], frame_shape: tuple[int, int, int]) -> None:
    """Raise `UserError` if the frames (3, H, W) are too small for a paired metric."""
    for metric in metrics:
        if isinstance(metric, PairedMetric) and min(frame_shape[1:]) < metric.smallest_side:
            raise UserError(
                f"{metric.name} needs frames of at least {metric.smallest_side} pixels a side and the data "
                f"set has {frame_shape[1]}x{frame_shape[2]}: leave it out of --metrics"
            )
