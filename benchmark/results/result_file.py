"""The result file: one JSON with the protocol, data, model, scores and provenance of a run.

A number that could not be computed is absent, never zero; `absent`, `failed` or a metric's `notes` say why.
`version` changes when a reader of the old format would misread the new one.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmark.contract.conditioning import ACTIONS, Conditioning
from benchmark.contract.precision import Precision
from benchmark.contract.protocol import EvaluationProtocol, Window
from benchmark.results.estimates import Estimate as Estimate
from benchmark.results.estimates import MetricCard as MetricCard
from benchmark.results.estimates import check_card, check_estimate, check_mean, require_plain_name
from benchmark.results.recall_schema import (
    Consistency,
    Recall,
    Steering,
    check_all_measured,
    check_consistency,
    check_recall,
    reorder_videos,
)
from loopcraft.core.checksums import json_sha256
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.files import is_key, parse_json, write_json
from loopcraft.core.urls import AnyPath, content_of, path_at

FORMAT = "loopcraft-result"
VERSION = 2
"""Version 2 added recall, steering and consistency."""
OLD_VERSIONS = (1,)
"""Older versions that can be read; they lack the fields added since."""
_LONGEST = 1 << 16
"""Largest height or width of a frame, in pixels."""
SUM = "sha256"
"""Field of the file with the SHA-256 of all fields of `Result`; older files have none."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The mean over videos against time; point i covers generated frames i * step + 1 to (i + 1) * step."""

    step: int
    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None


@dataclass(frozen=True, kw_only=True)
class MetricResult:
    """Scores of one metric; `videos` maps each window to one value per scored video (None if set-wise)."""

    card: MetricCard
    windows: Mapping[str, Estimate]
    curve: Curve
    videos: Mapping[str, tuple[float, ...]] | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Data:
    """The scored data set and videos; `keys` are in the order of every per-video list."""

    fingerprint: str
    world_id: str | None
    frame_shape: tuple[int, int, int]
    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Model:
    """The scored model; `role` "bound" is an unranked reference, `source` "playback" means stored frames."""

    name: str
    spec: str
    arguments: str
    role: Literal["model", "bound"]
    source: Literal["rollout", "playback"]
    context_frames: int
    precision: Precision
    checkpoint_sha256: str | None
    notes: tuple[str, ...] = ()
    """What a reader of the scores should know about the model."""
    conditioning: Conditioning = ACTIONS
    """What the model was given about future frames: their actions only, or their camera poses as well."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How and where the numbers were computed; `seconds` is the run time."""

    seed: int
    code: str
    packages: Mapping[str, str]
    hardware: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """Everything about one run; `metrics` also has the further columns of metrics, named `metric:column`."""

    format: Literal["loopcraft-result"] = "loopcraft-result"
    version: Literal[2] = 2
    protocol: EvaluationProtocol
    protocol_hash: str
    data: Data
    model: Model
    metrics: Mapping[str, MetricResult]
    absent: Mapping[str, str]
    failed: Mapping[str, str]
    provenance: Provenance
    recall: Recall | None = None
    """Scores by kind of pixel; None without recall masks, with the reason in `absent`."""
    steering: Steering | None = None
    consistency: Mapping[str, Consistency] = field(default_factory=dict)

    @property
    def headline(self) -> Mapping[str, MetricResult]:
        """The metrics themselves, without their further columns."""
        return {name: metric for name, metric in self.metrics.items() if ":" not in name}


def write_result(path: AnyPath, result: Result) -> None:
    """Write a result file with its checksum, atomically."""
    content = dataclasses.asdict(result)
    write_json(path, {**content, SUM: json_sha256(content)})


def read_result(path: AnyPath) -> Result:
    """Read and check a result file; raise `UserError` with the path of the first wrong field.

    Videos are sorted by key, whatever their order in the file, because results are compared video by video.
    """
    document = parse_json(content_of(path), path, "run the benchmark again", constants=_refuse_constant)
    try:
        _check_version(document)
        expected = document.pop(SUM, None)
        result = sort_videos(decode(Result, document | {"version": VERSION}))
        _check_consistency(result)
        if expected not in (None, json_sha256(document)):
            raise SchemaError(f"{SUM}: does not match the file; restore it or run the benchmark again")
    except SchemaError as error:
        raise UserError(f"{path}: not a result file of this version: {error}") from error
    return result


def read_results(paths: Sequence[Path]) -> dict[str, Result]:
    """Read results, keyed by the path or address of the file; a folder stands for its result.json.

    Raises `UserError` if there are none or one is given twice.
    """
    files = [_result_path(path_at(path)) for path in paths]
    if not files or len(set(files)) < len(files):
        raise UserError("give at least one result file (or the folder of its run), and each only once")
    return {str(file): _read_finished(file) for file in files}


