"""Complete a new or interrupted run; shared by the command and the library."""

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
"""Scores the unfinished videos, reports each finished batch, and returns the videos left out, and why."""
Notify = Callable[[str], None]
"""Receives one line of text: `warn` if scores may be wrong, `notify` for anything else."""
Watch = Callable[[Score, Workspace], dict[str, str]]
"""Calls the given scoring function, to show its progress, and returns what it returns."""


def complete(
    flags: Flags,
    evaluation: Evaluation,
    *,
    warn: Notify,
    notify: Notify = lambda line: None,
    watch: Watch = lambda score, workspace: score(lambda keys: None),
) -> Result:
    """Score the unfinished videos, write the result to the run's folder, and close the model.

    Raises `UserError` if the data cannot be right, if the folder holds another run or another command writes
    to it, and whatever scoring raises.
    """
    with _scored(flags, evaluation, warn, notify, watch) as (workspace, left):
        result = collect(evaluation, workspace, left)
        workspace.save_result(result)
    return result


def complete_shard(
    flags: Flags, evaluation: Evaluation, *, warn: Notify, notify: Notify, watch: Watch
) -> Mapping[str, str]:
    """Score the unfinished videos of a shard, while others may write to the folder, and close the model.

    Returns the videos without scores, and why. Raises what `complete` raises, except if all videos failed.
    """
    with _scored(flags, evaluation, warn, notify, watch) as (workspace, left):
        return {**workspace.failures(evaluation.keys), **left}


@contextmanager
def _scored(
    flags: Flags, evaluation: Evaluation, warn: Notify, notify: Notify, watch: Watch
) -> Iterator[tuple[Workspace, dict[str, str]]]:
    """Score everything; yield the folder, claimed during the block, and the videos left out, and why."""
    is_shard = flags.workers.is_shard
    with closing(evaluation.source), writing_to(path_at(flags.out), together=is_shard, swept=()):
        assert isinstance(evaluation.episodes, LoopcraftDataset)
        for warning in check_data(evaluation.episodes, evaluation.keys):
            warn(warning)
        for notice in recall_notices(evaluation.episodes, evaluation.keys, evaluation.protocol):
            notify(notice)
        workspace = Workspace(flags.out)
        workspace.claim(evaluation.identity, together=is_shard, mended=flags.folder.retry_failed)
        if flags.folder.retry_failed:
            workspace.forget_failures(evaluation.keys)
        for line in recover(evaluation, workspace, warn):
            notify(line)
        yield workspace, watch(partial(score_by_workers, flags, evaluation, workspace), workspace)
