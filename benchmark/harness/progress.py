"""What a run says while it goes on."""

import resource
import sys
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmark.contract.data import frame_shape
from benchmark.harness.evaluation import Evaluation
from benchmark.harness.run_folder import Workspace


def plan_line(evaluation: Evaluation, workspace: Workspace) -> str:
    """What is going to happen, in one line."""
    _, height, width = frame_shape(evaluation.episodes)
    total = len(evaluation.keys)
    todo = len(workspace.unfinished(evaluation.keys, evaluation.recorded))
    names = ", ".join(metric.name for metric in evaluation.scorer.metrics)
    done = f", {total - todo} done before" if todo < total else ""
    return (
        f"{evaluation.source.model.name} on {evaluation.protocol.id}: {total} videos x "
        f"{evaluation.protocol.horizon} frames of {width}x{height}{done}; "
        f"batches of {evaluation.batch_size} on {evaluation.compute.device}; {names}"
    )


def score_with_progress(
    score: Callable[[Callable[[int], None]], dict[str, str]],
    evaluation: Evaluation,
    workspace: Workspace,
    console: Console,
) -> dict[str, str]:
    """Score what is missing and show how far it is: videos, frames a second, peak memory, time left.

    `score` does it and calls what it is given with the number of videos done. Returns what it returns.
    """
    todo = len(workspace.unfinished(evaluation.keys, evaluation.recorded))
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

        return score(report)


def _peak_memory_gib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
