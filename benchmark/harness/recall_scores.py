"""Aggregate the scores of single videos into a result's recall: each metric over each kind of pixel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from benchmark.contract.data import MaskedEpisodes
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.harness.aggregate import card_of
from benchmark.harness.score_files import AGAIN, open_scores, require_columns
from benchmark.memory.collector import SURFACES, WEIGHTS
from benchmark.memory.kinds import BINS, IN_SIGHT, NEW, OLD_BINS, RETURNED, SKY, age_bins, merge_to_old_bins
from benchmark.metrics import get_metrics
from benchmark.metrics.base import Metric, PairedMetric
from benchmark.metrics.psnr import decibels
from benchmark.results.estimates import MetricCard, measured
from benchmark.results.recall_schema import PixelCounts, Recall, RecallScores
from loopcraft.core.errors import UserError
from loopcraft.dataset.mask_files import DTYPES, spread
from loopcraft.worlds import world_ids, world_spec

PSNR = "psnr"
"""The metric that recall always has, regardless of the run's metrics."""

KindSums = Float64[np.ndarray, "2 kinds"]
"""For each kind of pixel, the sum of a metric and its divisor."""


@dataclass(frozen=True)
class VideoSums:
    """A video's sums by metric, over all or some frames of its horizon."""

    metrics: Mapping[str, KindSums]
    counts: Float64[np.ndarray, " kinds"]


def aggregate_recall(
    paths: Sequence[Path],
    metrics: Sequence[Metric],
    on_course: Sequence[Bool[np.ndarray, " T"] | None],
) -> Recall | None:
    """Return the recall of a run from its score files; None if no video was scored with masks.

    `on_course` marks the frames of each video in which the model is on course; None if steering was not
    measured.
    """
    mapped = [m for m in metrics if isinstance(m, PairedMetric) and m.load_map is not None]
    names = [metric.name for metric in mapped]
    all_frames = [read_sums(path, names) for path in paths]
    if all(video is None for video in all_frames):
        return None
    course_frames = [
        None if frames is None else read_sums(path, names, frames)
        for path, frames in zip(paths, on_course, strict=True)
    ]
    bins = BINS
    if any(video is not None and age_bins(len(video.counts)) is OLD_BINS for video in all_frames):
        bins, all_frames, course_frames = OLD_BINS, _coarsen(all_frames), _coarsen(course_frames)
    counts = np.stack([np.zeros(RETURNED + len(bins)) if v is None else v.counts for v in all_frames])
    used = [index for index in range(len(bins)) if counts[:, RETURNED + index].any()]
    (psnr,) = get_metrics([PSNR])
    cards = {PSNR: card_of(psnr, PSNR)} | {metric.name: _map_card(metric) for metric in mapped}
    tables = [
        {name: _scores(card, videos, used) for name, card in cards.items()}
        for videos in (all_frames, course_frames)
    ]
    return Recall(
        ages=tuple((bins[index][0], bins[index][-1]) for index in used),
        pixels=_pixel_counts(counts, used),
        metrics=tables[0],
        on_course=tables[1] if any(frames is not None for frames in on_course) else {},
        notes=_notes(all_frames),
    )


def explain_missing_masks(
    episodes: MaskedEpisodes, keys: Sequence[str], protocol: EvaluationProtocol
) -> str | None:
    """Return why the first video's recall masks cannot be used; None if they can.

    Raises `UserError` for masks that do not fit the frames.
    """
    masks = episodes.masks(keys[0])
    world = episodes.world_id
    if masks is None and world in world_ids() and not world_spec(world).knows_surfaces:
        return f"{keys[0]} has no recall masks, as world {world!r} cannot tell which surface a pixel shows"
    if masks is None:
        return (
            f"{keys[0]} has no recall masks; python -m loopcraft.masks adds them if the world knows its "
            "surfaces (voxel-v1, plaza-v1)"
        )
    if episodes.num_context != protocol.context:
        return (
            f"the recall masks are for {episodes.num_context} frames of context but {protocol.id} has "
            f"{protocol.context}"
        )
    if set(masks) != set(DTYPES):
        return f"the recall masks of {keys[0]} lack {', '.join(sorted(set(DTYPES) - set(masks)))}"
    height, width, _ = episodes.frames(keys[0], 0, 1).shape[1:]
    spread(masks["seen"][:1], height, width, keys[0])
    return None


