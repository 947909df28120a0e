"""Frechet and kernel distances: equal to the textbook, pinned, order-independent, right on simple cases."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics.distances import frechet_distance, kernel_distance
from tests.references.torchmetrics_calls import polynomial_mmd

METRICS = [frechet_distance, kernel_distance]


def samples(seed: int, count: int, dimensions: int, *, correlated: bool = True) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(dimensions, dimensions)) if correlated else np.eye(dimensions)
    return (rng.normal(size=(count, dimensions)) @ mixing + rng.normal(size=dimensions)).astype(np.float32)


def textbook_frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Use the square root of the product of covariances, in float64, from scipy."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second)
    offset = a.mean(axis=0) - b.mean(axis=0)
    return float(offset @ offset + np.trace(first) + np.trace(second) - 2 * np.trace(root).real)


def eigenvalue_frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Use the symmetric root of one covariance: unlike `sqrtm`, it also works for singular ones."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    offset = a.mean(axis=0) - b.mean(axis=0)
    return float(offset @ offset + np.trace(first) + np.trace(second) - 2 * shared)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(30, 60), st.integers(30, 60))
def test_frechet_with_more_samples_than_dimensions(seed: int, dimensions: int, n: int, m: int) -> None:
    a, b = samples(seed, n, dimensions), samples(seed + 1, m, dimensions)
    assert frechet_distance(a, b) == pytest.approx(textbook_frechet(a, b), rel=1e-8)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 20), st.integers(2, 20))
def test_frechet_with_fewer_samples_than_dimensions(seed: int, dimensions: int, n: int, m: int) -> None:
    a, b = samples(seed, n, dimensions), samples(seed + 1, m, dimensions)
    assert frechet_distance(a, b) == pytest.approx(eigenvalue_frechet(a, b), rel=1e-6, abs=1e-6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(2, 30))
def test_the_kernel_distance_matches_torchmetrics(seed: int, dimensions: int, n: int) -> None:
    a, b = samples(seed, n, dimensions), samples(seed + 1, n, dimensions)
    expected = float(polynomial_mmd(torch.from_numpy(a).double(), torch.from_numpy(b).double()))
    assert kernel_distance(a, b) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_pinned_values() -> None:
    ramp = np.arange(60, dtype=np.float32).reshape(5, 12) % 7
    other = np.arange(72, dtype=np.float32).reshape(6, 12) % 11
    assert frechet_distance(ramp, other) == pytest.approx(139.9786208170896, rel=1e-9)
    assert frechet_distance(ramp.T, other.T[:, :5]) == pytest.approx(41.796599070130156, rel=1e-9)
    assert kernel_distance(ramp, other) == pytest.approx(9826.180497685182, rel=1e-9)


def test_one_dimensional_sets_have_the_distance_of_their_moments() -> None:
    a = np.array([[0.0], [1.0], [2.0], [5.0]])
    b = 3.0 * a + 4.0
    spread = np.std(a, ddof=1)
    expected = (b.mean() - a.mean()) ** 2 + (2.0 * spread) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(40, 8), (8, 40)])
def test_equal_sets_are_at_distance_zero(shape: tuple[int, int]) -> None:
    features = samples(0, *shape)
    assert 0.0 <= frechet_distance(features, features) < 1e-10


def test_a_shifted_set_is_at_the_distance_of_the_shift() -> None:
    features = samples(0, 10, 50)
    assert frechet_distance(features, features + np.float32(0.5)) == pytest.approx(50 * 0.25, rel=1e-4)


@pytest.mark.parametrize("metric", METRICS)
def test_farther_is_worse(metric) -> None:
    a, b = samples(0, 60, 6, correlated=False), samples(0, 61, 6, correlated=False)[1:]
    distances = [metric(a, b + np.float32(step)) for step in (0.0, 0.5, 1.0, 2.0)]
    assert distances == sorted(distances)


@pytest.mark.parametrize("metric", METRICS)
def test_the_order_of_videos_and_of_sets_does_not_matter(metric) -> None:
    a, b = samples(0, 9, 20), samples(1, 7, 20)
    shuffled = metric(a[np.random.default_rng(0).permutation(9)], b[::-1])
    assert shuffled == pytest.approx(metric(a, b), rel=1e-9)
    assert metric(b, a) == pytest.approx(metric(a, b), rel=1e-9)


def test_the_frechet_distance_is_biased_and_the_kernel_distance_is_not() -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(8, 4)), rng.normal(size=(8, 4))) for _ in range(400)]
    kernel = np.array([kernel_distance(a, b) for a, b in pairs])
    assert abs(kernel.mean()) < 3 * kernel.std() / np.sqrt(len(kernel))
    assert np.mean([frechet_distance(a, b) for a, b in pairs]) > 1.0


def test_single_precision_features_are_summed_in_double() -> None:
    features = 1000.0 + samples(3, 50, 4, correlated=False)
    assert frechet_distance(features, features + np.float32(1.0)) == pytest.approx(4.0, rel=1e-6)
