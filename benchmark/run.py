"""Score a model on a data set: roll out every video, score every frame, write one result file.

Progress is stored on disk: run the same command again to resume.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.contract.compute import Compute
from benchmark.contract.data import Episodes, frame_shape
from benchmark.contract.model import FrameSource
from benchmark.contract.precision import Precision
from benchmark.contract.protocol import EvaluationProtocol, get_protocol
from benchmark.harness.evaluation import Evaluation, collect, enough_videos
from benchmark.harness.progress import plan_line, score_with_progress
from benchmark.harness.recall_notice import recall_notices
from benchmark.harness.recovery import recover
from benchmark.harness.run_folder import Workspace
from benchmark.harness.score import Scorer
from benchmark.harness.soundness import check_data
from benchmark.metrics import check_fit, get_metrics
from benchmark.metrics.base import Metric, Resources
from benchmark.results.recall_schema import RECALL
from benchmark.sources.loading import parse_model_args
from benchmark.sources.source import IsolationFlags, ScoredSource, find_source, require_whole
from benchmark.weight_files.bundle import open_bundle
from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, names_in, printable, run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.writing import writing_to
from loopcraft.dataset import LoopcraftDataset, open_dataset


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What is scored, on what, and where the result goes."""

    data: Path
    """The data set: a folder, or hf://ORG/NAME."""
    out: Path
    """The run's folder; result.json is written to it."""
    model: str | None = None
    """A registered model, package.module:factory, or the http://HOST:PORT of benchmark.serve."""
    model_args: str = "{}"
    """A JSON object of arguments for the model's factory."""
    checkpoint: str | None = None
    """Short for "checkpoint" among --model-args: "published", a folder of trained weights, or hf://ORG/NAME."""
    predictions: Path | None = None
    """Instead of a model: a folder with the frames of the horizon in KEY.mp4, KEY.npz or KEY/*.png."""
    name: str | None = None
    """What tables call the model that made the predictions."""
    with_poses: bool = False
    """The model that made the predictions was given camera poses too, not the actions alone."""
    allow_partial: bool = False
    """Score predictions even if some are missing or of another length; the result names those."""
    protocol: str = "loopcraft-v1"
    """loopcraft-v1 (256 frames of context, 768 generated) or loopcraft-mini (64, 192); for test sets of
    loopcraft.generate --select realised, loopcraft-recall-v1 and loopcraft-recall-mini."""
    metrics: str = ""
    """Names separated by commas; the protocol's own if empty."""
    weights: Path | None = None
    """The folder of pretrained networks fetched by python -m benchmark.weights."""
    strict: bool = False
    """Stop if a metric cannot be computed, instead of naming it in the result."""
    max_videos: int | None = None
    """Score only the first N videos."""
    batch_size: int = 1
    """Videos that the model rolls out at a time."""
    device: str = "cpu"
    """Device of the model's context and of the metrics: cpu, cuda, cuda:1 ..."""
    precision: Precision = "float32"
    """Run the model under torch's autocast to this type; float32 means no autocast."""
    seed: int = 0
    """Root of every video's sampling noise."""
    retry_failed: bool = False
    """Try again the videos that failed before."""
    save_videos: int = 4
    """Keep the generated frames of the first N videos, losslessly, for the report."""
    isolation: IsolationFlags = field(default_factory=IsolationFlags)


def evaluate(flags: Flags) -> int:
    """Score what is missing, then write the result."""
    flags, given = with_absolute_paths(flags), flags
    evaluation = prepare(flags)
    with closing(evaluation.source), writing_to(flags.out, swept=()):
        return _evaluate(flags, given, evaluation)


def _evaluate(flags: Flags, given: Flags, evaluation: Evaluation) -> int:
    console = Console(stderr=True, highlight=False)
    assert isinstance(evaluation.episodes, LoopcraftDataset)
    for warning in check_data(evaluation.episodes, evaluation.keys):
        console.print(printable(f"warning: {warning}"), style="yellow", markup=False, soft_wrap=True)
    for notice in recall_notices(evaluation.episodes, evaluation.keys, evaluation.protocol):
        console.print(printable(notice), style="yellow", markup=False, soft_wrap=True)
    workspace = Workspace(flags.out, evaluation.identity)
    if flags.retry_failed:
        workspace.forget_failures(evaluation.keys)
    for line in recover(evaluation, workspace):
        console.print(line, style="yellow", markup=False, soft_wrap=True)
    console.print(plan_line(evaluation, workspace, flags.batch_size), markup=False, soft_wrap=True)
    left = score_with_progress(evaluation, workspace, flags.batch_size, console)
    result = collect(evaluation, workspace, left)
    workspace.save_result(result)
    for name, reason in {**result.absent, **result.failed}.items():
        if name == RECALL:
            continue  # said before the run
        console.print(printable(f"{name}: {reason}"), style="red", markup=False, soft_wrap=True)
    for note in result.model.notes:
        note = printable(f"{result.model.name}: {note}")
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    for name, metric in result.headline.items():
        for note in metric.notes:
            console.print(f"{name}: {note}", style="yellow", markup=False, soft_wrap=True)
    if result.failed:
        console.print(
            f"{len(result.failed)} videos are left out: see {workspace.root / 'failures'}", soft_wrap=True
        )
    print(f"wrote {given.out / workspace.result_path.name}")
    return EXIT_FAILED if result.failed and not flags.allow_partial else EXIT_OK


