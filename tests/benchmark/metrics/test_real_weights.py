"""Metrics on the published weights match the package `lpips`, other implementations and published values."""

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn

from benchmark.metrics.base import EmbeddingFunction
from benchmark.metrics.distances import frechet_distance, kernel_distance
from benchmark.metrics.i3d import load_i3d
from benchmark.metrics.lightglue import COLUMNS
from benchmark.metrics.lightglue_aliked import load_lightglue_aliked
from benchmark.metrics.lpips import load_lpips, load_lpips_map
from models.train.detail_loss import Lpips
from tests.fakes.real_weights import WEIGHTS, real, real_tensors
from tests.fakes.tiny_networks import linear_undrawn, scenes
from tests.references.i3d import i3d_logits

pytestmark = pytest.mark.weights

LPIPS_ZEROS_ONES = 0.81401
"""LPIPS with AlexNet of a black and a white frame of 64 x 64, as published elsewhere."""
FVD_ZEROS_ONES = {15: (133.91, 133.70), 16: (152.90, 152.92), 24: (66.29, 66.06), 30: (151.39, 151.26)}
"""FVD of black and white clips by length: our value, and one published elsewhere from float32 code."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def embed() -> EmbeddingFunction:
    return load_i3d(real("i3d"))


def make_package_lpips(name: str, net: str) -> nn.Module:
    """Build the package's module with its own heads and the bundle's features."""
    import lpips

    with warnings.catch_warnings(), linear_undrawn():
        warnings.simplefilter("ignore")
        module = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    tensors = real_tensors(name)
    for key, values in module.net.state_dict().items():
        values.copy_(torch.from_numpy(tensors["features." + key.split(".", 1)[1]]))
    return module.eval()


def to_unit_range(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2) / 255


def blank(level: int, *shape: int) -> np.ndarray:
    return np.full((*shape, 64, 64, 3), level, np.uint8)


@pytest.mark.parametrize(("name", "heads"), [("alexnet", "alex"), ("vgg16", "vgg")])
def test_the_heads_match_the_package(name: str, heads: str) -> None:
    import lpips

    path = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{heads}.pth"
    packaged = torch.load(path, map_location="cpu", weights_only=True)
    tensors = real_tensors(name)
    assert len(packaged) == 5
    for key, values in packaged.items():
        np.testing.assert_array_equal(tensors[key], values.numpy())


@pytest.mark.parametrize("side", [64, 128])
def test_lpips_matches_the_package(side: int) -> None:
    predicted, target = scenes(0, 4, side), scenes(1, 4, side)
    with torch.inference_mode():
        expected = make_package_lpips("alexnet", "alex")(
            to_unit_range(predicted), to_unit_range(target), normalize=True
        ).flatten()
    values = load_lpips(real("alexnet"))(predicted, target)
    np.testing.assert_allclose(values, expected.numpy(), rtol=0, atol=1e-6)
    assert values.min() > 0.1


@pytest.mark.parametrize(("side", "leak"), [(64, 0.6), (256, 0.25)])
def test_the_lpips_map_is_lower_where_the_frame_is_right(side: int, leak: float) -> None:
    """One quarter is right, the rest is another scene: how much of its error leaks into the quarter."""
    target, predicted = scenes(0, 4, side), scenes(1, 4, side)
    predicted[:, : side // 2, : side // 2] = target[:, : side // 2, : side // 2]
    values, maps, _ = load_lpips_map(real("alexnet"))(predicted, target)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), values, rtol=1e-3)
    right = maps[:, : side // 2, : side // 2].mean()
    wrong = (maps.mean() - right / 4) / (3 / 4)
    assert 0 < right < leak * wrong


def test_lpips_of_black_and_white_is_the_published_value() -> None:
    values = load_lpips(real("alexnet"))(blank(0, 1), blank(255, 1))
    assert values[0] == pytest.approx(LPIPS_ZEROS_ONES, abs=2e-4)


def test_the_detail_term_matches_the_packages_lpips_with_vgg() -> None:
    predicted, target = to_unit_range(scenes(0, 2)), to_unit_range(scenes(1, 2))
    real("vgg16")
    with torch.inference_mode():
        expected = make_package_lpips("vgg16", "vgg")(predicted, target, normalize=True).mean()
        value = Lpips(WEIGHTS, torch.device("cpu"))(predicted, target)
    assert float(value) == pytest.approx(float(expected), abs=1e-6)


def test_aliked_tells_a_view_from_another_scene() -> None:
    pytest.importorskip("kornia")
    matches = load_lightglue_aliked(real("aliked"))
    target, another = (scenes(seed, 1, 256)[:, 64:192] for seed in (0, 1))
    shifted, blank_frame = np.roll(target, 8, axis=2), np.zeros_like(target)
    soft = cv2.GaussianBlur(target[0], (0, 0), 2)[None]
    predicted = np.concatenate([target, shifted, soft, another, blank_frame, blank_frame])
    rows = matches(predicted, np.concatenate([target] * 5 + [blank_frame]))
    same, moved, blurred, other, without, nothing = rows[:, 0]
    assert same > 200
    assert min(moved, blurred) > 0.2 * same
    assert max(other, without, nothing) < 0.05 * same
    np.testing.assert_array_equal(matches(predicted[1:2], target), rows[1:2])
    above = dict(zip(COLUMNS, rows.T[1:], strict=True))
    assert (above["above_0.4"] >= rows[:, 0]).all()
    assert (above["above_0.6"] <= rows[:, 0]).all()


def test_i3d_matches_a_second_implementation(embed) -> None:
    clips = scenes(0, 16)[None]
    logits = embed(clips)
    expected = i3d_logits(real_tensors("i3d"), clips)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("num_frames", FVD_ZEROS_ONES)
def test_fvd_of_black_and_white_is_the_published_value(embed, num_frames: int) -> None:
    black, white = (np.repeat(embed(blank(level, 1, num_frames)), 8, axis=0) for level in (0, 255))
    expected, published = FVD_ZEROS_ONES[num_frames]
    fvd = frechet_distance(white, black)
    assert fvd == pytest.approx(expected, abs=0.01)
    assert fvd == pytest.approx(published, rel=4e-3)


def test_fvd_and_kvd_match_the_textbook_formulas(embed) -> None:
    features = embed(scenes(0, 45).reshape(5, 9, 64, 64, 3)).astype(np.float64)
    first, second = features[:3], features[2:]
    covariances = [np.cov(features, rowvar=False) for features in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    offset = first.mean(axis=0) - second.mean(axis=0)
    expected = offset @ offset + np.trace(covariances[0] + covariances[1] - 2 * root)
    # scipy is imprecise for the root of a singular matrix, hence the tolerance
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-3)

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return (a @ b / len(a) + 1) ** 3

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j])
        for x in (first, second)
    ]
    between = np.mean([kernel(a, b) for a in first for b in second])
    assert kernel_distance(first, second) == pytest.approx(sum(within) - 2 * between, rel=1e-9)
