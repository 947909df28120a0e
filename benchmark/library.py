"""The benchmark from Python: `benchmark.evaluate` scores a model, `benchmark.compare` compares results."""

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
from benchmark.results.tables import Table, labelled, paired_tables, window_tables
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
    """Score a model on a data set; what `python -m benchmark.run` writes, as an object.

    `model` is an object with the members of `RolloutModel`, or a registered name. It is given context frames
    uint8 (B, C, 3, H, W) and actions int64 (B, C + horizon), and yields frames (B, n, 3, H, W), uint8 or
    floating in [0, 1]. `metrics` are names, the protocol's if None; pretrained ones need the folder `weights`
    of `python -m benchmark.weights fetch`.

    With a folder `out`, a killed evaluation goes on where it was, and with `retry_failed` it tries failed
    videos again. A model that is given as an object and has no `checkpoint_sha256` may be another one than
    before: `resume` says that it is the same. `isolate` gives a model that is named a process of its own,
    which may take `timeout_s` over a chunk: what it does there fails a video, and reaches neither scores nor
    caller. Warns where the data look wrong; raises `UserError` where model, data and protocol do not fit.

    >>> result = evaluate("copy-last", "data/test", metrics=["psnr"])  # doctest: +SKIP
    >>> result.metrics["psnr"].windows["long"].mean  # doctest: +SKIP
    """
    episodes = data if isinstance(data, LoopcraftDataset) else _opened(data)
    name = model if isinstance(model, str) else None
    is_apart = isolate or timeout_s is not None
    isolation = IsolationFlags(isolate=is_apart, no_isolate=not is_apart, timeout=timeout_s)
    if isolation.wanted and name is None:
        raise UserError("isolate: give the model by its name, or as package.module:factory, not as an object")
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


def _opened(data: str | os.PathLike[str]) -> LoopcraftDataset:
    if not isinstance(data, (str, os.PathLike)):
        raise UserError(
            f"data: give a data set that is open, its folder or its address, not {type(data).__name__}"
        )
    return open_dataset(absolute(Path(data)))


def _source_of(model: FrameSource) -> ScoredSource:
    spec = f"{type(model).__module__}:{type(model).__qualname__}"
    if isinstance(model, type):
        raise UserError(f"{model.__module__}:{model.__qualname__}: a class; give an object of it")
    code = module_sha256(type(model).__module__)
    return ScoredSource(model=check_members(model, spec), spec=spec, arguments="{}", code_sha256=code)


def _require_known(evaluation: Evaluation, workspace: Workspace) -> None:
    """Refuse to go on with scores that another object of the same class may have."""
    done = len(evaluation.keys) - len(workspace.unfinished(evaluation.keys))
    if done and checkpoint_of(evaluation.source.model) is None:
        raise UserError(
            f"{workspace.root}: has {done} videos of {evaluation.source.spec}, and nothing tells whether the "
            "model was this one (it has no checkpoint_sha256): give resume=True if it was, or another out"
        )


@dataclass(frozen=True)
class Comparison:
    """Results of one protocol on one data set, side by side."""

    results: tuple[Result, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """A table a window: a row a model, a column a metric."""
        return window_tables(labelled(self.results))

    @property
    def differences(self) -> tuple[Table, ...]:
        """The mean difference of every two models over the same videos, with its 95 % interval."""
        return paired_tables(labelled(self.results))

    def to_markdown(self) -> str:
        """The tables of `tables` in Markdown."""
        return to_markdown(self.tables)

    def __str__(self) -> str:
        return to_text(self.tables)


def compare(results: Sequence[Result | str | Path]) -> Comparison:
    """Set results side by side: objects, their files, or the folders or addresses of their runs.

    Raises `UserError` for none, and for files that are no results; the tables do where protocols or data
    differ.
    """
    if not results:
        raise UserError("compare: give at least one result, or the folder of a run")
    return Comparison(tuple(result if isinstance(result, Result) else _read(result) for result in results))


def _read(place: str | Path) -> Result:
    (result,) = read_results([Path(place)]).values()
    return result


def check_model(model: FrameSource, *, device: str = "cpu", causal: bool = False) -> dict[str, str]:
    """Check that a model keeps the contract, on made-up videos: what `python -m benchmark.check` does.

    Returns what failed or is worth a note, by the name of the check: empty, if the model keeps the contract.
    It is not called `check`, as that is the command's module.
    """
    compute = Compute(device=find_device(device), precision="float32")
    outcomes = checks.check_model(check_members(model, "the model"), TrialSize(causal=causal), compute)
    return {name: f"{status}: {text}" for name, (status, text) in outcomes.items() if status != "ok"}
