"""PSNR and SSIM: equal to torchmetrics, pinned, independent of batching, and right on simple cases."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.contract.protocol import LOOPCRAFT_MINI, LOOPCRAFT_V1
from benchmark.metrics import METRICS, check_fit, get_metrics
from benchmark.metrics.base import Embedding, Resources, SetMetric
from benchmark.metrics.psnr import CAP_DB, psnr
from benchmark.metrics.ssim import SMALLEST_SIDE, ssim, ssim_map
from loopcraft.core.errors import UserError
from tests.references.torchmetrics_calls import peak_signal_noise_ratio, structural_similarity

SHAPE = (3, 3, 16, 16)


def as_tensor(frames: np.ndarray, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).to(dtype) / 255


def reference_ssim(
    predicted: np.ndarray, target: np.ndarray, dtype: torch.dtype = torch.float64
) -> np.ndarray:
    tensors = as_tensor(predicted, dtype), as_tensor(target, dtype)
    return structural_similarity(*tensors, data_range=(0.0, 1.0), reduction="none").numpy()


def reference_psnr(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    pairs = zip(as_tensor(predicted), as_tensor(target), strict=True)
    return np.array([float(peak_signal_noise_ratio(a, b, data_range=1.0)) for a, b in pairs])


def noise(seed: int, num_frames: int = 4, height: int = 24, width: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


def pictures(seed: int, num_frames: int, height: int, width: int) -> np.ndarray:
    """Draw noise, ramps, flat colours, extremes and near-copies, which make moments cancel."""
    rng = np.random.default_rng(seed)
    frames = noise(seed, num_frames, height, width)
    for frame in frames:
        kind = rng.integers(5)
        if kind == 1:
            frame[:] = rng.integers(0, 256, 3)
        elif kind == 2:
            frame[:] = np.linspace(0, 255, width).astype(np.uint8)[None, :, None]
        elif kind == 3:
            frame[:] = np.where(frame > 127, 255, 0)
        elif kind == 4:
            frame[:] = 200 + frame // 64
    return frames


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(SMALLEST_SIDE, 40), st.integers(SMALLEST_SIDE, 40))
def test_ssim_matches_torchmetrics(seed: int, height: int, width: int) -> None:
    predicted, target = pictures(seed, 3, height, width), pictures(seed + 1, 3, height, width)
    np.testing.assert_allclose(ssim(predicted, target), reference_ssim(predicted, target), rtol=0, atol=2e-5)


def test_ssim_matches_torchmetrics_in_float32_at_full_size() -> None:
    target = pictures(3, 2, 256, 256)
    predicted = np.clip(target.astype(int) + noise(4, 2, 256, 256) % 31 - 15, 0, 255).astype(np.uint8)
    expected = reference_ssim(predicted, target, torch.float32)
    np.testing.assert_allclose(ssim(predicted, target), expected, rtol=0, atol=2e-5)


def test_ssim_averages_the_whole_image_edges_included() -> None:
    predicted, target = noise(0), noise(0)
    predicted[:, :5] = 0  # differs near an edge only
    images = structural_similarity(
        as_tensor(predicted),
        as_tensor(target),
        data_range=(0.0, 1.0),
        reduction="none",
        return_full_image=True,
    )[1]
    windows_inside = images[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)).numpy()
    assert np.abs(ssim(predicted, target) - windows_inside).min() > 1e-2


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 20))
def test_psnr_matches_torchmetrics(seed: int, height: int, width: int) -> None:
    predicted, target = pictures(seed, 3, height, width), pictures(seed + 1, 3, height, width)
    expected = np.minimum(reference_psnr(predicted, target), CAP_DB)
    np.testing.assert_allclose(psnr(predicted, target), expected, rtol=0, atol=1e-4)


def test_pinned_values() -> None:
    ramp = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(1, 16, 16, 3)
    np.testing.assert_allclose(psnr(ramp, ramp[:, ::-1]), [5.8310852], rtol=0, atol=1e-5)
    np.testing.assert_allclose(ssim(ramp, ramp[:, ::-1]), [-0.4923063], rtol=0, atol=1e-5)


def test_one_level_everywhere_is_48_decibels() -> None:
    grey = np.full((1, 8, 8, 3), 100, np.uint8)
    assert psnr(grey, grey + 1)[0] == pytest.approx(20 * np.log10(255), abs=1e-5)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_identical_frames_have_exactly_the_best_value(metric) -> None:
    frames = pictures(7, 6, 24, 20)
    np.testing.assert_array_equal(metric(frames, frames), CAP_DB if metric is psnr else 1.0)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_more_noise_is_worse(metric) -> None:
    frame = noise(1, 1, 32, 32) // 2 + 64
    disturbance = noise(2, 1, 32, 32).astype(int) - 128
    values = [
        metric((frame + disturbance * a // 8).clip(0, 255).astype(np.uint8), frame)[0] for a in range(5)
    ]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 5


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_a_score_does_not_depend_on_the_batch(metric) -> None:
    predicted, target = noise(0, 6), noise(1, 6)
    whole = metric(predicted, target)
    order = [3, 0, 5, 1, 4, 2]
    np.testing.assert_array_equal(metric(predicted[order], target[order]), whole[order])
    np.testing.assert_array_equal(
        np.concatenate([metric(predicted[:2], target[:2]), metric(predicted[2:], target[2:])]), whole
    )


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_memory_layout_does_not_matter(metric) -> None:
    predicted, target = noise(0), noise(1)
    transposed = np.ascontiguousarray(predicted.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(metric(transposed, target[::-1][::-1]), metric(predicted, target))


def test_ssim_refuses_frames_that_cannot_be_mirrored() -> None:
    with pytest.raises(ValueError, match="6 pixels"):
        ssim(noise(0, 1, 5, 30), noise(1, 1, 5, 30))


def test_the_registry_is_sound() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert not any(":" in name or "," in name for name in names)
    for protocol in (LOOPCRAFT_V1, LOOPCRAFT_MINI):
        check_fit(get_metrics(protocol.metrics), protocol, (3, 256, 256))


@pytest.mark.parametrize("names", [["psnr", "vmaf"], ["psnr", "psnr"], []])
def test_bad_metric_names_are_refused(names: list[str]) -> None:
    with pytest.raises(UserError, match=r"vmaf|each metric once"):
        get_metrics(names)


def test_a_metric_that_does_not_fit_is_refused_before_the_rollout() -> None:
    with pytest.raises(UserError, match="ssim needs frames of at least 6"):
        check_fit(get_metrics(["ssim"]), LOOPCRAFT_V1, (3, 4, 256))
    clips_of_five = SetMetric(
        name="fvd5",
        version=1,
        title="",
        higher_is_better=False,
        decimals=1,
        embedding=Embedding(
            name="five", clip=5, load=lambda resources: lambda clips: clips.mean(axis=(1, 2, 3))
        ),
        distance=lambda generated, true: 0.0,
    )
    with pytest.raises(UserError, match="fvd5 sees 5 frames at a time"):
        check_fit([clips_of_five], LOOPCRAFT_V1, (3, 256, 256))


def test_resources_default_to_the_cpu() -> None:
    assert Resources().device.type == "cpu"


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(SMALLEST_SIDE, 40), st.integers(SMALLEST_SIDE, 40))
def test_the_ssim_map_matches_torchmetrics(seed: int, height: int, width: int) -> None:
    predicted, target = pictures(seed, 2, height, width), pictures(seed + 1, 2, height, width)
    mapped = ssim_map(predicted, target)
    np.testing.assert_array_equal(mapped.values, ssim(predicted, target))
    tensors = as_tensor(predicted, torch.float64), as_tensor(target, torch.float64)
    _, full = structural_similarity(*tensors, data_range=(0.0, 1.0), reduction="none", return_full_image=True)
    assert mapped.weights is None
    np.testing.assert_allclose(mapped.charges, full.mean(dim=1).numpy(), atol=2e-3)
    np.testing.assert_allclose(mapped.charges.mean(axis=(1, 2)), mapped.values, atol=1e-5)
