"""Score a run's videos in several workers, on this machine or on a Ray cluster.

Each worker prepares the evaluation from the same flags, with its own model. It takes batches of videos and
writes their scores, videos and failures to the run's folder; only the main process claims the folder, removes
partial files and writes the result. If a worker is lost, another one finishes its batch: it keeps what is
there, and records a failure if the model caused the crash.
"""

import contextlib
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmark.harness.evaluation import BatchScorer, Evaluation, missing_batches, score_missing
from benchmark.harness.provenance import current_origin, package_versions
from benchmark.harness.recovery import blame_crashes
from benchmark.harness.run_folder import Workspace
from benchmark.harness.score_files import SOURCES
from benchmark.setup.flags import Flags
from benchmark.setup.prepare import prepare
from benchmark.sources.machine import SpoiledProcessError
from loopcraft.core.errors import UserError
from loopcraft.core.files import sweep_partials
from loopcraft.executors.base import RETRIES, SpentWorkerError, require_arrived
from loopcraft.executors.choice import WorkerFlags, num_cores, open_executor


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """The instructions to every worker."""

    flags: Flags
    expected: Mapping[str, Any]
    """Settings that must be the same in the worker and the main process."""
    folder: Path
    """Working directory of the main process, as the model's arguments may have relative paths."""
    num_threads: int | None
    """Threads per worker; None leaves it to the cluster."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The state of a worker."""

    evaluation: Evaluation
    workspace: Workspace
    scorer: BatchScorer


def score_by_workers(
    flags: Flags, evaluation: Evaluation, workspace: Workspace, report: Callable[[Sequence[str]], None]
) -> dict[str, str]:
    """Do what `score_missing` does, in the workers that the flags request; raise what it raises."""
    options = flags.workers
    batches = missing_batches(evaluation, workspace)
    is_local = options.executor == "local"
    if not batches or (is_local and min(options.workers, len(batches)) < 2):
        return score_missing(evaluation, workspace, report)
    assignment = Assignment(
        flags=replace(flags, workers=WorkerFlags()),
        expected=shared_settings(evaluation),
        folder=Path.cwd(),
        num_threads=max(1, num_cores() // options.workers) if is_local else None,
    )
    left: dict[str, str] = {}
    evaluation.source.close()  # each worker has its own model
    try:
        with open_executor(
            options,
            num_gpus=int(evaluation.compute.device.type == "cuda"),
            longest_range=1,
            retries=RETRIES + evaluation.batch_size,  # every video of a batch may crash a worker
        ) as executor:
            make_state = partial(make_worker, assignment)
            for keys, failed in executor.run(score_batch, batches, make_state=make_state):
                left |= failed
                report(keys)
    finally:  # clean up after lost workers
        if not options.is_shard:
            sweep_partials(workspace.root)
        _blame_crashes(evaluation, workspace, evaluation.keys)
    done = [key for keys in batches for key in keys if key not in left]
    require_arrived(workspace.root, lambda: workspace.unfinished(done, evaluation.recorded), "videos")
    return left


def make_worker(assignment: Assignment) -> Worker:
    """Prepare a worker; raise `UserError` if its settings differ from those of the main process."""
    with contextlib.suppress(OSError):  # another machine may lack the folder and not need it
        os.chdir(assignment.folder)
    if assignment.num_threads is not None:
        torch.set_num_threads(assignment.num_threads)
    evaluation = prepare(assignment.flags)
    settings = shared_settings(evaluation)
    for name in {**assignment.expected, **settings}:
        own, expected = settings.get(name), assignment.expected.get(name)
        if own != expected:
            raise UserError(
                f"a worker on {platform.node()} has another {name} ({own!r}) than the command "
                f"({expected!r}): use the same packages and files on all machines"
            )
    workspace = Workspace(assignment.flags.out)
    return Worker(evaluation=evaluation, workspace=workspace, scorer=BatchScorer(evaluation, workspace))


def score_batch(worker: Worker, keys: Sequence[str]) -> dict[str, str]:
    """Score the unfinished videos of a batch; return those that the machine could not score, and why.

    Raises `SpentWorkerError` if the model spoiled this process.
    """
    _blame_crashes(worker.evaluation, worker.workspace, keys)
    try:
        return worker.scorer.score(keys)
    except SpoiledProcessError as error:
        raise SpentWorkerError(str(error)) from error


def _blame_crashes(evaluation: Evaluation, workspace: Workspace, keys: Sequence[str]) -> None:
    for _ in blame_crashes(evaluation, workspace, keys):
        pass  # the result lists the failures


def shared_settings(evaluation: Evaluation) -> dict[str, Any]:
    """Return the settings that must be the same in all processes of one run."""
    sources = current_origin(evaluation.compute.device)[SOURCES]
    return {**evaluation.identity, "packages": package_versions(), SOURCES: sources}