def _read_finished(path: AnyPath) -> Result:
    try:
        return read_result(path)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file; give the folder of a finished run or its result.json"
        ) from error


def _result_path(path: AnyPath) -> AnyPath:
    is_folder = path.is_dir() if isinstance(path, Path) else path.suffix != ".json"
    return path / "result.json" if is_folder else path


def _refuse_constant(name: str) -> Any:
    raise SchemaError(f"{name} is not a valid JSON number")


def _check_version(document: Any) -> None:
    header = (document.get("format"), document.get("version")) if isinstance(document, dict) else None
    if header not in [(FORMAT, version) for version in (VERSION, *OLD_VERSIONS)]:
        raise SchemaError(f"expected format and version {(FORMAT, VERSION)}, found {header}")


def sort_videos(result: Result) -> Result:
    """Return a copy of the result with its videos sorted by key."""
    keys = result.data.keys
    order = sorted(range(len(keys)), key=keys.__getitem__)
    if order == list(range(len(keys))):
        return result

    def sort(metric: MetricResult) -> MetricResult:
        if metric.videos is None or any(len(values) != len(keys) for values in metric.videos.values()):
            return metric
        videos = {name: tuple(values[index] for index in order) for name, values in metric.videos.items()}
        return dataclasses.replace(metric, videos=videos)

    return dataclasses.replace(
        result,
        data=dataclasses.replace(result.data, keys=tuple(keys[index] for index in order)),
        metrics={name: sort(metric) for name, metric in result.metrics.items()},
        recall=reorder_videos(result.recall, order),
        steering=reorder_videos(result.steering, order),
        consistency=reorder_videos(result.consistency, order),
    )


def _check_consistency(result: Result) -> None:
    """Check what types cannot express: matching hashes, plain names and mutually consistent numbers."""
    protocol = result.protocol
    if protocol.hash != result.protocol_hash:
        raise SchemaError("protocol_hash: not the hash of protocol")
    require_plain_name("protocol.id", protocol.id)
    for index, window in enumerate(protocol.windows):
        require_plain_name(f"protocol.windows[{index}].name", window.name)
        if not 1 <= window.first <= window.last <= protocol.horizon:
            raise SchemaError(f"protocol.windows[{index}]: is not within the horizon")
    if not result.model.name.strip():
        raise SchemaError("model.name: is empty")
    if result.provenance.seconds < 0:
        raise SchemaError(f"provenance.seconds: {result.provenance.seconds} is negative")
    if result.data.frame_shape[0] != 3 or not all(1 <= side <= _LONGEST for side in result.data.frame_shape):
        raise SchemaError(f"data.frame_shape: {result.data.frame_shape} is not a frame shape (3, H, W)")
    if not result.data.keys:
        raise SchemaError("data.keys: is empty")
    for index, key in enumerate(result.data.keys):
        if not is_key(key) or key in result.data.keys[:index]:
            raise SchemaError(f"data.keys[{index}]: {key[:60]!r} is not an episode name or occurs twice")
    for name, metric in result.metrics.items():
        _check_metric(f"metrics.{name}", name, metric, result)
    if result.recall is not None:
        check_recall("recall", result.recall, len(result.data.keys))
    check_all_measured("steering", result.steering, len(result.data.keys))
    check_consistency("consistency", result.consistency, len(result.data.keys))


def _check_metric(path: str, name: str, metric: MetricResult, result: Result) -> None:
    windows = {window.name for window in result.protocol.windows}
    check_card("metrics", name, metric.card)
    if set(metric.windows) != windows:
        raise SchemaError(f"{path}.windows: expected {sorted(windows)}, found {sorted(metric.windows)}")
    if len(metric.curve.mean) * metric.curve.step != result.protocol.horizon:
        raise SchemaError(f"{path}.curve: does not cover the horizon")
    if (metric.videos is None) != (metric.card.kind == "set-wise"):
        raise SchemaError(f"{path}.videos: expected for paired metrics, and null for set-wise ones")
    for window_name, values in (metric.videos or {}).items():
        if window_name not in windows or len(values) != len(result.data.keys):
            raise SchemaError(f"{path}.videos.{window_name}: expected a value for each of data.keys")
    for window in result.protocol.windows:
        _check_mean(f"{path}.windows.{window.name}", metric, window)


def _check_mean(path: str, metric: MetricResult, window: Window) -> None:
    """Check a window's mean against its interval, its videos and its part of the curve."""
    estimate, step = metric.windows[window.name], metric.curve.step
    check_estimate(path, estimate)
    check_mean(path, estimate, "videos", (metric.videos or {}).get(window.name, ()))
    if (window.first - 1) % step == 0 == window.last % step:
        part = metric.curve.mean[(window.first - 1) // step : window.last // step]
        check_mean(path, estimate, "curve", part)
