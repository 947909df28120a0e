"""A run in a folder that may hold a part of it, to its result: what command and library do alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
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
Say = Callable[[str], None]
"""Is given a line: by the name `warn` what may make numbers wrong, by `say` what else is found."""
Follow = Callable[[Score, Workspace], dict[str, str]]
"""Is given the scoring to do, to watch it."""


def complete(
    flags: Flags,
    evaluation: Evaluation,
    *,
    warn: Say,
    say: Say = lambda line: None,
    follow: Follow = lambda score, workspace: score(lambda keys: None),
) -> Result:
    """Score what is missing in the run's folder, write the result there, and close the model.

    Raises `UserError` where the data cannot be right, where the folder holds another run or another command
    writes to it, and for what scoring raises.
    """
    with _scored(flags, evaluation, warn, say, follow) as (workspace, left):
        result = collect(evaluation, workspace, left)
        workspace.save_result(result)
    return result


def complete_shard(
    flags: Flags, evaluation: Evaluation, *, warn: Say, say: Say, follow: Follow
) -> Mapping[str, str]:
    """Score what is missing of a shard, while others may write to the folder, and close the model.

    Returns which of its videos have no scores, and why. Raises what `complete` does, but for videos that have
    all failed.
    """
    with _scored(flags, evaluation, warn, say, follow) as (workspace, left):
        return {**workspace.failures(evaluation.keys), **left}


@contextmanager
def _scored(
    flags: Flags, evaluation: Evaluation, warn: Say, say: Say, follow: Follow
) -> Iterator[tuple[Workspace, dict[str, str]]]:
    """The folder once everything is scored, ours during the block, and what could not be made, and why."""
    is_shard = flags.workers.is_shard
    with closing(evaluation.source), writing_to(path_at(flags.out), together=is_shard, swept=()):
        assert isinstance(evaluation.episodes, LoopcraftDataset)
        for warning in check_data(evaluation.episodes, evaluation.keys):
            warn(warning)
        for notice in recall_notices(evaluation.episodes, evaluation.keys, evaluation.protocol):
            say(notice)
        workspace = Workspace(flags.out)
        workspace.claim(evaluation.identity, together=is_shard, mended=flags.folder.retry_failed)
        if flags.folder.retry_failed:
            workspace.forget_failures(evaluation.keys)
        for line in recover(evaluation, workspace, warn):
            say(line)
        yield workspace, follow(partial(score_by_workers, flags, evaluation, workspace), workspace)
