"""The result file: one JSON that says what was asked, of which model, on which data, and what came out.

A number that could not be computed is absent with its reason (`absent`, `failed`, a metric's `notes`), never
zero. `version` changes when a reader of the old form would misread the new one.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark.device import Precision
from benchmark.protocol import EvaluationProtocol
from benchmark.schema import SchemaError, decode
from loopcraft.cli import UserError
from loopcraft.storage import write_json

FORMAT = "loopcraft-result"
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over videos with its 95 % bootstrap interval; None if there is none (see the metric's notes)."""

    mean: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The mean over videos against time; point i covers generated frames i * step + 1 to (i + 1) * step."""

    step: int
    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True)
class MetricCard:
    """What a metric's numbers mean; `weights` are the revisions of its pretrained networks.

    `decimals` is how many of them tables show.
    """

    name: str
    version: int
    title: str
    unit: str
    higher_is_better: bool
    decimals: int
    kind: Literal["paired", "set-wise"]
    weights: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """One metric's outcome; `videos` holds each window's value per scored video (None if set-wise)."""

    card: MetricCard
    windows: Mapping[str, Estimate]
    curve: Curve
    videos: Mapping[str, tuple[float, ...]] | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Data:
    """Which videos were scored: the data set and its keys, in the order of every per-video list."""

    fingerprint: str
    world_id: str | None
    frame_shape: tuple[int, int, int]
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Model:
    """Who was scored: `role` bound is never ranked; `source` playback was looked up, not rolled out."""

    name: str
    spec: str
    arguments: str
    role: Literal["model", "bound"]
    source: Literal["rollout", "playback"]
    context_frames: int
    precision: Precision
    checkpoint_sha256: str | None


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where and how the numbers were made."""

    seed: int
    code: str
    packages: Mapping[str, str]
    hardware: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything about one run. `metrics` also has further columns of a metric, named `metric:column`."""

    format: Literal["loopcraft-result"] = "loopcraft-result"
    version: Literal[1] = 1
    protocol: EvaluationProtocol
    protocol_hash: str
    data: Data
    model: Model
    metrics: Mapping[str, MetricResult]
    absent: Mapping[str, str]
    failed: Mapping[str, str]
    provenance: Provenance

    @property
    def headline(self) -> Mapping[str, MetricResult]:
        """The metrics themselves, without their further columns."""
        return {name: metric for name, metric in self.metrics.items() if ":" not in name}


def write_result(path: Path, result: Result) -> None:
    """Write the file, whole or not at all."""
    write_json(path, dataclasses.asdict(result))


def read_result(path: Path) -> Result:
    """Read and check a result file; raises `UserError` with the path of the first wrong field."""
    try:
        document = json.loads(path.read_text(), parse_constant=_refuse_constant)
        _check_version(document)
        result = decode(Result, document)
        _check_consistency(result)
    except SchemaError as error:
        raise UserError(f"{path}: not a result file of this version: {error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); run the benchmark again") from error
    return result


def read_results(paths: Sequence[Path]) -> dict[str, Result]:
    """Several results by the path of their file; a folder stands for the result.json in it."""
    files = [path / "result.json" if path.is_dir() else path for path in paths]
    if not files or len(set(files)) < len(files):
        raise UserError("name at least one result file (or the folder of its run), and each of them once")
    return {str(file): read_result(file) for file in files}


def _refuse_constant(name: str) -> Any:
    raise SchemaError(f"{name} is no number of JSON")


def _check_version(document: Any) -> None:
    found = (document.get("format"), document.get("version")) if isinstance(document, dict) else None
    if found != (FORMAT, VERSION):
        raise SchemaError(f"expected format and version {(FORMAT, VERSION)}, found {found}")


def _check_consistency(result: Result) -> None:
    """What types cannot say: hashes match, and every list has the length that its neighbours imply."""
    if result.protocol.hash != result.protocol_hash:
        raise SchemaError("protocol_hash: not the hash of protocol")
    windows = {window.name for window in result.protocol.windows}
    for name, metric in result.metrics.items():
        path = f"metrics.{name}"
        if set(metric.windows) != windows:
            raise SchemaError(f"{path}.windows: expected {sorted(windows)}, found {sorted(metric.windows)}")
        if len(metric.curve.mean) * metric.curve.step != result.protocol.horizon:
            raise SchemaError(f"{path}.curve: does not cover the horizon")
        if (metric.videos is None) != (metric.card.kind == "set-wise"):
            raise SchemaError(f"{path}.videos: paired metrics have them, set-wise ones do not")
        for window, values in (metric.videos or {}).items():
            if window not in windows or len(values) != len(result.data.keys):
                raise SchemaError(f"{path}.videos.{window}: expected a value for each of data.keys")
