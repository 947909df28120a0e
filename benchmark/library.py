"""The Python API: `benchmark.evaluate` scores a model, `benchmark.compare` compares results."""

import os
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.conformance import checks
from benchmark.conformance.checks import TrialSize
from benchmark.contract.compute import Compute
from benchmark.contract.model import FrameSource, check_members, checkpoint_of
from benchmark.contract.precision import Precision
from benchmark.harness.evaluation import Evaluation
from benchmark.harness.run_folder import Workspace
from benchmark.results.formats import to_markdown, to_text
from benchmark.results.result_file import Result, read_results
from benchmark.results.tables import Table, label_results, paired_tables, window_tables
from benchmark.setup.flags import ComputeFlags, Flags, FolderFlags, MetricFlags, TaskFlags, absolute
from benchmark.setup.prepare import prepare
from benchmark.setup.whole_run import complete
from benchmark.sources.loading import module_sha256
from benchmark.sources.source import IsolationFlags, ScoredSource, SourceFlags
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset, open_dataset


def evaluate(
    model: FrameSource | str,
    data: LoopcraftDataset | str | os.PathLike[str],
    *,
    protocol: str = "loopcraft-v1",
    metrics: Sequence[str] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    retry_failed: bool = False,
    weights: str | Path | None = None,
    max_videos: int | None = None,
    batch_size: int = 1,
    device: str = "cpu",
    precision: Precision = "float32",
    seed: int = 0,
    isolate: bool = False,
    timeout_s: float | None = None,
) -> Result:
    """Score a model on a data set, like `python -m benchmark.run`, and return the result.

    `model` is an object with the members of `RolloutModel`, or a name. It is given context frames, uint8
    (B, C, 3, H, W), and actions, int64 (B, C + horizon), and yields frames (B, n, 3, H, W), uint8 or floating
    point in [0, 1]. `metrics` are names; None means those of the protocol. Pretrained metrics need the folder
    `weights` of `python -m benchmark.weights fetch`.

    With a folder `out`, an interrupted evaluation can be continued, and `retry_failed` retries failed videos.
    If the model is an object without `checkpoint_sha256`, pass `resume=True` to confirm that it is the same
    model as before. `isolate` runs a model that is given by name in its own process, with at most `timeout_s`
    per chunk: a crash or hang there fails a video but affects neither scores nor caller. Warns if the data
    look wrong; raises `UserError` if model, data and protocol do not fit together.

    >>> result = evaluate("copy-last", "data/test", metrics=["psnr"])  # doctest: +SKIP
    >>> result.metrics["psnr"].windows["long"].mean  # doctest: +SKIP
    """
    episodes = data if isinstance(data, LoopcraftDataset) else _open(data)
    name = model if isinstance(model, str) else None
    is_isolated = isolate or timeout_s is not None
    isolation = IsolationFlags(isolate=is_isolated, no_isolate=not is_isolated, timeout=timeout_s)
    if isolation.wanted and name is None:
        raise UserError("isolate: give the model by name or as package.module:factory, not as an object")
    source = None if isinstance(model, str) else _source_of(model)
    with tempfile.TemporaryDirectory() as folder:
        flags = Flags(
            data=Path(str(episodes.root)),
            out=Path(out or folder),
            source=SourceFlags(model=name),
            task=TaskFlags(protocol=protocol, max_videos=max_videos, seed=seed),
            scoring=MetricFlags(metrics=",".join(metrics or ()), weights=Path(weights) if weights else None),
            compute=ComputeFlags(batch_size=batch_size, device=device, precision=precision),
            folder=FolderFlags(
                save_videos=0 if out is None else FolderFlags.save_videos, retry_failed=retry_failed
            ),
            isolation=isolation,
        ).with_absolute_paths()
        evaluation = prepare(flags, episodes=episodes, source=source)
        if source is not None and not resume:
            _require_known(evaluation, Workspace(flags.out))
        return complete(flags, evaluation, warn=warnings.warn)


def _open(data: str | os.PathLike[str]) -> LoopcraftDataset:
    if not isinstance(data, (str, os.PathLike)):
        raise UserError(f"data: give an open data set, its folder or its address, not {type(data).__name__}")
    return open_dataset(absolute(Path(data)))


def _source_of(model: FrameSource) -> ScoredSource:
    spec = f"{type(model).__module__}:{type(model).__qualname__}"
    if isinstance(model, type):
        raise UserError(f"{model.__module__}:{model.__qualname__} is a class; give an instance of it")
    code = module_sha256(type(model).__module__)
    return ScoredSource(model=check_members(model, spec), spec=spec, arguments="{}", code_sha256=code)


def _require_known(evaluation: Evaluation, workspace: Workspace) -> None:
    """Raise `UserError` if existing scores may be those of another object of the model's class."""
    done = len(evaluation.keys) - len(workspace.unfinished(evaluation.keys))
    if done and checkpoint_of(evaluation.source.model) is None:
        raise UserError(
            f"{workspace.root}: has scores of {done} videos by {evaluation.source.spec}, which has no "
            "checkpoint_sha256 to compare: give resume=True if it is the same model, or another out"
        )


@dataclass(frozen=True)
class Comparison:
    """A comparison of results of one protocol on one data set."""

    results: tuple[Result, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """One table per window, with a row per model and a column per metric."""
        return window_tables(label_results(self.results))

    @property
    def differences(self) -> tuple[Table, ...]:
        """The mean difference of each pair of models over the same videos, with 95 % intervals."""
        return paired_tables(label_results(self.results))

    def to_markdown(self) -> str:
        """Return the tables of `tables` in Markdown."""
        return to_markdown(self.tables)

    def __str__(self) -> str:
        return to_text(self.tables)


def compare(results: Sequence[Result | str | Path]) -> Comparison:
    """Compare results, given as objects, files, or folders or addresses of runs.

    Raises `UserError` for an empty list or a file that is not a result; the tables raise it if protocols or
    data differ.
    """
    if not results:
        raise UserError("compare: give at least one result, or the folder of a run")
    return Comparison(tuple(result if isinstance(result, Result) else _read(result) for result in results))


def _read(path: str | Path) -> Result:
    (result,) = read_results([Path(path)]).values()
    return result


def check_model(model: FrameSource, *, device: str = "cpu", causal: bool = False) -> dict[str, str]:
    """Check on synthetic videos that a model keeps the contract, like `python -m benchmark.check`.

    Returns failures and notes by the name of the check: empty if the model keeps the contract. The name
    `check` belongs to the command's module.
    """
    compute = Compute(device=find_device(device), precision="float32")
    outcomes = checks.check_model(check_members(model, "the model"), TrialSize(causal=causal), compute)
    return {name: f"{status}: {text}" for name, (status, text) in outcomes.items() if status != "ok"}
