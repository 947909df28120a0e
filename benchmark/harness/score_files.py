"""The file of a video's scores, scores/KEY.safetensors, read so that damage is named and can be mended."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open

from benchmark.contract.protocol import EvaluationProtocol
from benchmark.metrics.base import Embedding, Metric, PairedMetric, SetMetric
from loopcraft.core.checksums import arrays_sha256
from loopcraft.core.errors import UserError
from loopcraft.core.urls import AnyPath, require_regular

SUM = "sha256"
"""In the file's header; those of older versions have none."""
HARDWARE, CODE_VERSION, SOURCES, VERSIONS, RUN = "hardware", "code", "sources", "packages", "run"
ORIGIN = (HARDWARE, CODE_VERSION, SOURCES, VERSIONS, RUN)
"""In the file's header too, of those that have it: on what, by which code and packages, and of which run."""
NO_ORIGIN: Mapping[str, str] = {}
"""Of files of older versions."""
AGAIN = "run the benchmark there again: the video is scored anew"


def scores_sha256(
    path: AnyPath, arrays: Mapping[str, Float[np.ndarray, "T columns"]], header: Mapping[str, str]
) -> str:
    """The checksum of one video's scores and of the header's own words.

    Scores in the file of another video do not pass: the end of the file's path counts too.
    """
    said = [path.parent.name, path.name, header["seconds"]]
    said += [header[name] for name in ORIGIN if name in header]
    return arrays_sha256(said, {name: (str(a.dtype), a.shape, a.data) for name, a in arrays.items()})


def _arrays_in(file: Any) -> dict[str, np.ndarray]:
    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _require_sum(path: Path, said: Mapping[str, str], arrays: Mapping[str, np.ndarray]) -> None:
    """Raise `ValueError` unless all is what the header says."""
    if SUM in said and said[SUM] != scores_sha256(path, arrays, said):
        raise ValueError("its SHA-256 is another than it says")


@contextmanager
def opened_scores(path: Path) -> Iterator[Any]:
    """The file, open for reading. Raises `UserError` where it is damaged, `OSError` where it is missing.

    A run compares all of it with its checksum once, when it begins (`damage_of`).
    """
    require_regular(path)
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not a whole file of scores ({error}); {AGAIN}") from error


def require_equal(path: Path, values: np.ndarray, first: np.ndarray) -> None:
    """Raise `UserError` unless a video's scores have the shape of the first video's."""
    if values.shape != first.shape:
        raise UserError(f"{path}: holds scores of {values.shape}, other videos' are {first.shape}; {AGAIN}")


def require_columns(path: Path, values: np.ndarray, columns: int) -> None:
    """Raise `UserError` unless there are so many numbers a frame."""
    if values.ndim != 2 or values.shape[1] != columns:
        raise UserError(f"{path}: holds {values.shape}, expected {columns} numbers a frame; {AGAIN}")


def read_origin(path: Path) -> dict[str, str]:
    """What the header says of `ORIGIN`."""
    with opened_scores(path) as file:
        header = file.metadata()
        return {name: header[name] for name in ORIGIN if name in header}


def versions_in(header: Mapping[str, str]) -> Mapping[str, str]:
    """The versions of packages that a header names; raises `ValueError` for what are none."""
    found = json.loads(header.get(VERSIONS, "{}"))
    if not isinstance(found, dict) or not all(isinstance(version, str) for version in found.values()):
        raise ValueError(f"its {VERSIONS} are no versions by name")
    return found


def damage_of(
    path: Path, metrics: Sequence[Metric], protocol: EvaluationProtocol, run: str | None = None
) -> str | None:
    """Why a run over these metrics (the one with the digest `run`) cannot use the file; None if it can."""
    try:
        with opened_scores(path) as file:
            said = file.metadata()
            seconds = float(said["seconds"])
            versions_in(said)
            arrays = _arrays_in(file)
            _require_sum(path, said, arrays)
    except UserError as error:
        return str(error).removeprefix(f"{path}: ").removesuffix(f"; {AGAIN}")
    if run is not None and said.get(RUN, run) != run:
        return "it is of another run"
    if not 0 <= seconds < np.inf:
        return f"took {seconds} seconds"
    for name, values in arrays.items():
        if values.dtype != np.float32 or values.ndim != 2 or not np.isfinite(values).all():
            return f"{name} is {values.dtype} {values.shape}, or not finite"
    for metric in metrics:
        for name, rows, columns in _arrays_of(metric, protocol):
            found = arrays[name].shape if name in arrays else None
            if found is None or found[0] != rows or found[1] != (columns or found[1]):
                return f"{name} is {found}, expected {(rows, columns or 'columns')}"
    return None


def _arrays_of(metric: Metric, protocol: EvaluationProtocol) -> Iterator[tuple[str, int, int | None]]:
    """The arrays that a metric's scores are in: name, rows, and columns where the metric says how many."""
    if isinstance(metric, PairedMetric):
        yield metric.name, protocol.horizon, 1 + len(metric.columns)
    elif isinstance(metric, SetMetric):
        for name in feature_names(metric.embedding):
            yield name, protocol.horizon // metric.embedding.clip, None


def feature_names(embedding: Embedding) -> tuple[str, str]:
    """Under what names a video's scores hold the features of its generated and of its true clips."""
    return f"{embedding.name}.generated", f"{embedding.name}.true"
