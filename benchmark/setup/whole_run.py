"""A run in a folder that may hold a part of it, to its result: what command and library do alike."""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

from benchmark.harness.evaluation import Evaluation, collect
from benchmark.harness.recall_notice import recall_notices
from benchmark.harness.recovery import recover
from benchmark.harness.run_folder import Workspace
from benchmark.harness.soundness import check_data
from benchmark.results.result_file import Result
from benchmark.setup.flags import Flags
from benchmark.setup.workers import score_by_workers
from loopcraft.core.urls import path_at
from loopcraft.core.writing import writing_to
from loopcraft.dataset import LoopcraftDataset

Report = Callable[[Sequence[str]], None]
Score = Callable[[Report], dict[str, str]]
"""Scores what is missing, tells of each batch when it is done, and returns what was left out and why."""


def complete(
    flags: Flags,
    evaluation: Evaluation,
    *,
    say: Callable[[str], None] = lambda warning: None,
    follow: Callable[[Score, Workspace], dict[str, str]] = lambda score, workspace: score(lambda keys: None),
) -> Result:
    """Score what is missing in the run's folder, write the result there, and close the model.

    `say` is given warnings, and `follow` the scoring to do, to watch it. Raises `UserError` where the data
    cannot be right, where the folder holds another run, and for what scoring raises.
    """
    with closing(evaluation.source), writing_to(path_at(flags.out), swept=()):
        assert isinstance(evaluation.episodes, LoopcraftDataset)
        for warning in check_data(evaluation.episodes, evaluation.keys):
            say(f"warning: {warning}")
        for notice in recall_notices(evaluation.episodes, evaluation.keys, evaluation.protocol):
            say(notice)
        workspace = Workspace(flags.out)
        workspace.claim(evaluation.identity)
        if flags.folder.retry_failed:
            workspace.forget_failures(evaluation.keys)
        for line in recover(evaluation, workspace):
            say(line)
        left = follow(partial(score_by_workers, flags, evaluation, workspace), workspace)
        result = collect(evaluation, workspace, left)
        workspace.save_result(result)
    return result
