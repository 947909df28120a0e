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
    """What a model is asked to do."""

    protocol: str = "loopcraft-v1"
    """loopcraft-v1 (256 frames of context, 768 generated) or loopcraft-mini (64, 192); for test sets of
    loopcraft.generate --select realised, loopcraft-recall-v1 and loopcraft-recall-mini."""
    max_videos: int | None = None
    """Score only the first N videos."""
    seed: int = 0
    """Root of every video's sampling noise."""


@dataclass(frozen=True, kw_only=True)
class MetricFlags:
    """How frames are scored."""

    metrics: str = ""
    """Names separated by commas; the protocol's own if empty."""
    weights: Path | None = None
    """The folder of pretrained networks fetched by python -m benchmark.weights."""
    strict: bool = False
    """Stop if a metric cannot be computed, instead of naming it in the result."""


@dataclass(frozen=True, kw_only=True)
class ComputeFlags:
    """Where it is computed, and how."""

    batch_size: int = 1
    """Videos that the model rolls out at a time."""
    device: str = "cpu"
    """Device of the model's context and of the metrics: cpu, cuda, cuda:1 ..."""
    precision: Precision = "float32"
    """Run the model under torch's autocast to this type; float32 means no autocast."""


@dataclass(frozen=True, kw_only=True)
class FolderFlags:
    """What becomes of earlier failures, and what is kept for later."""

    retry_failed: bool = False
    """Try again the videos that failed before, also if the model's file has been mended since."""
    save_videos: int = 4
    """Keep the generated frames of the first N videos, losslessly, for the report."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What is scored, on what, and where the result goes."""

    data: Path
    """The data set: a folder, its address as in s3://BUCKET/FOLDER, or hf://ORG/NAME."""
    out: Path
    """The run's folder, or its address as in s3://BUCKET/FOLDER; result.json is written to it."""
    source: SourceFlags = field(default_factory=SourceFlags)
    task: TaskFlags = field(default_factory=TaskFlags)
    scoring: MetricFlags = field(default_factory=MetricFlags)
    compute: ComputeFlags = field(default_factory=ComputeFlags)
    folder: FolderFlags = field(default_factory=FolderFlags)
    workers: WorkerFlags = field(default_factory=WorkerFlags)
    isolation: IsolationFlags = field(default_factory=IsolationFlags)

    def check(self) -> None:
        """Refuse numbers that make no sense; raises `UserError`."""
        require_at_least(self.compute, batch_size=1)
        require_at_least(self.task, max_videos=1, seed=0)
        require_at_least(self.folder, save_videos=0)
        if self.compute.precision not in get_args(Precision):
            raise UserError(f"--precision {self.compute.precision}: choose {', '.join(get_args(Precision))}")
        if self.workers.executor == "ray" and self.compute.device not in ("cpu", "cuda"):
            raise UserError(
                f"--device {self.compute.device}: on Ray choose cpu or cuda, of which each worker has one"
            )
        self.workers.check()

    def with_absolute_paths(self) -> "Flags":
        """The same files, whatever directory a model changes to."""
        return replace(
            self,
            data=absolute(self.data),
            out=absolute(self.out),
            source=replace(self.source, predictions=absolute(self.source.predictions)),
            scoring=replace(self.scoring, weights=absolute(self.scoring.weights)),
        )


def absolute(path: MaybePath) -> MaybePath:
    """The path from the root of the file system; an address as it is."""
    is_here = path is not None and not str(path).startswith("hf:/") and not is_url(path)
    return path.absolute() if path is not None and is_here else path
