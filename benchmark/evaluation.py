"""One run, from what is asked to the result: videos are scored batch by batch and collected at the end."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.aggregate import aggregate_paired, aggregate_set
from benchmark.contestant import Contestant
from benchmark.device import Compute
from benchmark.episodes import MaskedEpisodes, frame_shape
from benchmark.metrics.base import Metric, PairedMetric, SetMetric
from benchmark.model import ContractError, Playback, checkpoint_of, precision_of, role_of
from benchmark.protocol import EvaluationProtocol
from benchmark.provenance import provenance
from benchmark.recording import recorded
from benchmark.results import Data, MetricResult, Model, Result
from benchmark.rollout import context_frames, rollout_blocks
from benchmark.score import Scorer, read_features, read_paired, read_seconds, score_videos
from benchmark.workspace import Workspace
from loopcraft.cli import UserError


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A run made ready: who is asked what, on which videos, and of which the frames are kept."""

    contestant: Contestant
    episodes: MaskedEpisodes
    keys: tuple[str, ...]
    protocol: EvaluationProtocol
    scorer: Scorer
    seed: int
    compute: Compute
    recorded: frozenset[str] = frozenset()

    @property
    def identity(self) -> dict[str, Any]:
        """What two runs must share for one to go on with the other's scores."""
        return {
            "protocol_hash": self.protocol.hash,
            "data_fingerprint": self.episodes.fingerprint,
            "model": self.contestant.spec,
            "name": self.contestant.model.name,
            "arguments": self.contestant.arguments,
            "checkpoint_sha256": checkpoint_of(self.contestant.model),
            "metrics": {metric.name: metric.version for metric in self.scorer.metrics},
            "weights": {file: sha for metric in self.scorer.metrics for file, sha in metric.weights.items()},
            "seed": self.seed,
            "precision": precision_of(self.contestant.model, self.compute),
        }


def score_missing(
    evaluation: Evaluation, workspace: Workspace, batch_size: int, report: Callable[[int], None]
) -> None:
    """Score the videos that are neither scored nor failed; `report` is told the videos of each batch done."""
    todo = workspace.unfinished(evaluation.keys, evaluation.recorded)
    for start in range(0, len(todo), batch_size):
        batch = todo[start : start + batch_size]
        _score_batch(evaluation, workspace, batch)
        report(len(batch))


def _score_batch(evaluation: Evaluation, workspace: Workspace, keys: Sequence[str]) -> None:
    """Score videos together; where the model fails, one by one, so that only the culprits are failed."""
    started = time.perf_counter()
    blocks = rollout_blocks(
        evaluation.contestant.model,
        evaluation.episodes,
        evaluation.protocol,
        keys,
        seed=evaluation.seed,
        compute=evaluation.compute,
    )
    paths = [workspace.video_path(key) if key in evaluation.recorded else None for key in keys]
    try:
        with closing(recorded(blocks, paths)) as kept:
            scores = score_videos(kept, evaluation.scorer, evaluation.episodes, evaluation.protocol, keys)
    except ContractError as error:
        if len(keys) == 1:
            workspace.save_failure(keys[0], error)
        else:
            for key in keys:
                _score_batch(evaluation, workspace, [key])
        return
    seconds = (time.perf_counter() - started) / len(keys)
    for key, video in zip(keys, scores, strict=True):
        workspace.save_scores(key, video, seconds=seconds)


def collect(evaluation: Evaluation, workspace: Workspace) -> Result:
    """The result of what has been scored; raises `UserError` if that is nothing."""
    failed = workspace.failures(evaluation.keys)
    keys = tuple(workspace.finished(evaluation.keys))
    if not keys:
        key, reason = next(iter(failed.items()))
        raise UserError(f"no video was scored; {key}: {reason} (traceback in {workspace.failure_path(key)})")
    paths = [workspace.scores_path(key) for key in keys]
    metrics, too_few = enough_videos(evaluation.scorer.metrics, len(keys))
    return Result(
        protocol=evaluation.protocol,
        protocol_hash=evaluation.protocol.hash,
        data=Data(
            fingerprint=evaluation.episodes.fingerprint,
            world_id=evaluation.episodes.world_id,
            frame_shape=frame_shape(evaluation.episodes),
            keys=keys,
        ),
        model=_describe_model(evaluation),
        metrics=_aggregate(metrics, paths, evaluation.protocol),
        absent={**evaluation.scorer.absent, **too_few},
        failed=failed,
        provenance=provenance(
            seed=evaluation.seed, device=evaluation.compute.device, seconds=sum(map(read_seconds, paths))
        ),
    )


def enough_videos(metrics: Sequence[Metric], num_videos: int) -> tuple[list[Metric], dict[str, str]]:
    """The metrics that so many videos suffice for, and why each of the others is absent."""
    too_few = {
        metric.name: f"needs at least {metric.fewest_videos} videos, and {num_videos} were scored"
        for metric in metrics
        if isinstance(metric, SetMetric) and num_videos < metric.fewest_videos
    }
    return [metric for metric in metrics if metric.name not in too_few], too_few


def _describe_model(evaluation: Evaluation) -> Model:
    model = evaluation.contestant.model
    return Model(
        name=model.name,
        spec=evaluation.contestant.spec,
        arguments=evaluation.contestant.arguments,
        role=role_of(model),
        source="playback" if isinstance(model, Playback) else "rollout",
        precision=precision_of(model, evaluation.compute),
        context_frames=context_frames(model, evaluation.protocol),
        checkpoint_sha256=checkpoint_of(model),
        notes=tuple(getattr(model, "notes", ())),
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
