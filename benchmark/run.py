"""Score a model on a data set: rollouts of every video, per-frame scores, one result file.

A killed run goes on where it was when the same command is given again.
"""

import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmark.device import find_device
from benchmark.episodes import Episodes, frame_shape
from benchmark.evaluation import Evaluation, collect, score_missing
from benchmark.metrics import check_fit, get_metrics
from benchmark.metrics.base import Resources
from benchmark.model import FrameSource, load_model
from benchmark.protocol import EvaluationProtocol, get_protocol
from benchmark.score import Scorer
from benchmark.workspace import Workspace
from loopcraft.cli import EXIT_FAILED, EXIT_OK, UserError, run
from loopcraft.dataset import open_dataset


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What is scored, on what, and where the result goes."""

    model: str
    """A registered model, or package.module:factory."""
    data: Path
    """The data set's folder."""
    out: Path
    """The run's folder; result.json appears in it."""
    protocol: str = "loopcraft-v1"
    """loopcraft-v1 (256 frames of context, 768 generated) or loopcraft-mini (64, 192)."""
    metrics: str = ""
    """Names separated by commas; the protocol's own if empty."""
    model_args: str = "{}"
    """A JSON object of arguments for the model's factory."""
    max_videos: int | None = None
    """Score only the first so many videos."""
    batch_size: int = 1
    """Videos that the model rolls out at a time."""
    device: str = "cpu"
    """Where the model gets its context and the metrics compute: cpu, cuda, cuda:1 ..."""
    seed: int = 0
    """Root of every video's sampling noise."""
    retry_failed: bool = False
    """Try the videos again that failed before."""


def evaluate(flags: Flags) -> int:
    """Score what is missing, then write the result."""
    console = Console(stderr=True, highlight=False)
    evaluation = prepare(flags)
    workspace = Workspace(flags.out, evaluation.identity)
    if flags.retry_failed:
        workspace.forget_failures(evaluation.keys)
    todo = len(workspace.unfinished(evaluation.keys))
    console.print(plan_line(evaluation, todo, flags.batch_size))
    _score_with_progress(evaluation, workspace, flags.batch_size, todo, console)
    result = collect(evaluation, workspace)
    workspace.save_result(result)
    for name, reason in {**result.absent, **result.failed}.items():
        console.print(f"{name}: {reason}", style="red", markup=False)
    if result.failed:
        console.print(f"{len(result.failed)} videos failed: tracebacks in {workspace.root / 'failures'}")
    print(f"wrote {workspace.result_path}")
    return EXIT_FAILED if result.failed else EXIT_OK


def prepare(flags: Flags) -> Evaluation:
    """Check everything that can be checked before the first rollout."""
    protocol = get_protocol(flags.protocol)
    metrics = get_metrics(flags.metrics.split(",") if flags.metrics else protocol.metrics)
    if flags.batch_size < 1 or (flags.max_videos is not None and flags.max_videos < 1):
        raise UserError("--batch-size and --max-videos must be at least 1")
    device = find_device(flags.device)
    model = load_model(flags.model, flags.model_args)
    episodes = open_dataset(flags.data)
    keys = choose_videos(episodes, protocol, flags.data, flags.max_videos)
    shape = frame_shape(episodes)
    _check_frame_shape(model, shape)
    check_fit(metrics, protocol, shape)
    return Evaluation(
        model=model,
        spec=flags.model,
        arguments=json.dumps(json.loads(flags.model_args), sort_keys=True),
        episodes=episodes,
        keys=keys,
        protocol=protocol,
        scorer=Scorer(metrics, Resources(device=device)),
        seed=flags.seed,
        device=device,
    )


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


def plan_line(evaluation: Evaluation, todo: int, batch_size: int) -> str:
    """What is going to happen, in one line."""
    _, height, width = frame_shape(evaluation.episodes)
    total = len(evaluation.keys)
    names = ", ".join(metric.name for metric in evaluation.scorer.metrics)
    done = f", {total - todo} done before" if todo < total else ""
    return (
        f"{evaluation.model.name} on {evaluation.protocol.id}: {total} videos x "
        f"{evaluation.protocol.horizon} frames of {width}x{height}{done}; "
        f"batches of {batch_size} on {evaluation.device}; {names}"
    )


def _score_with_progress(
    evaluation: Evaluation, workspace: Workspace, batch_size: int, todo: int, console: Console
) -> None:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("videos, {task.fields[rate]}, {task.fields[memory]}, left:"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not todo) as progress:
        task = progress.add_task("scoring", total=todo, rate="-- frames/s", memory="-- GiB")

        def report(videos: int) -> None:
            progress.update(task, advance=videos)
            state = progress.tasks[task]
            rate = state.completed * evaluation.protocol.horizon / (state.elapsed or 1.0)
            progress.update(task, rate=f"{rate:.1f} frames/s", memory=f"{_peak_memory_gib():.1f} GiB")

        score_missing(evaluation, workspace, batch_size, report)


def _peak_memory_gib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


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