def prepare(
    flags: Flags, *, episodes: LoopcraftDataset | None = None, source: ScoredSource | None = None
) -> Evaluation:
    """Check everything that can be checked before the first rollout; open what is not given."""
    protocol = get_protocol(flags.protocol)
    metrics = get_metrics(names_in(flags.metrics.lower()) if flags.metrics else protocol.metrics)
    if flags.batch_size < 1 or (flags.max_videos is not None and flags.max_videos < 1):
        raise UserError("--batch-size and --max-videos must be at least 1")
    device = find_device(flags.device)
    episodes = episodes or open_dataset(flags.data)
    source = source or find_source(
        model=flags.model,
        arguments=model_arguments(flags.model_args, flags.checkpoint),
        predictions=flags.predictions,
        name=flags.name,
        with_poses=flags.with_poses,
        episodes=episodes,
        compute=Compute(device=device, precision=flags.precision),
        isolation=flags.isolation,
    )
    keys = choose_videos(episodes, protocol, flags.data, flags.max_videos)
    shape = frame_shape(episodes)
    _check_frame_shape(source.model, shape)
    check_fit(metrics, protocol, shape)
    if not flags.allow_partial:
        require_whole(source.model, protocol, keys)
    return Evaluation(
        source=source,
        episodes=episodes,
        keys=keys,
        protocol=protocol,
        scorer=load_metrics(metrics, flags, len(keys)),
        seed=flags.seed,
        compute=Compute(device=device, precision=flags.precision),
        recorded=frozenset(keys[: flags.save_videos]),
    )


def with_absolute_paths(flags: Flags) -> Flags:
    """The same files, whatever directory a model changes to."""

    def absolute(path: Path | None) -> Path | None:
        return path if path is None or str(path).startswith("hf:/") else path.absolute()

    named = {name: absolute(getattr(flags, name)) for name in ("data", "out", "predictions", "weights")}
    return dataclasses.replace(flags, **named)  # type: ignore[arg-type]  # data and out stay paths


def model_arguments(model_args: str, checkpoint: str | None) -> Mapping[str, Any]:
    """--model-args with --checkpoint among them; raises `UserError` if both name one."""
    arguments = parse_model_args(model_args)
    if checkpoint is not None:
        if "checkpoint" in arguments:
            raise UserError("--checkpoint and --model-args both name a checkpoint: leave one out")
        arguments["checkpoint"] = checkpoint
    return arguments


def load_metrics(metrics: Sequence[Metric], flags: Flags, num_videos: int) -> Scorer:
    """The metrics made ready; raises `UserError` for a damaged file, and if strict for any absent metric."""
    bundle = None if flags.weights is None else open_bundle(flags.weights)
    scorer = Scorer(metrics, Resources(device=find_device(flags.device), weights=bundle))
    absent = {**scorer.absent, **enough_videos(metrics, num_videos)[1]}
    if flags.strict and absent:
        raise UserError("--strict: " + "; ".join(f"{name} {reason}" for name, reason in absent.items()))
    return scorer


def choose_videos(
    episodes: Episodes, protocol: EvaluationProtocol, data: Path, max_videos: int | None
) -> tuple[str, ...]:
    """The first `max_videos` keys (None: all); raises `UserError` if one of them is too short."""
    keys = tuple(episodes.keys[:max_videos])
    if not keys:
        raise UserError(f"{data}: holds no videos; generate some with python -m loopcraft.generate")
    for key in keys:
        if episodes.num_frames(key) < protocol.num_frames:
            raise UserError(
                f"{data}: video {key} has {episodes.num_frames(key)} frames and {protocol.id} needs "
                f"{protocol.num_frames}: choose another --protocol or generate longer videos"
            )
    return keys


def _check_frame_shape(model: FrameSource, found: tuple[int, int, int]) -> None:
    if model.frame_shape is not None and tuple(model.frame_shape) != found:
        raise UserError(
            f"{model.name} makes frames of shape {tuple(model.frame_shape)} and the data set's are {found}: "
            f"choose a data set of that resolution"
        )


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, evaluate, argv)


if __name__ == "__main__":
    raise SystemExit(main())
