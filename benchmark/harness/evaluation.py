"""One run: score the videos batch by batch, then collect the scores into the result."""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.contract.compute import Compute
from benchmark.contract.conditioning import ACTIONS
from benchmark.contract.data import MaskedEpisodes, frame_shape
from benchmark.contract.model import (
    ContractError,
    RecordedFrames,
    checkpoint_of,
    conditioning_of,
    precision_of,
    role_of,
)
from benchmark.contract.protocol import EvaluationProtocol
from benchmark.harness.aggregate import aggregate_paired, aggregate_set
from benchmark.harness.crashes import record_crashes
from benchmark.harness.provenance import current_origin, provenance
from benchmark.harness.recall_scores import aggregate_recall, explain_missing_masks
from benchmark.harness.recording import record_blocks
from benchmark.harness.rollout import context_frames, rollout_blocks
from benchmark.harness.run_folder import CODE, Workspace
from benchmark.harness.score import (
    Scorer,
    count_too_dark,
    read_features,
    read_paired,
    read_seconds,
    score_videos,
)
from benchmark.harness.score_files import RUN, read_origin
from benchmark.harness.steering_scores import (
    aggregate_consistency,
    aggregate_steering,
    aggregate_surface_consistency,
    explain_missing_surfaces,
    read_steering,
)
from benchmark.metrics.base import Metric, PairedMetric, SetMetric
from benchmark.results.recall_schema import RECALL, SURFACE_PSNR, Consistency, Recall
from benchmark.results.result_file import Data, MetricResult, Model, Result
from benchmark.sources.chunks import TOO_DARK
from benchmark.sources.machine import (
    MachineError,
    PoisonedError,
    SpoiledProcessError,
    describe,
    failure_details,
    is_machine_failure,
)
from benchmark.sources.source import ScoredSource
from loopcraft.core.errors import UserCodeError, UserError
from loopcraft.core.files import encode_json

_MACHINE_FAILED = (
    "the machine failed twice in a row, which is not held against the model: repair it or choose another "
    "--device or --batch-size, then run the same command again"
)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A prepared run: model, videos, protocol and metrics; the frames of `recorded` videos are kept."""

    source: ScoredSource
    episodes: MaskedEpisodes
    keys: tuple[str, ...]
    protocol: EvaluationProtocol
    scorer: Scorer
    seed: int
    compute: Compute
    batch_size: int = 1
    recorded: frozenset[str] = frozenset()

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that two runs must share for one to continue with the scores of the other."""
        conditioning = conditioning_of(self.source.model)
        beyond_actions = {} if conditioning == ACTIONS else {"conditioning": list(conditioning)}
        code = self.source.code_sha256
        return {
            "protocol_hash": self.protocol.hash,
            "data_fingerprint": self.episodes.fingerprint,
            "model": self.source.spec,
            "name": self.source.model.name,
            "arguments": self.source.arguments,
            "checkpoint_sha256": checkpoint_of(self.source.model),
            "metrics": {metric.name: metric.version for metric in self.scorer.metrics},
            "weights": {file: sha for metric in self.scorer.metrics for file, sha in metric.weights.items()},
            "seed": self.seed,
            "precision": precision_of(self.source.model, self.compute),
            **({} if code is None else {CODE: code}),
            **beyond_actions,
        }

    @cached_property
    def digest(self) -> str:
        """A short hash of the identity without the model's code, which may change with --retry-failed."""
        hashed = {name: value for name, value in self.identity.items() if name != CODE}
        return hashlib.sha256(encode_json(hashed)).hexdigest()[:16]


def score_missing(
    evaluation: Evaluation, workspace: Workspace, report: Callable[[Sequence[str]], None]
) -> dict[str, str]:
    """Score the videos that are neither scored nor failed; call `report` with the keys of each batch.

    Returns and raises what `BatchScorer.score` does.
    """
    scorer = BatchScorer(evaluation, workspace)
    left: dict[str, str] = {}
    for keys in missing_batches(evaluation, workspace):
        left |= scorer.score(keys)
        report(keys)
    return left


