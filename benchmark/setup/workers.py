"""A run whose videos are made by several workers, on this machine or on a Ray cluster.

Each worker makes the evaluation ready from the same flags and so has a model of its own. It is given batches
of videos and writes their scores, videos and failures to the run's folder, which belongs to the command that
was typed: that one alone claims it, sweeps it and writes the result. A batch whose worker was lost is done
again by another one. What it finds of the first one's it keeps, and if a crash was the model's, it says so.
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
    """What every worker is told of the run."""

    flags: Flags
    expected: Mapping[str, Any]
    """What must be the same there and where the command runs."""
    folder: Path
    """Where the command was typed: the model's arguments may name files from there."""
    num_threads: int | None
    """Of a worker; None leaves it to the cluster."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What a worker holds."""

    evaluation: Evaluation
    workspace: Workspace
    scorer: BatchScorer


def score_by_workers(
    flags: Flags, evaluation: Evaluation, workspace: Workspace, report: Callable[[Sequence[str]], None]
) -> dict[str, str]:
    """Do what `score_missing` does, by the workers that the flags ask for; raises what it raises."""
    asked = flags.workers
    batches = missing_batches(evaluation, workspace)
    is_local = asked.executor == "local"
    if not batches or (is_local and min(asked.workers, len(batches)) < 2):
        return score_missing(evaluation, workspace, report)
    assignment = Assignment(
        flags=replace(flags, workers=WorkerFlags()),
        expected=expected_of(evaluation),
        folder=Path.cwd(),
        num_threads=max(1, num_cores() // asked.workers) if is_local else None,
    )
    left: dict[str, str] = {}
    evaluation.source.close()  # the workers have models of their own
    try:
        with open_executor(
            asked,
            num_gpus=int(evaluation.compute.device.type == "cuda"),
            longest_range=1,
            retries=RETRIES + evaluation.batch_size,  # each of a batch's videos may crash a worker
        ) as executor:
            make_state = partial(make_worker, assignment)
            for keys, not_made in executor.run(score_batch, batches, make_state=make_state):
                left |= not_made
                report(keys)
    finally:  # of workers that were lost
        if not asked.is_shard:
            sweep_partials(workspace.root)
        _blame_crashes(evaluation, workspace, evaluation.keys)
    made = [key for keys in batches for key in keys if key not in left]
    require_arrived(workspace.root, lambda: workspace.unfinished(made, evaluation.recorded), "videos")
    return left


def make_worker(assignment: Assignment) -> Worker:
    """Make a worker ready; raises `UserError` where it would score otherwise than the command."""
    with contextlib.suppress(OSError):  # another machine may lack the folder, and need not have it
        os.chdir(assignment.folder)
    if assignment.num_threads is not None:
        torch.set_num_threads(assignment.num_threads)
    evaluation = prepare(assignment.flags)
    found = expected_of(evaluation)
    for name in {**assignment.expected, **found}:
        here, there = found.get(name), assignment.expected.get(name)
        if here != there:
            raise UserError(
                f"a worker on {platform.node()} has another {name} ({here!r}) than the command ({there!r}): "
                "have the same packages and files on all machines"
            )
    workspace = Workspace(assignment.flags.out)
    return Worker(evaluation=evaluation, workspace=workspace, scorer=BatchScorer(evaluation, workspace))


def score_batch(worker: Worker, keys: Sequence[str]) -> dict[str, str]:
    """Score what is missing of a batch, and say what the machine could not make, and why.

    Raises `SpentWorkerError` where the model spoilt this process.
    """
    _blame_crashes(worker.evaluation, worker.workspace, keys)
    try:
        return worker.scorer.score(keys)
    except SpoiledProcessError as error:
        raise SpentWorkerError(str(error)) from error


def _blame_crashes(evaluation: Evaluation, workspace: Workspace, keys: Sequence[str]) -> None:
    for _ in blame_crashes(evaluation, workspace, keys):
        pass  # the result names who has failed


def expected_of(evaluation: Evaluation) -> dict[str, Any]:
    """What must be the same for all who score videos of one run."""
    sources = current_origin(evaluation.compute.device)[SOURCES]
    return {**evaluation.identity, "packages": package_versions(), SOURCES: sources}
