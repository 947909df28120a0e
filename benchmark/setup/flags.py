"""The flags of `python -m benchmark.run`, in groups."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, get_args

from benchmark.contract.precision import Precision
from benchmark.sources.source import IsolationFlags, SourceFlags
from loopcraft.core.cli import require_at_least
from loopcraft.core.errors import UserError
from loopcraft.core.urls import is_url
from loopcraft.executors.choice import WorkerFlags

MaybePath = TypeVar("MaybePath", Path, Path | None)


@dataclass(frozen=True, kw_only=True)
class TaskFlags:
    """The task of the model."""

    protocol: str = "loopcraft-v1"
    """loopcraft-v1 (256 context frames, 768 generated) or loopcraft-mini (64, 192); for test sets chosen
    by loopcraft.generate --select realised, loopcraft-recall-v1 or loopcraft-recall-mini."""
    max_videos: int | None = None
    """Score only the first N videos."""
    seed: int = 0
    """Root seed of the sampling noise of every video."""


@dataclass(frozen=True, kw_only=True)
class MetricFlags:
    """The metrics."""

    metrics: str = ""
    """Comma-separated names; empty means the metrics of the protocol."""
    weights: Path | None = None
    """Folder of the pretrained networks fetched by python -m benchmark.weights."""
    strict: bool = False
    """Fail if a metric cannot be computed, instead of listing it as absent in the result."""


@dataclass(frozen=True, kw_only=True)
class ComputeFlags:
    """The device and precision of the computation."""

    batch_size: int = 1
    """Number of videos that the model rolls out at a time."""
    device: str = "cpu"
    """Device of the model's inputs and the metrics: cpu, cuda, cuda:1 ..."""
    precision: Precision = "float32"
    """Dtype of torch's autocast for the model; float32 disables autocast."""


@dataclass(frozen=True, kw_only=True)
class FolderFlags:
    """Earlier failures and saved videos."""

    retry_failed: bool = False
    """Retry the videos that failed before, even if the model's file has changed since."""
    save_videos: int = 4
    """Save the generated frames of the first N videos, losslessly, for the report."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m benchmark.run`."""

    data: Path
    """The data set: a folder, an address such as s3://BUCKET/FOLDER, or hf://ORG/NAME."""
    out: Path
    """The run's folder, or an address such as s3://BUCKET/FOLDER; result.json is written there."""
    source: SourceFlags = field(default_factory=SourceFlags)
    task: TaskFlags = field(default_factory=TaskFlags)
    scoring: MetricFlags = field(default_factory=MetricFlags)
    compute: ComputeFlags = field(default_factory=ComputeFlags)
    folder: FolderFlags = field(default_factory=FolderFlags)
    workers: WorkerFlags = field(default_factory=WorkerFlags)
    isolation: IsolationFlags = field(default_factory=IsolationFlags)

    def check(self) -> None:
        """Raise `UserError` for values that make no sense."""
        require_at_least(self.compute, batch_size=1)
        require_at_least(self.task, max_videos=1, seed=0)
        require_at_least(self.folder, save_videos=0)
        if self.compute.precision not in get_args(Precision):
            raise UserError(f"--precision {self.compute.precision}: choose {', '.join(get_args(Precision))}")
        if self.workers.executor == "ray" and self.compute.device not in ("cpu", "cuda"):
            raise UserError(
                f"--device {self.compute.device}: on Ray choose cpu or cuda; each worker has one GPU"
            )
        self.workers.check()

    def with_absolute_paths(self) -> "Flags":
        """Return the flags with absolute paths, as a model may change the working directory."""
        return replace(
            self,
            data=absolute(self.data),
            out=absolute(self.out),
            source=replace(self.source, predictions=absolute(self.source.predictions)),
            scoring=replace(self.scoring, weights=absolute(self.scoring.weights)),
        )


def absolute(path: MaybePath) -> MaybePath:
    """Return the absolute path; an address or None unchanged."""
    if path is None or str(path).startswith("hf:/") or is_url(path):
        return path
    return path.absolute()
