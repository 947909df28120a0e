"""Prepare an evaluation from its flags, checking everything that can be checked before the first rollout."""

from contextlib import ExitStack
from pathlib import Path

import torch

from benchmark.contract.compute import Compute
from benchmark.contract.data import Episodes, frame_shape
from benchmark.contract.model import FrameSource
from benchmark.contract.protocol import EvaluationProtocol, get_protocol
from benchmark.harness.evaluation import Evaluation, select_metrics
from benchmark.harness.score import Scorer
from benchmark.metrics import check_fit, get_metrics
from benchmark.metrics.base import Metric, Resources
from benchmark.setup.flags import Flags, MetricFlags
from benchmark.sources.source import ScoredSource, find_source, require_complete
from benchmark.weight_files.bundle import open_bundle
from loopcraft.core.cli import names_in
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.urls import as_given
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.executors.shard import shard_range


def prepare(
    flags: Flags, *, episodes: LoopcraftDataset | None = None, source: ScoredSource | None = None
) -> Evaluation:
    """Open data and model, unless given, and load the metrics; raise `UserError` if they do not fit together.

    For a shard, the evaluation has only the shard's videos, while `recorded` counts from the first of all.
    """
    flags.check()
    protocol = get_protocol(flags.task.protocol)
    names = names_in(flags.scoring.metrics.lower()) if flags.scoring.metrics else protocol.metrics
    metrics = get_metrics(names)
    is_elsewhere = flags.workers.executor == "ray"  # this machine may lack the device
    device = torch.device(flags.compute.device) if is_elsewhere else find_device(flags.compute.device)
    episodes = open_dataset(flags.data) if episodes is None else episodes
    compute = Compute(device=device, precision=flags.compute.precision)
    source = source or find_source(flags.source, flags.isolation, episodes, compute)
    with ExitStack() as on_failure:
        on_failure.callback(source.close)
        keys = _choose_videos(episodes, protocol, flags.data, flags.task.max_videos)
        shape = frame_shape(episodes)
        _check_frame_shape(source.model, shape)
        check_fit(metrics, protocol, shape)
        if not flags.source.allow_partial:
            require_complete(source.model, protocol, keys)
        scored_on = torch.device("cpu") if is_elsewhere else device
        scorer = _load_metrics(metrics, flags.scoring, scored_on, len(keys))
        part = shard_range(flags.workers.shard, len(keys), "videos")
        on_failure.pop_all()
    return Evaluation(
        source=source,
        episodes=episodes,
        keys=keys[part.start : part.stop],
        protocol=protocol,
        scorer=scorer,
        seed=flags.task.seed,
        compute=compute,
        batch_size=flags.compute.batch_size,
        recorded=frozenset(keys[: flags.folder.save_videos]),
    )


def _load_metrics(
    metrics: tuple[Metric, ...], flags: MetricFlags, device: torch.device, num_videos: int
) -> Scorer:
    """Load the metrics; raise `UserError` for a damaged file and, if strict, for any absent metric."""
    bundle = None if flags.weights is None else open_bundle(flags.weights)
    scorer = Scorer(metrics, Resources(device=device, weights=bundle))
    absent = {**scorer.absent, **select_metrics(metrics, num_videos)[1]}
    if flags.strict and absent:
        raise UserError("--strict: " + "; ".join(f"{name} {reason}" for name, reason in absent.items()))
    return scorer


def _choose_videos(
    episodes: Episodes, protocol: EvaluationProtocol, data: Path, max_videos: int | None
) -> tuple[str, ...]:
    """Return the first `max_videos` keys or all; raise `UserError` if there are none or one is too short."""
    keys = tuple(episodes.keys[:max_videos])
    if not keys:
        raise UserError(f"{as_given(data)}: holds no videos; generate some with python -m loopcraft.generate")
    for key in keys:
        if episodes.num_frames(key) < protocol.num_frames:
            raise UserError(
                f"{as_given(data)}: video {key} has {episodes.num_frames(key)} frames but {protocol.id} "
                f"needs {protocol.num_frames}: choose another --protocol or generate longer videos"
            )
    return keys


def _check_frame_shape(model: FrameSource, shape: tuple[int, int, int]) -> None:
    if model.frame_shape is not None and tuple(model.frame_shape) != shape:
        raise UserError(
            f"{model.name} makes frames of shape {tuple(model.frame_shape)} but the data set's are {shape}: "
            "choose a data set of that resolution, or set the model's by --model-args"
        )
