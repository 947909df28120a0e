"""Repair the folder of an interrupted run before continuing it."""

from collections.abc import Callable, Iterator, Sequence

from benchmark.harness.evaluation import Evaluation
from benchmark.harness.provenance import describe_mixed_origins
from benchmark.harness.run_folder import Workspace
from benchmark.harness.score_files import find_damage, read_origin


def recover(evaluation: Evaluation, workspace: Workspace, warn: Callable[[str], None]) -> Iterator[str]:
    """Make the folder one that a run can continue in; yield one line for each repair.

    Calls `warn` with a sentence if other code or packages made some of its scores.
    """
    yield from blame_crashes(evaluation, workspace, evaluation.keys)
    device = str(evaluation.compute.device)
    for key, old_device in workspace.devices_of_failures(evaluation.keys).items():
        if old_device != device:
            workspace.forget_failures([key])
            yield f"{key}: failed on {old_device}; will be retried on {device}"
    finished, metrics = workspace.finished(evaluation.keys), evaluation.scorer.metrics
    with workspace.scores(finished) as files:
        damages = [find_damage(file, metrics, evaluation.protocol, evaluation.digest) for file in files]
        sound = [read_origin(file) for file, damage in zip(files, damages, strict=True) if not damage]
    if warning := describe_mixed_origins(sound, evaluation.compute.device):
        warn(warning)
    for key, damage in zip(finished, damages, strict=True):
        if damage:
            scores = workspace.scores_path(key)
            scores.unlink()
            yield f"{scores}: damaged ({damage}); the video will be scored again"


def blame_crashes(evaluation: Evaluation, workspace: Workspace, keys: Sequence[str]) -> Iterator[str]:
    """Handle the crashes of batches whose first video is in `keys`; yield one line for each.

    A video that crashed the process alone is marked as failed. The videos of a larger batch will be generated
    one by one from now on.
    """
    name = evaluation.source.model.name
    for first, crash in workspace.take_crashes(keys):
        if len(crash.keys) == 1:
            reason = f"{name} crashed the process ({crash.what})"
            workspace.save_failure(first, reason, crash.report, device=str(evaluation.compute.device))
            yield f"{first}: {reason}; --retry-failed retries it"
        else:
            workspace.make_alone(crash.keys)
            batch = ", ".join(crash.keys)
            yield f"{batch}: {name} crashed the process ({crash.what}); they will be generated one by one"
