"""Aggregate the scores of single videos into a result's steering and consistency."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float64

from benchmark.contract.data import MaskedEpisodes
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.harness.aggregate import card_of
from benchmark.harness.score_files import open_scores, require_columns
from benchmark.memory.collector import FACES, LOOPS, STEERING
from benchmark.memory.faces import NUM_COLUMNS
from benchmark.memory.replay import has_world_seeds
from benchmark.metrics.base import Metric, PairedMetric
from benchmark.metrics.psnr import decibels
from benchmark.results.estimates import Measured, MetricCard, measured
from benchmark.results.recall_schema import SURFACE_PSNR, Consistency, Steering
from loopcraft.walks.actions import Action

TURN_TOLERANCE_DEG = 5.0
"""A yaw change follows the true one if it differs by at most half a turn."""
DEAD_BAND_DEG = 2.5
"""Deviations of a frame's yaw change up to this are attributed to the estimator and not summed."""
COURSE_TOLERANCE_DEG = 15.0
"""The model is on course while the sum of its deviations is at most this."""
LONGEST_LAG_FRAMES = 8
CLEAR_CORRELATION = 0.5
"""Below this, no lag is reported: at no lag do the pictures turn with the actions."""
SURFACE_CARD = MetricCard(
    name=SURFACE_PSNR,
    version=1,
    title="PSNR by surface",
    unit="dB",
    higher_is_better=True,
    decimals=2,
    kind="paired",
    weights={},
)
WALKING_BLOCKS = 0.1
"""A forward frame counts as walking if the agent moved at least this far, so not against a wall."""
STILL_SHARE = 0.25
"""A picture stands still if it changes by less than this share of the true picture's change."""


@dataclass(frozen=True)
class Steered:
    """The steering of one video: the numbers of `Steering` (NaN if undefined) and the frames on course."""

    numbers: dict[str, float]
    on_course: Bool[np.ndarray, " T"]


def read_steering(
    paths: Sequence[Path], keys: Sequence[str], episodes: MaskedEpisodes, protocol: EvaluationProtocol
) -> list[Steered | None]:
    """Read the steering of every video; None for videos scored before steering was measured."""
    videos: list[Steered | None] = []
    for path, key in zip(paths, keys, strict=True):
        with open_scores(path) as file:
            rows = file.get_tensor(STEERING) if STEERING in set(file.keys()) else None
        if rows is not None:
            require_columns(path, rows, 4)
        states = episodes.states(key)[protocol.context - 1 : protocol.num_frames]
        if rows is None:
            videos.append(None)
        else:
            videos.append(measure_steering(rows.astype(np.float64), states.astype(np.float64)))
    return videos


def measure_steering(rows: Float[np.ndarray, "T 4"], states: Float[np.ndarray, "T+1 6"]) -> Steered:
    """Return the steering in T frames; `states` begins one frame earlier."""
    true_turns = (np.diff(states[:, 4]) + 180.0) % 360.0 - 180.0
    is_turn = np.abs(true_turns) > TURN_TOLERANCE_DEG
    moved = np.linalg.norm(np.diff(states[:, [1, 3]], axis=0), axis=1)
    is_walk = (states[1:, 0] == Action.FORWARD) & (moved >= WALKING_BLOCKS)
    errors, true_errors = rows[:, 0] - true_turns, rows[:, 2] - true_turns
    on_course = _on_course(errors)
    return Steered(
        numbers={
            "turns_followed": _mean(np.abs(errors) <= TURN_TOLERANCE_DEG, is_turn),
            "on_course": float(on_course.mean()),
            "yaw_error_deg": float(np.abs(errors).mean()),
            "lag_frames": lag(rows[:, 0], true_turns),
            "standing_still": _mean(rows[:, 1] < STILL_SHARE * rows[:, 3], is_walk & (rows[:, 3] > 0)),
            "true_yaw_error_deg": float(np.abs(true_errors).mean()),
            "true_on_course": float(_on_course(true_errors).mean()),
        },
        on_course=on_course,
    )


def lag(turns: Float[np.ndarray, " T"], true_turns: Float[np.ndarray, " T"]) -> float:
    """Return the delay of `turns` in frames that correlates best with the true turns; NaN if none does."""
    highest, best_shift = CLEAR_CORRELATION, float("nan")
    for shift in sorted(range(-LONGEST_LAG_FRAMES, LONGEST_LAG_FRAMES + 1), key=abs):
        shifted = turns[max(0, shift) : len(turns) + min(0, shift)]
        truth = true_turns[max(0, -shift) : len(turns) + min(0, -shift)]
        if shifted.std() > 0 and truth.std() > 0:
            correlation = float(np.corrcoef(shifted, truth)[0, 1])
            if correlation > highest:
                highest, best_shift = correlation, float(shift)
    return best_shift


