"""What a run does first about a folder in which an earlier one came to grief."""

from collections.abc import Iterator
from pathlib import Path

from benchmark.harness.crashes import take_crash
from benchmark.harness.evaluation import Evaluation
from benchmark.harness.run_folder import Workspace
from benchmark.harness.score_files import damage_of


def recover(evaluation: Evaluation, workspace: Workspace) -> Iterator[str]:
    """Make the folder one that a run can go on with, and say what was done about it, a line each."""
    for path in workspace.crash_paths:
        yield from blame_crash(evaluation, workspace, path)
    device = str(evaluation.compute.device)
    for key, other in workspace.devices_of_failures(evaluation.keys).items():
        if other != device:
            workspace.forget_failures([key])
            yield f"{key}: failed on {other}; tried again on {device}"
    finished = workspace.finished(evaluation.keys)
    with workspace.scores(finished) as files:
        damages = [damage_of(file, evaluation.scorer.metrics, evaluation.protocol) for file in files]
    for key, damage in zip(finished, damages, strict=True):
        if damage:
            scores = workspace.scores_path(key)
            scores.unlink()
            yield f"{scores}: damaged ({damage}); the video is scored again"


def blame_crash(evaluation: Evaluation, workspace: Workspace, path: Path) -> Iterator[str]:
    """Who crashed the process alone has failed; of several, each is made alone from now on."""
    crash = take_crash(path)
    if crash is None:
        return
    name = evaluation.source.model.name
    keys = [key for key in crash.keys if key in evaluation.keys]
    if len(keys) == 1:
        reason = f"{name} crashed the process ({crash.what})"
        workspace.save_failure(keys[0], reason, crash.report, device=str(evaluation.compute.device))
        yield f"{keys[0]}: {reason}; --retry-failed tries it again"
    elif keys:
        workspace.make_alone(keys)
        yield f"{', '.join(keys)}: {name} crashed the process ({crash.what}); they are made one by one"
