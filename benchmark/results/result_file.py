"""The result file: one JSON that says what was asked, of which model, on which data, and what came out.

A number that could not be computed is absent with its reason (`absent`, `failed`, a metric's `notes`), never
zero. `version` changes when a reader of the old form would misread the new one.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmark.contract.conditioning import ACTIONS, Conditioning
from benchmark.contract.precision import Precision
from benchmark.contract.protocol import EvaluationProtocol, Window
from benchmark.results.estimates import Estimate as Estimate
from benchmark.results.estimates import MetricCard as MetricCard
from benchmark.results.estimates import check_card, check_estimate, check_mean, require_plain
from benchmark.results.recall_schema import (
    Consistency,
    Recall,
    Steering,
    all_in_order,
    check_all_measured,
    check_consistency,
    check_recall,
)
from loopcraft.core.checksums import json_sha256
from loopcraft.core.decoding import SchemaError, decode
from loopcraft.core.errors import UserError
from loopcraft.core.files import is_key, write_json
from loopcraft.core.urls import AnyPath, content_of, path_at

FORMAT = "loopcraft-result"
VERSION = 2
"""2 has recall, steering and consistency."""
OLD_VERSIONS = (1,)
"""Those that are read as files that lack what came later."""
SUM = "sha256"
"""The field beside those of `Result` with the checksum of them all; older files have none."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The mean over videos against time; point i covers generated frames i * step + 1 to (i + 1) * step."""

    step: int
    mean: tuple[float, ...]
    low: tuple[float, ...] | None
    high: tuple[float, ...] | None


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
    notes: tuple[str, ...] = ()
    """What a reader of the scores should know of the model."""
    conditioning: Conditioning = ACTIONS
    """What it was told of the frames to come: their actions, or their camera poses as well."""


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
    """Scores by what was shown; None without recall masks, `absent` says why."""
    steering: Steering | None = None
    consistency: Mapping[str, Consistency] = field(default_factory=dict)

    @property
    def headline(self) -> Mapping[str, MetricResult]:
        """The metrics themselves, without their further columns."""
        return {name: metric for name, metric in self.metrics.items() if ":" not in name}


def write_result(path: AnyPath, result: Result) -> None:
    """Write the file with its checksum, whole or not at all."""
    content = dataclasses.asdict(result)
    write_json(path, {**content, SUM: json_sha256(content)})


def read_result(path: AnyPath) -> Result:
    """Read and check a result file; raises `UserError` with the path of the first wrong field.

    Videos come in the order of their keys, however the file has them: results are compared video by video.
    """
    try:
        document = json.loads(content_of(path), parse_constant=_refuse_constant)
        _check_version(document)
        expected = document.pop(SUM, None)
        result = in_order_of_keys(decode(Result, document | {"version": VERSION}))
        _check_consistency(result)
        if expected not in (None, json_sha256(document)):
            raise SchemaError(f"{SUM}: not that of the file; restore it or run the benchmark again")
    except SchemaError as error:
        raise UserError(f"{path}: not a result file of this version: {error}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); run the benchmark again") from error
    return result


def read_results(paths: Sequence[Path]) -> dict[str, Result]:
    """Several results by the path or address of their file; a folder stands for the result.json in it.

    Raises `UserError` for none, and for one that is named twice.
    """
    files = [_file_of(path_at(path)) for path in paths]
    if not files or len(set(files)) < len(files):
        raise UserError("name at least one result file (or the folder of its run), and each of them once")
    return {str(file): read_result(file) for file in files}


def _file_of(path: AnyPath) -> AnyPath:
    is_folder = path.is_dir() if isinstance(path, Path) else path.suffix != ".json"
    return path / "result.json" if is_folder else path


def _refuse_constant(name: str) -> Any:
    raise SchemaError(f"{name} is no number of JSON")


def _check_version(document: Any) -> None:
    found = (document.get("format"), document.get("version")) if isinstance(document, dict) else None
    if found not in [(FORMAT, version) for version in (VERSION, *OLD_VERSIONS)]:
        raise SchemaError(f"expected format and version {(FORMAT, VERSION)}, found {found}")


def in_order_of_keys(result: Result) -> Result:
    """The same result with its videos sorted by key."""
    keys = result.data.keys
    order = sorted(range(len(keys)), key=lambda place: keys[place])
    if order == list(range(len(keys))):
        return result

    def sort(metric: MetricResult) -> MetricResult:
        if metric.videos is None or any(len(values) != len(keys) for values in metric.videos.values()):
            return metric
        videos = {name: tuple(values[place] for place in order) for name, values in metric.videos.items()}
        return dataclasses.replace(metric, videos=videos)

    return dataclasses.replace(
        result,
        data=dataclasses.replace(result.data, keys=tuple(keys[place] for place in order)),
        metrics={name: sort(metric) for name, metric in result.metrics.items()},
        recall=all_in_order(result.recall, order),
        steering=all_in_order(result.steering, order),
        consistency=all_in_order(result.consistency, order),
    )


def _check_consistency(result: Result) -> None:
    """What types cannot say: hashes match, names are plain, and every number is what its neighbours imply."""
    protocol = result.protocol
    if protocol.hash != result.protocol_hash:
        raise SchemaError("protocol_hash: not the hash of protocol")
    require_plain("protocol.id", protocol.id)
    for place, window in enumerate(protocol.windows):
        require_plain(f"protocol.windows[{place}].name", window.name)
        if not 1 <= window.first <= window.last <= protocol.horizon:
            raise SchemaError(f"protocol.windows[{place}]: does not lie within the horizon")
    if not result.data.keys:
        raise SchemaError("data.keys: names no video")
    for place, key in enumerate(result.data.keys):
        if not is_key(key) or key in result.data.keys[:place]:
            raise SchemaError(f"data.keys[{place}]: {key[:60]!r} is no name of an episode, or is there twice")
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
        raise SchemaError(f"{path}.videos: paired metrics have them, set-wise ones do not")
    for name_of_window, values in (metric.videos or {}).items():
        if name_of_window not in windows or len(values) != len(result.data.keys):
            raise SchemaError(f"{path}.videos.{name_of_window}: expected a value for each of data.keys")
    for window in result.protocol.windows:
        _check_mean(f"{path}.windows.{window.name}", metric, window)


def _check_mean(path: str, metric: MetricResult, window: Window) -> None:
    """A window's mean lies in its interval, and is that of its videos and of its stretch of the curve."""
    estimate, step = metric.windows[window.name], metric.curve.step
    check_estimate(path, estimate)
    check_mean(path, estimate, "videos", (metric.videos or {}).get(window.name, ()))
    if (window.first - 1) % step == 0 == window.last % step:
        stretch = metric.curve.mean[(window.first - 1) // step : window.last // step]
        check_mean(path, estimate, "curve", stretch)
