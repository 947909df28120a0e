"""The lines that a run prints: its plan and its progress."""

import resource
import sys
from collections.abc import Callable, Sequence

from rich.console import Console

from benchmark.contract.data import frame_shape
from benchmark.harness.evaluation import Evaluation
from benchmark.harness.run_folder import Workspace
from loopcraft.core.progress import progress_bar


def plan_line(evaluation: Evaluation, workspace: Workspace) -> str:
    """Describe the run in one line."""
    _, height, width = frame_shape(evaluation.episodes)
    total = len(evaluation.keys)
    failed = len(workspace.failures(evaluation.keys))
    scored = total - failed - len(workspace.unfinished(evaluation.keys, evaluation.recorded))
    names = ", ".join(metric.name for metric in evaluation.scorer.metrics)
    done = f", {scored} done before" if scored else ""
    done += f", {failed} failed before (--retry-failed retries them)" if failed else ""
    return (
        f"{evaluation.source.model.name} on {evaluation.protocol.id}: {total} videos x "
        f"{evaluation.protocol.horizon} frames of {width}x{height}{done}; "
        f"batches of {evaluation.batch_size} on {evaluation.compute.device}; {names}"
    )


def score_with_progress(
    score: Callable[[Callable[[Sequence[str]], None]], dict[str, str]],
    evaluation: Evaluation,
    workspace: Workspace,
    console: Console,
) -> dict[str, str]:
    """Run `score` with a progress bar: videos, frames per second, peak memory, time left.

    `score` calls its argument with the videos of each batch that is done; those without scores count as
    failed. Returns what `score` returns.
    """
    todo = len(workspace.unfinished(evaluation.keys, evaluation.recorded))

    def note(videos_per_second: float) -> str:
        frames = videos_per_second * evaluation.protocol.horizon
        return f"{frames:.1f} frames/s, {_peak_memory_gib():.1f} GiB peak"

    with progress_bar("scoring", todo, "videos", note=note, console=console) as advance:

        def report(keys: Sequence[str]) -> None:
            advance(len(keys), failed=len(keys) - len(workspace.finished(keys)))

        return score(report)


def _peak_memory_gib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