def missing_batches(evaluation: Evaluation, workspace: Workspace) -> list[tuple[str, ...]]:
    """Return the videos that are neither scored nor failed, in batches."""
    todo, size = workspace.unfinished(evaluation.keys, evaluation.recorded), evaluation.batch_size
    return [tuple(todo[start : start + size]) for start in range(0, len(todo), size)]


class BatchScorer:
    """Scores batches one after another and saves why videos failed."""

    def __init__(self, evaluation: Evaluation, workspace: Workspace) -> None:
        self._evaluation, self._workspace = evaluation, workspace
        self._machine_failed = False

    def score(self, keys: Sequence[str]) -> dict[str, str]:
        """Score the unfinished videos of a batch.

        If the batch fails, its videos are generated one by one, so that only the culprits count as failed.
        Returns the reasons of the videos that the machine could not score: they do not count as failed, and a
        later run retries them. Raises `MachineError` if the machine fails twice in a row, and
        `SpoiledProcessError` if the model broke its device.
        """
        alone = set(self._workspace.alone)
        todo = self._workspace.unfinished(keys, self._evaluation.recorded)
        batches = deque([[key for key in todo if key not in alone], *([key] for key in todo if key in alone)])
        left: dict[str, str] = {}
        while batches:
            batch = batches.popleft()
            try:
                if batch:
                    _score_batch(self._evaluation, self._workspace, batch)
                    self._machine_failed = False
            except (ContractError, MachineError) as error:
                if len(batch) > 1 and not isinstance(error, PoisonedError):
                    batches.extendleft([key] for key in reversed(batch))
                elif isinstance(error, MachineError):
                    if self._machine_failed:
                        raise MachineError(f"{error}; {_MACHINE_FAILED}") from error
                    self._machine_failed = True
                    left[batch[0]] = str(error)
                else:
                    self._machine_failed = False
                    _blame(self._evaluation, self._workspace, batch, error)
        return left


def _blame(evaluation: Evaluation, workspace: Workspace, keys: Sequence[str], error: ContractError) -> None:
    """Save that the model failed on a video; raise `SpoiledProcessError` if it spoiled the process."""
    if len(keys) == 1:
        device = str(evaluation.compute.device)
        workspace.save_failure(keys[0], " ".join(str(error).split()), failure_details(error), device=device)
    else:
        workspace.make_alone(keys)
    if isinstance(error, PoisonedError):
        raise SpoiledProcessError(
            f"{error}; this process can no longer use the device: run the same command again to continue"
        ) from error


def _score_batch(evaluation: Evaluation, workspace: Workspace, keys: Sequence[str]) -> None:
    """Score a batch; raise `ContractError` if the model fails, `MachineError` if the machine does."""
    started = time.perf_counter()
    blocks = rollout_blocks(
        evaluation.source.model,
        evaluation.episodes,
        evaluation.protocol,
        keys,
        seed=evaluation.seed,
        compute=evaluation.compute,
    )
    paths = [workspace.video_path(key) if key in evaluation.recorded else None for key in keys]
    try:
        with (
            record_crashes(workspace.crash_path(keys[0]), keys),
            closing(record_blocks(blocks, paths)) as recorded,
        ):
            scores = score_videos(recorded, evaluation.scorer, evaluation.episodes, evaluation.protocol, keys)
    except (UserError, OSError):
        raise
    except Exception as error:  # raised by a metric
        if is_machine_failure(error):
            raise MachineError(f"scoring: {describe(error)}") from error
        raise
    seconds = (time.perf_counter() - started) / len(keys)
    origin = {**current_origin(evaluation.compute.device), RUN: evaluation.digest}
    for key, video in zip(keys, scores, strict=True):
        workspace.save_scores(key, video, seconds=seconds, origin=origin)


def collect(evaluation: Evaluation, workspace: Workspace, left: Mapping[str, str]) -> Result:
    """Return the result of the scored videos; raise `UserError` if there are none.

    `left` names the videos that the machine could not score, and why.
    """
    failed = {**workspace.failures(evaluation.keys), **left}
    keys = tuple(workspace.finished(evaluation.keys))
    if not keys:
        key, reason = next(iter(failed.items()))
        details = "" if key in left else workspace.failure_details(key)
        error = UserCodeError(f"no video was scored; {key}: {reason}", details)
        if details:
            error.add_note(details)  # callers in Python may have no folder to look into
        raise error
    with workspace.scores(keys) as paths:
        return _build_result(evaluation, keys, paths, failed)


