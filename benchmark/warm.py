"""Compile every kernel of the package by running the metrics without networks on two pictures."""

import numpy as np

from benchmark.memory.kinds import errors_by_kind, sums_by_kind
from benchmark.memory.steering import turns
from benchmark.metrics import METRICS
from benchmark.metrics.base import PairedMetric, Resources

_SIDE = 192
"""Large enough for every metric."""


def warm() -> None:
    """Run every kernel once."""
    first, second = np.random.default_rng(0).integers(0, 256, (2, 1, _SIDE, _SIDE, 3), dtype=np.uint8)
    for metric in METRICS:
        if isinstance(metric, PairedMetric) and not metric.networks:
            metric.load(Resources())(first, second)
            if metric.load_map is not None:
                metric.load_map(Resources())(first, second)
    errors_by_kind(first, second, np.zeros(first.shape[:3], np.uint8))
    sums_by_kind(first[..., 0].astype(np.float32), np.zeros(first.shape[:3], np.uint8))
    turns(np.concatenate([first, second]))
