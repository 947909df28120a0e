"""The published networks, from the folder into which `make test` downloads them."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.metrics.base import Resources
from benchmark.weight_files.bundle import Bundle, fetch_command
from benchmark.weight_files.tensor_files import read_tensors

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


def real(name: str) -> Resources:
    """Resources with that network; skip the test if it was never downloaded, fail if it is damaged."""
    bundle = Bundle(WEIGHTS)
    if name not in bundle:
        pytest.skip(f"published weights are not there: {fetch_command(name, 'weights')}")
    bundle.verify(name)
    return Resources(weights=bundle)


def real_tensors(name: str) -> dict[str, np.ndarray]:
    """The tensors of a network as arrays; skip the test if it was never downloaded."""
    path = real(name).network(name) / f"{name}.safetensors"
    return {key: values.numpy() for key, values in read_tensors(path).items()}
