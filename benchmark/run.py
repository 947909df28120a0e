"""Score a model on a data set: roll out every video, score every frame, write one result file.

Progress is stored on disk: run the same command again to resume.
"""

from collections.abc import Iterator
from functools import partial

from rich.console import Console

from benchmark.harness.evaluation import Evaluation
from benchmark.harness.progress import plan_line, score_with_progress
from benchmark.harness.run_folder import RESULT, Workspace
from benchmark.results.recall_schema import RECALL
from benchmark.results.result_file import Result
from benchmark.setup.flags import Flags
from benchmark.setup.prepare import prepare
from benchmark.setup.whole_run import Score, complete
from loopcraft.core.cli import EXIT_FAILED, EXIT_OK, printable, run
from loopcraft.core.urls import path_at


def evaluate(flags: Flags) -> int:
    """Score what is missing, then write the result."""
    given, flags = flags.out, flags.with_absolute_paths()
    result = _evaluate(flags, prepare(flags))
    print(f"wrote {path_at(given) / RESULT}")
    return EXIT_FAILED if result.failed and not flags.source.allow_partial else EXIT_OK


def _evaluate(flags: Flags, evaluation: Evaluation) -> Result:
    console = Console(stderr=True, highlight=False)

    def say(text: str, style: str | None = None) -> None:
        console.print(printable(text), style=style, markup=False, soft_wrap=True)

    def follow(score: Score, workspace: Workspace) -> dict[str, str]:
        say(plan_line(evaluation, workspace))
        return score_with_progress(score, evaluation, workspace, console)

    result = complete(flags, evaluation, say=partial(say, style="yellow"), follow=follow)
    for name, reason in {**result.absent, **result.failed}.items():
        if name != RECALL:  # said before the run
            say(f"{name}: {reason}", "red")
    for note in _notes(result):
        say(note, "yellow")
    if result.failed:
        count = f"{len(result.failed)} of {len(evaluation.keys)}"
        say(f"{count} videos are left out; tracebacks are in {path_at(flags.out) / 'failures'}")
    return result


def _notes(result: Result) -> Iterator[str]:
    yield from (f"{result.model.name}: {note}" for note in result.model.notes)
    yield from (f"{name}: {note}" for name, metric in result.headline.items() for note in metric.notes)


main = partial(run, Flags, evaluate)

if __name__ == "__main__":
    raise SystemExit(main())
