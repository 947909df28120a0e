"""Score a model on a data set: roll out every video, score every frame, write one result file.

Progress is stored on disk: run the same command again to resume.

--shard 2/8 scores the second eighth of the videos, on any machine. The shards of a run may write to one
folder at the same time; they write no result. When all have ended, run the command without --shard: it scores
what killed shards left out and writes the result.
"""

from collections.abc import Mapping
from functools import partial

from rich.console import Console

from benchmark.harness.evaluation import Evaluation
from benchmark.harness.progress import plan_line, score_with_progress
from benchmark.harness.run_folder import RESULT, Workspace
from benchmark.results.recall_schema import RECALL
from benchmark.setup.flags import Flags
from benchmark.setup.prepare import prepare
from benchmark.setup.whole_run import Score, complete, complete_shard
from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, printable, run
from loopcraft.core.urls import path_at


def evaluate(flags: Flags) -> int:
    """Score the unfinished videos and write the result, or with --shard print how many are scored."""
    given, flags = path_at(flags.out), flags.with_absolute_paths()
    evaluation = prepare(flags)
    if not flags.workers.is_shard:
        failed, last = _evaluate(flags, evaluation), f"wrote {given / RESULT}"
    else:
        watch = partial(_watch, evaluation)
        failed = complete_shard(flags, evaluation, warn=_warn, notify=_notify, watch=watch)
        _print_failures(flags, evaluation, failed)
        scored = len(evaluation.keys) - len(failed)
        last = (
            f"{given}: shard {flags.workers.shard} has scores of {scored} videos; when all shards have "
            "ended, the same command without --shard writes the result"
        )
    print(last)
    return EXIT_FAILED if failed and not flags.source.allow_partial else EXIT_OK


def _evaluate(flags: Flags, evaluation: Evaluation) -> Mapping[str, str]:
    """Complete the run; return the failed videos and why they failed."""
    watch = partial(_watch, evaluation)
    result = complete(flags, evaluation, warn=_warn, notify=_notify, watch=watch)
    for name, reason in result.absent.items():
        if name != RECALL:  # printed before the run
            _print(f"{name}: {reason}", "red")
    for note in result.model.notes:
        _notify(f"{result.model.name}: {note}")
    for name, metric in result.headline.items():
        for note in metric.notes:
            _notify(f"{name}: {note}")
    _print_failures(flags, evaluation, result.failed)
    return result.failed


def _print_failures(flags: Flags, evaluation: Evaluation, failed: Mapping[str, str]) -> None:
    for key, reason in failed.items():
        _print(f"{key}: {reason}", "red")
    if failed:
        count = f"{len(failed)} of {len(evaluation.keys)}"
        _print(f"{count} videos are left out; tracebacks are in {path_at(flags.out) / 'failures'}")


def _watch(evaluation: Evaluation, score: Score, workspace: Workspace) -> dict[str, str]:
    """Score after printing the plan, with a line of progress."""
    _print(plan_line(evaluation, workspace))
    return score_with_progress(score, evaluation, workspace, _console())


def _console() -> Console:
    return Console(stderr=True, highlight=False)


def _print(text: str, style: str | None = None) -> None:
    _console().print(printable(text), style=style, markup=False, soft_wrap=True)


_notify = partial(_print, style="yellow")


def _warn(text: str) -> None:
    _notify(f"warning: {text}")


main = partial(run, Flags, evaluate)

if __name__ == "__main__":
    raise SystemExit(main())