def read_sums(
    path: Path, metrics: Sequence[str], frames: Bool[np.ndarray, " T"] | slice = slice(None)
) -> VideoSums | None:
    """Return a video's sums over some frames of its horizon; None if it was scored without masks.

    Metrics without a stored map are left out. Raises `UserError` if an array has the wrong shape.
    """
    with open_scores(path) as file:
        names = set(file.keys())
        if SURFACES not in names:
            return None
        errors = file.get_tensor(SURFACES)
        arrays = {
            name: file.get_tensor(name)
            for metric in metrics
            for name in (f"{SURFACES}.{metric}", f"{SURFACES}.{metric}{WEIGHTS}")
            if name in names
        }
    num_kinds = errors.shape[-1] // 2
    if errors.ndim != 2 or errors.shape[1] % 2 or age_bins(num_kinds) is None:
        raise UserError(f"{path}: {SURFACES} has the shape {errors.shape}, expected (T, 2 * kinds); {AGAIN}")
    squared, counts = errors[frames].sum(axis=0, dtype=np.float64).reshape(2, num_kinds)
    by_metric = {PSNR: np.stack([squared, 3.0 * counts])}
    for array in arrays.values():
        require_columns(path, array, num_kinds)
    for metric in metrics:
        if f"{SURFACES}.{metric}" in arrays:
            sums = arrays[f"{SURFACES}.{metric}"][frames].sum(axis=0, dtype=np.float64)
            weights = arrays.get(f"{SURFACES}.{metric}{WEIGHTS}")
            divisors = counts if weights is None else weights[frames].sum(axis=0, dtype=np.float64)
            by_metric[metric] = np.stack([sums, divisors])
    return VideoSums(by_metric, counts)


def value_of(name: str, sums: KindSums, kinds: slice | Sequence[int]) -> float:
    """Return a metric over all pixels of some kinds; NaN if the divisor is zero."""
    total, divisor = sums[:, kinds].sum(axis=1)
    if divisor <= 0:
        return float("nan")
    return float(decibels(np.array([total / divisor]))[0]) if name == PSNR else float(total / divisor)


def _coarsen(videos: Sequence[VideoSums | None]) -> list[VideoSums | None]:
    return [
        None
        if video is None
        else VideoSums(
            {name: merge_to_old_bins(sums) for name, sums in video.metrics.items()},
            merge_to_old_bins(video.counts),
        )
        for video in videos
    ]


def _map_card(metric: PairedMetric) -> MetricCard:
    card = card_of(metric, metric.name)
    return card if metric.map_title is None else replace(card, **metric.map_title._asdict())


def _scores(card: MetricCard, videos: Sequence[VideoSums | None], used: Sequence[int]) -> RecallScores:
    def over(kinds: slice | Sequence[int]) -> Float64[np.ndarray, " V"]:
        return np.array(
            [
                float("nan")
                if video is None or card.name not in video.metrics
                else value_of(card.name, video.metrics[card.name], kinds)
                for video in videos
            ]
        )

    return RecallScores(
        card=card,
        never_shown=measured(over([NEW])),
        in_sight=measured(over([IN_SIGHT])),
        returned=measured(over(slice(RETURNED, None))),
        by_age=tuple(measured(over([RETURNED + index])) for index in used),
    )


def _pixel_counts(counts: Float64[np.ndarray, "V kinds"], used: Sequence[int]) -> PixelCounts:
    def column(kind: int) -> tuple[int, ...]:
        return tuple(counts[:, kind].astype(int).tolist())

    return PixelCounts(
        sky=column(SKY),
        never_shown=column(NEW),
        in_sight=column(IN_SIGHT),
        by_age=tuple(column(RETURNED + index) for index in used),
    )


def _notes(videos: Sequence[VideoSums | None]) -> tuple[str, ...]:
    num_missing = sum(video is None for video in videos)
    if not num_missing:
        return ()
    return (f"{num_missing} of {len(videos)} videos have no matching recall masks and are left out",)
