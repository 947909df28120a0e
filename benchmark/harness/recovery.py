"""What a run does first about a folder in which an earlier one came to grief."""

from collections.abc import Callable, Iterator, Sequence

from benchmark.harness.evaluation import Evaluation
from benchmark.harness.provenance import mixed_origins
from benchmark.harness.run_folder import Workspace
from benchmark.harness.score_files import damage_of, read_origin


def recover(evaluation: Evaluation, workspace: Workspace, warn: Callable[[str], None]) -> Iterator[str]:
    """Make the folder one that a run can go on with, and say what was done about it, a line each.

    `warn` is told where its scores were made by other code.
    """
    yield from blame_crashes(evaluation, workspace, evaluation.keys)
    device = str(evaluation.compute.device)
    for key, other in workspace.devices_of_failures(evaluation.keys).items():
        if other != device:
            workspace.forget_failures([key])
            yield f"{key}: failed on {other}; tried again on {device}"
    finished, metrics = workspace.finished(evaluation.keys), evaluation.scorer.metrics
    with workspace.scores(finished) as files:
        damages = [damage_of(file, metrics, evaluation.protocol, evaluation.digest) for file in files]
        sound = [read_origin(file) for file, damage in zip(files, damages, strict=True) if not damage]
    if mixture := mixed_origins(sound, evaluation.compute.device):
        warn(mixture)
    for key, damage in zip(finished, damages, strict=True):
        if damage:
            scores = workspace.scores_path(key)
            scores.unlink()
            yield f"{scores}: damaged ({damage}); the video is scored again"


def blame_crashes(evaluation: Evaluation, workspace: Workspace, keys: Sequence[str]) -> Iterator[str]:
    """Read the notes of batches that began with one of `keys`, and say what came of each, in a line.

    Who crashed the process alone has failed; of several, each is made alone from now on.
    """
    name = evaluation.source.model.name
    for first, crash in workspace.take_crashes(keys):
        if len(crash.keys) == 1:
            reason = f"{name} crashed the process ({crash.what})"
            workspace.save_failure(first, reason, crash.report, device=str(evaluation.compute.device))
            yield f"{first}: {reason}; --retry-failed tries it again"
        else:
            workspace.make_alone(crash.keys)
            batch = ", ".join(crash.keys)
            yield f"{batch}: {name} crashed the process ({crash.what}); they are made one by one"
