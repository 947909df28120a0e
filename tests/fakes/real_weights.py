"""The published networks for tests, from the folder that `make test` fetches them into."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.metrics.base import Resources
from benchmark.weight_files.bundle import Bundle, fetch_command
from benchmark.weight_files.tensor_files import read_tensors

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


def real(name: str) -> Resources:
    """Resources with that network; the test is skipped where it was never fetched, and fails if harmed."""
    bundle = Bundle(WEIGHTS)
    if name not in bundle:
        pytest.skip(f"published weights are not there: {fetch_command(name, 'weights')}")
    bundle.verify(name)
    return Resources(weights=bundle)


def real_tensors(name: str) -> dict[str, np.ndarray]:
    """The tensors of a network as arrays, or a skipped test."""
    path = real(name).network(name) / f"{name}.safetensors"
    return {key: values.numpy() for key, values in read_tensors(path).items()}