def _build_result(
    evaluation: Evaluation, keys: tuple[str, ...], paths: Sequence[Path], failed: Mapping[str, str]
) -> Result:
    metrics, too_few = select_metrics(evaluation.scorer.metrics, len(keys))
    steering = read_steering(paths, keys, evaluation.episodes, evaluation.protocol)
    by_surface = aggregate_surface_consistency(paths)
    on_course = [None if video is None else video.on_course for video in steering]
    recall = aggregate_recall(paths, metrics, on_course)
    no_memory = _missing_memory(evaluation, keys, recall, by_surface)
    return Result(
        protocol=evaluation.protocol,
        protocol_hash=evaluation.protocol.hash,
        data=Data(
            fingerprint=evaluation.episodes.fingerprint,
            world_id=evaluation.episodes.world_id,
            frame_shape=frame_shape(evaluation.episodes),
            keys=keys,
        ),
        model=_describe_model(evaluation, paths),
        metrics=_aggregate(metrics, paths, evaluation.protocol),
        absent={**evaluation.scorer.absent, **too_few, **no_memory},
        failed=failed,
        provenance=provenance(
            seed=evaluation.seed,
            origins=({**current_origin(evaluation.compute.device), **read_origin(path)} for path in paths),
            seconds=sum(map(read_seconds, paths)),
        ),
        recall=recall,
        steering=aggregate_steering(steering),
        consistency=aggregate_consistency(paths, metrics, evaluation.protocol.context) | by_surface,
    )


def _missing_memory(
    evaluation: Evaluation,
    keys: Sequence[str],
    recall: Recall | None,
    by_surface: Mapping[str, Consistency],
) -> dict[str, str]:
    """Return why recall or consistency by surface is absent, by name; empty if both are there."""
    if recall is not None:
        return {} if by_surface else {SURFACE_PSNR: explain_missing_surfaces(evaluation.episodes)}
    reason = explain_missing_masks(evaluation.episodes, keys, evaluation.protocol)
    return {RECALL: reason or "the videos had no recall masks when they were scored; choose another --out"}


def select_metrics(metrics: Sequence[Metric], num_videos: int) -> tuple[list[Metric], dict[str, str]]:
    """Return the metrics for which there are enough videos, and why each of the others is absent."""
    too_few = {
        metric.name: f"needs at least {metric.fewest_videos} videos, but {num_videos} were scored"
        for metric in metrics
        if isinstance(metric, SetMetric) and num_videos < metric.fewest_videos
    }
    return [metric for metric in metrics if metric.name not in too_few], too_few


def _describe_model(evaluation: Evaluation, paths: Sequence[Path]) -> Model:
    model = evaluation.source.model
    too_dark = count_too_dark(paths)
    notes = [f"{too_dark} of {len(paths)} videos hold {TOO_DARK}"] if too_dark else []
    return Model(
        name=model.name,
        spec=evaluation.source.spec,
        arguments=evaluation.source.arguments,
        role=role_of(model),
        source="playback" if isinstance(model, RecordedFrames) else "rollout",
        precision=precision_of(model, evaluation.compute),
        context_frames=context_frames(model, evaluation.protocol),
        checkpoint_sha256=checkpoint_of(model),
        notes=(*getattr(model, "notes", ()), *notes),
        conditioning=conditioning_of(model),
    )


def _aggregate(
    metrics: Sequence[Metric], paths: Sequence[Path], protocol: EvaluationProtocol
) -> Mapping[str, MetricResult]:
    results: dict[str, MetricResult] = {}
    for metric in metrics:
        if isinstance(metric, PairedMetric):
            results.update(aggregate_paired(metric, read_paired(paths, metric), protocol))
        elif isinstance(metric, SetMetric):
            features = read_features(paths, metric.embedding, protocol.horizon)
            results[metric.name] = aggregate_set(metric, features, protocol)
    return results