def aggregate_steering(videos: Sequence[Steered | None]) -> Steering | None:
    """Return the steering of a run; None if no video has any."""
    if all(video is None for video in videos):
        return None
    names = next(video for video in videos if video is not None).numbers
    return Steering(**{name: _measured(videos, name) for name in names})


def aggregate_consistency(
    paths: Sequence[Path], metrics: Sequence[Metric], context: int
) -> dict[str, Consistency]:
    """Return a run's consistency by every paired metric, over the loops of its videos' walks."""
    by_metric = {}
    for metric in metrics:
        if isinstance(metric, PairedMetric):
            rows = np.array([_loop_means(path, metric.name, context) for path in paths])
            if not np.isnan(rows).all():
                by_metric[metric.name] = _consistency(card_of(metric, metric.name), rows)
    return by_metric


def _consistency(card: MetricCard, rows: Float64[np.ndarray, "V 4"]) -> Consistency:
    with_itself, with_truth, with_context, possible = (measured(column) for column in rows.T)
    return Consistency(
        card=card,
        with_itself=with_itself,
        with_truth=with_truth,
        with_context=with_context,
        possible=possible,
    )


def _loop_means(path: Path, metric: str, context: int) -> Float64[np.ndarray, "4"]:
    """Return a video's means over its loops, in the order of `Consistency`; NaN without loops."""
    means = np.full(4, np.nan)
    with open_scores(path) as file:
        if f"{LOOPS}.{metric}" not in set(file.keys()):
            return means
        loops, scores, frames = (
            file.get_tensor(name).astype(np.float64) for name in (LOOPS, f"{LOOPS}.{metric}", metric)
        )
    require_columns(path, loops, 2)
    require_columns(path, scores, 2)
    is_own = loops[:, 1] >= context
    if is_own.any():
        truth = frames[loops[is_own, 0].astype(int) - context, 0]
        means[[0, 1, 3]] = scores[is_own, 0].mean(), truth.mean(), scores[is_own, 1].mean()
    if not is_own.all():
        means[2] = scores[~is_own, 0].mean()
    return means


def aggregate_surface_consistency(paths: Sequence[Path]) -> dict[str, Consistency]:
    """Return a run's consistency on block faces that come back into sight; empty if no video has any."""
    rows = np.array([_face_psnr(path) for path in paths])
    return {} if np.isnan(rows).all() else {SURFACE_PSNR: _consistency(SURFACE_CARD, rows)}


def _face_psnr(path: Path) -> Float64[np.ndarray, "4"]:
    """Return a video's PSNR over all compared pixels, in the order of `Consistency`; NaN without pixels."""
    with open_scores(path) as file:
        rows = file.get_tensor(FACES) if FACES in set(file.keys()) else np.zeros((1, NUM_COLUMNS), np.float32)
    require_columns(path, rows, NUM_COLUMNS)
    own, with_itself, with_truth, possible, shown, with_context = rows.sum(axis=0, dtype=np.float64)
    counts = 3.0 * np.array([own, own, shown, own])
    errors = np.array([with_itself, with_truth, with_context, possible])
    return np.where(counts > 0, decibels(errors / np.maximum(counts, 1.0)), np.nan)


def explain_missing_surfaces(episodes: MaskedEpisodes) -> str:
    """Return why a run with recall has no consistency by surface."""
    if not has_world_seeds(episodes):
        return "the data set does not say in which worlds it was played"
    return (
        "the walks take another path when played again, or no face comes back into sight, or an older "
        "version scored the videos; use the versions that dataset.json names, and another --out"
    )


def _on_course(errors: Float[np.ndarray, " T"]) -> Bool[np.ndarray, " T"]:
    heading = np.cumsum(np.where(np.abs(errors) > DEAD_BAND_DEG, errors, 0.0))
    is_on_course: Bool[np.ndarray, " T"] = np.abs(heading) <= COURSE_TOLERANCE_DEG
    return is_on_course


def _mean(values: Bool[np.ndarray, " T"], where: Bool[np.ndarray, " T"]) -> float:
    return float(values[where].mean()) if where.any() else float("nan")


def _measured(videos: Sequence[Steered | None], name: str) -> Measured:
    return measured(np.array([float("nan") if video is None else video.numbers[name] for video in videos]))
