"""Read a video's score file, scores/KEY.safetensors, and report damage so that it can be repaired."""

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
"""Header field; files of older versions lack it."""
HARDWARE, CODE_VERSION, SOURCES, VERSIONS, RUN = "hardware", "code", "sources", "packages", "run"
ORIGIN = (HARDWARE, CODE_VERSION, SOURCES, VERSIONS, RUN)
"""Header fields, lacking in older files: the machine, the code, its packages, and the run."""
NO_ORIGIN: Mapping[str, str] = {}
"""The origin of files of older versions."""
AGAIN = "run the benchmark there again to score the video again"


def scores_sha256(
    path: AnyPath, arrays: Mapping[str, Float[np.ndarray, "T columns"]], header: Mapping[str, str]
) -> str:
    """Return the SHA-256 of one video's scores and header.

    It covers the last two parts of the path, so scores moved to another video's file fail the check.
    """
    texts = [path.parent.name, path.name, header["seconds"]]
    texts += [header[name] for name in ORIGIN if name in header]
    return arrays_sha256(texts, {name: (str(a.dtype), a.shape, a.data) for name, a in arrays.items()})


@contextmanager
def open_scores(path: Path) -> Iterator[Any]:
    """Open a score file for reading; raise `UserError` if it is damaged, `OSError` if it is missing.

    The checksum is not verified here: a run does that once, at the start (`find_damage`).
    """
    require_regular(path)
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: not a complete score file ({error}); {AGAIN}") from error


def require_same_shape(path: Path, values: np.ndarray, first: np.ndarray) -> None:
    """Raise `UserError` unless a video's scores have the same shape as the first video's."""
    if values.shape != first.shape:
        raise UserError(f"{path}: holds scores of shape {values.shape}, other videos {first.shape}; {AGAIN}")


def require_columns(path: Path, values: np.ndarray, columns: int) -> None:
    """Raise `UserError` unless `values` has two dimensions and `columns` numbers per row."""
    if values.ndim != 2 or values.shape[1] != columns:
        raise UserError(f"{path}: holds {values.shape}, expected {columns} numbers per row; {AGAIN}")


def read_origin(path: Path) -> dict[str, str]:
    """Return those of the `ORIGIN` fields that the header has."""
    with open_scores(path) as file:
        header = file.metadata()
        return {name: header[name] for name in ORIGIN if name in header}


def parse_versions(header: Mapping[str, str]) -> Mapping[str, str]:
    """Return a header's package versions by name; raise `ValueError` if they are malformed."""
    versions = json.loads(header.get(VERSIONS, "{}"))
    if not isinstance(versions, dict) or not all(isinstance(version, str) for version in versions.values()):
        raise ValueError(f"its {VERSIONS} do not map names to versions")
    return versions


def find_damage(
    path: Path, metrics: Sequence[Metric], protocol: EvaluationProtocol, run: str | None = None
) -> str | None:
    """Return why a run with these metrics and the digest `run` cannot use the file; None if it can.

    Without `run`, files of any run are accepted.
    """
    try:
        with open_scores(path) as file:
            header = file.metadata()
            seconds = float(header["seconds"])
            parse_versions(header)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if SUM in header and header[SUM] != scores_sha256(path, arrays, header):
                raise ValueError("its SHA-256 does not match its header")
    except UserError as error:
        return str(error).removeprefix(f"{path}: ").removesuffix(f"; {AGAIN}")
    if run is not None and header.get(RUN, run) != run:
        return "it belongs to another run"
    if not 0 <= seconds < np.inf:
        return f"took {seconds} seconds"
    for name, values in arrays.items():
        if values.dtype != np.float32 or values.ndim != 2 or not np.isfinite(values).all():
            return f"{name} is {values.dtype} {values.shape}, or not finite"
    for metric in metrics:
        for name, rows, columns in _expected_arrays(metric, protocol):
            shape = arrays[name].shape if name in arrays else None
            if shape is None or shape[0] != rows or shape[1] != (columns or shape[1]):
                return f"{name} is {shape}, expected {(rows, columns or 'columns')}"
    return None


def _expected_arrays(metric: Metric, protocol: EvaluationProtocol) -> Iterator[tuple[str, int, int | None]]:
    """Yield the name, rows and columns (None for any number) of each array of a metric's scores."""
    if isinstance(metric, PairedMetric):
        yield metric.name, protocol.horizon, 1 + len(metric.columns)
    elif isinstance(metric, SetMetric):
        for name in feature_names(metric.embedding):
            yield name, protocol.horizon // metric.embedding.clip, None


def feature_names(embedding: Embedding) -> tuple[str, str]:
    """Return the names of the arrays of a video's generated and true features in its scores."""
    return f"{embedding.name}.generated", f"{embedding.name}.true"
