"""A folder of golden vectors: its files, its weight rules, and the record of every comparison."""

import fnmatch
import json
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import nn

from models.checkpoints.format import published_name

KNOWN_FILES = [
    f"{prefix}*.{kind}" for kind in ("npz", "json", "pyramid", "frames") for prefix in ("", "files/**/")
]
DESCRIPTIONS = ["sensitivity.json", "checkpoint_structure.json"]
"""Descriptive files without vectors to check."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison: the largest error and its tolerance."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within its tolerance (NaN is not)."""
        return self.error <= self.tolerance


@dataclass
class Folder:
    """Reads golden files and records which were read and what was compared."""

    path: Path
    fast: bool = False
    checks: list[Check] = field(default_factory=list)
    read: set[str] = field(default_factory=set)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """All arrays of one npz file."""
        self.read.add(name)
        with (self.path / name).open("rb") as file, np.load(file) as stored:
            return dict(stored)

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """All arrays of one npz file as tensors, integers as int64."""
        tensors = {key: torch.from_numpy(value) for key, value in self.arrays(name).items()}
        integers = (torch.int8, torch.int16, torch.int32)
        return {key: value.long() if value.dtype in integers else value for key, value in tensors.items()}

    def json(self, name: str) -> dict:
        """The content of one JSON file."""
        self.read.add(name)
        return json.loads((self.path / name).read_text())

    def file(self, name: str) -> Path:
        """The path of a file of another kind, which then counts as read."""
        self.read.add(name)
        return self.path / name

    def names(self, pattern: str) -> list[str]:
        """The sorted names of the files that match a pattern."""
        return sorted(str(path.relative_to(self.path)) for path in self.path.glob(pattern))

    def unread(self) -> list[str]:
        """The files of a known kind that have not been read."""
        known = [name for pattern in KNOWN_FILES for name in self.names(pattern)]
        return [name for name in known if name not in self.read and name not in DESCRIPTIONS]

    def close(self, name: str, actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
        """Record the largest absolute difference (infinite if shapes differ or values are not finite)."""
        self.record(name, largest_difference(actual, expected), tolerance)

    def equal(self, name: str, actual: object, expected: object) -> None:
        """Record whether two things are exactly equal."""
        same = (
            np.array_equal(actual, expected)
            if isinstance(actual, np.ndarray) or isinstance(expected, np.ndarray)
            else actual == expected
        )
        self.record(name, 0.0 if same else math.inf, 0.0)

    def record(self, name: str, error: float, tolerance: float) -> None:
        """Record one comparison."""
        self.checks.append(Check(name=name, error=error, tolerance=tolerance))


def largest_difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest absolute difference; infinite if the shapes differ or a value is not finite."""
    if actual.shape != expected.shape or not actual.isfinite().all():
        return math.inf
    return (actual.detach().double() - expected.double()).abs().max().item()


def root_mean_square(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """The root mean square of the difference; infinite if the shapes differ."""
    if actual.shape != expected.shape:
        return math.inf
    return (actual.detach().double() - expected.double()).square().mean().sqrt().item()


@cache
def golden_weight(key: str, shape: torch.Size, rule: str, salt: str) -> torch.Tensor:
    """The weight that a rule gives to one published key, cached, as many networks share keys."""
    seed = zlib.crc32((salt + key).encode())
    draw = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))
    if fnmatch.fnmatch(key, "*[qk]_norm.weight"):
        return 1 + (0.02 if rule == "A" else 0.1) * draw
    if rule == "A":
        return 0.02 * draw
    if "embedding.weight" in key:
        return 0.5 * draw
    return 0.1 * draw if key.endswith(".bias") else draw / math.sqrt(shape[1])


@contextmanager
def undrawn() -> Iterator[None]:
    """Skip the random initialisation of networks made in the block, as `fill` sets all weights."""
    initializers = ("kaiming_uniform_", "xavier_uniform_", "uniform_", "normal_")
    with mock.patch.multiple(nn.init, **dict.fromkeys(initializers, _keep)):
        yield


def _keep(tensor: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    return tensor


def fill(module: nn.Module, rule: str, salt: str, prefix: str = "") -> nn.Module:
    """Give every parameter its golden weight."""
    state = {
        key: golden_weight(prefix + published_name(key), value.shape, rule, salt)
        for key, value in module.state_dict().items()
    }
    module.load_state_dict(state)
    return module.requires_grad_(False)
