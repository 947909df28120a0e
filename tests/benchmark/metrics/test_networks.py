"""Network metrics: their real loading code on tiny networks, compared with independent computations.

The published weights are not needed: the tests prove that files, frames, ranges and sizes reach
the networks as in the paper, whatever their weights.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from benchmark import metrics
from benchmark.metrics import METRICS, i3d, lightglue
from benchmark.metrics.base import MetricUnavailableError, Resources
from benchmark.metrics.dinov2 import crop_and_normalize, load_dinov2, resize_positions
from benchmark.metrics.inception import load_inception, resize
from benchmark.metrics.lightglue import COLUMNS, load_lightglue
from benchmark.metrics.lpips import load_lpips, load_lpips_map
from tests.fakes import tiny_networks
from tests.fakes.tiny_networks import bundle_of, fill, save_script, scenes

NetworkFunction = Callable[..., np.ndarray]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> MappingProxyType[str, NetworkFunction]:
    """Every network metric, loaded from a folder of tiny weights; embeddings compare two sets by distance."""

    def resources(name: str, save: Callable[[Path], object]) -> Resources:
        return bundle_of(tmp_path_factory.mktemp(name), name, save)

    torch.set_num_threads(1)
    inception = fill(tiny_networks.TinyInception())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(i3d, "Network", tiny_networks.TinyI3D)
        embed_i3d = i3d.load_i3d(resources("i3d", tiny_networks.save_i3d))
    return MappingProxyType(
        {
            "lpips": load_lpips(resources("alexnet", tiny_networks.save_alexnet)),
            "dinov2": load_dinov2(resources("dinov2", tiny_networks.tiny_dinov2().save_pretrained)),
            "lightglue": load_lightglue(
                resources("lightglue", tiny_networks.tiny_lightglue().save_pretrained), long_side=128
            ),
            "inception": load_inception(
                resources("inception", lambda at: save_script(inception, at / "inception-2015-12-05.pt"))
            ),
            "i3d": embed_i3d,
        }
    )


def to_unit_range(frames: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2) / 255


def reference_lpips(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compute the published formula layer by layer with the package's linear weights."""
    import lpips

    package = Path(lpips.__file__).parent
    linear = torch.load(package / "weights" / "v0.1" / "alex.pth", map_location="cpu", weights_only=True)
    state = tiny_networks.tiny_alexnet()
    total = torch.zeros(len(predicted))
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    a, b = (
        (2 * to_unit_range(x) - 1 - shift.view(3, 1, 1)) / scale.view(3, 1, 1) for x in (predicted, target)
    )
    strides, paddings = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1)
    for layer, index in enumerate((0, 3, 6, 8, 10)):
        if layer in (1, 2):
            a, b = functional.max_pool2d(a, 3, 2), functional.max_pool2d(b, 3, 2)
        weight, bias = state[f"features.{index}.weight"], state[f"features.{index}.bias"]
        a, b = (functional.conv2d(x, weight, bias, strides[layer], paddings[layer]).relu() for x in (a, b))
        unit_a, unit_b = (x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for x in (a, b))
        difference = (unit_a - unit_b).square() * linear[f"lin{layer}.model.1.weight"]
        total += difference.sum(dim=1).mean(dim=(1, 2))
    return total.numpy()


def reference_dinov2(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Run the network on frames prepared by torchvision, at the grid it was trained on."""
    from torchvision.transforms import v2

    prepare = v2.Compose([v2.CenterCrop(70), v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    network = tiny_networks.tiny_dinov2()
    with torch.inference_mode():
        a, b = (
            network(prepare(to_unit_range(x))).last_hidden_state[:, 0].numpy() for x in (predicted, target)
        )
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def reference_lightglue(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Use transformers' own pre- and post-processing; frames are already grey and of the final size."""
    from transformers import LightGlueImageProcessor

    processor = LightGlueImageProcessor(do_resize=False)
    network = tiny_networks.tiny_lightglue()
    network.keypoint_detector.keypoint_decoder.keypoint_threshold = 0.0005
    network.keypoint_detector.keypoint_decoder.max_keypoints = 1024
    rows = []
    for a, b in zip(predicted, target, strict=True):
        with torch.inference_mode():
            output = network(**processor([Image.fromarray(a), Image.fromarray(b)], return_tensors="pt"))
        sizes = [[a.shape[:2], b.shape[:2]]]
        scores = processor.post_process_keypoint_matching(output, sizes, threshold=0.0)[0]["matching_scores"]
        thresholds = [0.5, 0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9]
        rows.append([*((scores > t).sum() for t in thresholds), scores.mean()])
    return np.array(rows, np.float32)


def reference_inception(frames: np.ndarray) -> np.ndarray:
    """Resize every channel separately with Pillow, in floating point."""
    network = fill(tiny_networks.TinyInception())
    features = []
    for frame in frames:
        channels = [Image.fromarray(frame[:, :, c].astype(np.float32)) for c in range(3)]
        resized = [np.asarray(c.resize((299, 299), Image.Resampling.BICUBIC)).clip(0, 255) for c in channels]
        with torch.inference_mode():
            features.append(network(torch.from_numpy(np.stack(resized)[None] / 128 - 1)).flatten().numpy())
    return np.stack(features)


def reference_i3d(clips: np.ndarray) -> np.ndarray:
    """Sum plainly over the kernel, for clips (N, 16, H, W, 3) in [-1, 1]."""
    weight = fill(tiny_networks.TinyI3D()).convolution.weight.detach().numpy()  # (5, 3, 3, 4, 5)
    videos = clips.astype(np.float32).transpose(0, 4, 1, 2, 3) / 127.5 - 1
    windows = np.lib.stride_tricks.sliding_window_view(videos, (3, 4, 5), axis=(2, 3, 4))
    values = np.einsum("nctyxabd,ocabd->notyx", windows[:, :, ::2, ::3, ::3], weight)
    return values.clip(0).mean(axis=(2, 3, 4))


def grey(frames: np.ndarray) -> np.ndarray:
    return np.repeat(frames[..., :1], 3, axis=3)


@pytest.mark.parametrize("height", [64, 71])
def test_lpips_is_the_published_formula(loaded, height: int) -> None:
    predicted, target = scenes(0, 3, 72)[:, :height], scenes(1, 3, 72)[:, :height]
    values = loaded["lpips"](predicted, target)
    np.testing.assert_allclose(values, reference_lpips(predicted, target), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(64, 64), (71, 96)])
def test_the_lpips_map_averages_to_the_values_and_shows_where(tmp_path: Path, loaded, shape) -> None:
    lpips_map = load_lpips_map(bundle_of(tmp_path, "alexnet", tiny_networks.save_alexnet))
    target = scenes(0, 3, 96)[:, : shape[0], : shape[1]]
    predicted = target.copy()
    predicted[:, :, 48:] = scenes(1, 3, 96)[:, : shape[0], 48 : shape[1]]
    values, maps, _ = lpips_map(predicted, target)
    np.testing.assert_allclose(values, loaded["lpips"](predicted, target), rtol=1e-5)
    assert maps.shape == (3, *shape)
    np.testing.assert_allclose(maps.mean(axis=(1, 2)), values, rtol=0.03)
    assert (maps[:, :, 48:].mean(axis=(1, 2)) > 2 * maps[:, :, :48].mean(axis=(1, 2))).all()
    assert not lpips_map(target, target)[1].any()


@pytest.mark.parametrize("side", [70, 76, 83])
def test_dinov2_is_the_cosine_of_class_tokens(loaded, side: int) -> None:
    predicted, target = scenes(0, 3, side), scenes(1, 3, side)
    values = loaded["dinov2"](predicted, target)
    np.testing.assert_allclose(values, reference_dinov2(predicted, target), rtol=0, atol=1e-5)


def test_lightglue_matches_transformers(loaded) -> None:
    target = grey(scenes(0, 3, 128))
    predicted = np.roll(target, 2, axis=1)
    values, expected = loaded["lightglue"](predicted, target), reference_lightglue(predicted, target)
    np.testing.assert_array_equal(values[:, :-1], expected[:, :-1])
    np.testing.assert_allclose(values[:, -1], expected[:, -1], rtol=1e-5)
    assert values[:, 0].min() > 0


@pytest.mark.parametrize("shape", [(64, 64), (299, 40), (400, 310)])
def test_inception_features_match_pillow_and_the_layers(loaded, shape: tuple[int, int]) -> None:
    frames = scenes(0, 2, 400)[:, : shape[0], : shape[1]]
    values = loaded["inception"](frames[:, None])
    np.testing.assert_allclose(values, reference_inception(frames), rtol=1e-4, atol=1e-5)


def test_i3d_features_match_the_network_on_minus_one_to_one(loaded) -> None:
    clips = scenes(0, 32, 20).reshape(2, 16, 20, 20, 3)
    np.testing.assert_allclose(loaded["i3d"](clips), reference_i3d(clips), rtol=1e-4, atol=1e-5)


def test_pinned_values(loaded) -> None:
    predicted, target = scenes(0, 1, 84), scenes(1, 1, 84)
    assert loaded["lpips"](predicted, target)[0] == pytest.approx(0.17701653, rel=1e-4)
    assert loaded["dinov2"](predicted, target)[0] == pytest.approx(0.73255914, abs=1e-5)
    assert loaded["inception"](target[:, None])[0, :2] == pytest.approx([0.13421603, -0.35948107], rel=1e-3)
    assert loaded["i3d"](scenes(1, 16, 24)[None])[0, :2] == pytest.approx([0.39115208, 0.17522292], rel=1e-3)
    row = loaded["lightglue"](np.roll(target, 1, axis=2), target)[0]
    assert row == pytest.approx([3, 5, 5, 4, 3, 3, 2, 1, 0, 0, 0.46670967], rel=1e-3)


@pytest.mark.parametrize("name", ["lpips", "dinov2", "lightglue"])
def test_a_pair_does_not_depend_on_its_batch(loaded, name: str) -> None:
    metric = loaded[name]
    target = scenes(3, 18, 72)  # more than one batch of 16
    predicted = np.roll(target, 2, axis=1)
    whole = metric(predicted, target)
    order = np.random.default_rng(0).permutation(18)
    np.testing.assert_allclose(metric(predicted[order], target[order]), whole[order], rtol=1e-5, atol=1e-6)
    parts = [metric(predicted[:5], target[:5]), metric(predicted[5:], target[5:])]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "clip"), [("inception", 1), ("i3d", 16)])
def test_a_clip_does_not_depend_on_its_batch(loaded, name: str, clip: int) -> None:
    clips = scenes(3, 18 * clip, 24).reshape(18, clip, 24, 24, 3)
    whole = loaded[name](clips)
    np.testing.assert_allclose(loaded[name](clips[::-1]), whole[::-1], rtol=1e-5, atol=1e-6)
    parts = [loaded[name](clips[:3]), loaded[name](clips[3:])]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "best"), [("lpips", 0.0), ("dinov2", 1.0), ("lightglue", None)])
def test_identical_is_best_and_another_scene_worst(loaded, name: str, best: float | None) -> None:
    target = scenes(5, 2, 128)
    noise = np.random.default_rng(0).integers(-16, 17, target.shape)
    pairs = [target, (target + noise).clip(0, 255).astype(np.uint8), scenes(6, 2, 128)]
    values = [loaded[name](predicted, target).reshape(2, -1)[:, 0] for predicted in pairs]
    if best is not None:
        np.testing.assert_allclose(values[0], best, rtol=0, atol=1e-6)
    sign = -1 if name == "lpips" else 1
    assert (sign * np.diff(values, axis=0) < 0).all()


def test_pairs_without_features_have_no_matches(loaded) -> None:
    blank = np.zeros((1, 64, 64, 3), np.uint8)
    for predicted, target in ((blank, blank), (blank, scenes(0, 1)), (scenes(0, 1), blank)):
        np.testing.assert_array_equal(loaded["lightglue"](predicted, target), np.zeros((1, len(COLUMNS) + 1)))


def test_lightglue_works_at_1024_pixels_with_1024_keypoints(tmp_path: Path, monkeypatch) -> None:
    seen = {}

    def spy(model, device):
        seen["decoder"] = model.keypoint_detector.keypoint_decoder

        def forward(pixels):
            seen["pixels"] = pixels
            return SimpleNamespace(matches=torch.zeros(1, 2, 4), matching_scores=torch.ones(1, 2, 4))

        return forward

    monkeypatch.setattr(lightglue, "prepare", spy)
    resources = bundle_of(tmp_path, "lightglue", tiny_networks.tiny_lightglue().save_pretrained)
    frame = scenes(0, 1, 64)[:, :48]
    row = load_lightglue(resources)(frame, frame)[0]
    assert (seen["decoder"].max_keypoints, seen["decoder"].keypoint_threshold) == (1024, 0.0005)
    assert seen["pixels"].shape == (1, 2, 3, 768, 1024)
    luma = Image.fromarray((frame[0] @ np.array([0.299, 0.587, 0.114])).astype(np.float32) / 255)
    expected = np.asarray(luma.resize((1024, 768), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(seen["pixels"][0, 0, 0], expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(row, [4.0] * 10 + [1.0])


def test_counts_above_thresholds_fall_and_the_headline_is_among_them(loaded) -> None:
    target = scenes(8, 3, 128)
    rows = loaded["lightglue"](target, target)
    above = {name: rows[:, index + 1] for index, name in enumerate(COLUMNS)}
    counts = [above[f"above_0.{digit}"] if digit != 5 else rows[:, 0] for digit in range(10)]
    assert (np.diff(counts, axis=0) <= 0).all()
    np.testing.assert_array_equal(counts[0], counts[1])
    assert counts[1].min() > counts[9].min()


def test_the_crop_is_central_and_as_large_as_the_patches_allow() -> None:
    frames = torch.zeros(1, 3, 256, 271)
    frames[:, :, 2:254, 2:268] = 1.0
    cropped = crop_and_normalize(frames)
    assert cropped.shape == (1, 3, 252, 266)
    white = (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(cropped[0, :, 0, 0], white, rtol=1e-6)
    assert (cropped == cropped[:, :, :1, :1]).all()


def cubic(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate by cubic convolution with PyTorch's constant, -3/4, along a line whose ends repeat."""
    taps = np.floor(at).astype(int)[:, None] + np.arange(-1, 3)
    x = np.abs(at[:, None] - taps)
    near, far = (1.25 * x - 2.25) * x**2 + 1, -0.75 * (((x - 5) * x + 8) * x - 4)
    return (np.where(x <= 1, near, far) * values[taps.clip(0, len(values) - 1)]).sum(axis=1)


def test_positions_are_sampled_at_the_original_scale() -> None:
    line = np.random.default_rng(0).standard_normal(37)
    grid = np.stack([np.repeat(line[:, None], 37, 1), np.repeat(line[None], 37, 0)], axis=-1)
    positions = torch.from_numpy(np.concatenate([np.full((1, 2), 7.0), grid.reshape(-1, 2)])[None]).float()
    resized = resize_positions(positions, 18, 16)
    assert resized.shape == (1, 1 + 18 * 16, 2)
    np.testing.assert_array_equal(resized[:, 0], 7.0)
    sampled = resized[0, 1:].view(18, 16, 2).numpy()
    for count, along in ((18, sampled[:, 5, 0]), (16, sampled[5, :, 1])):
        at = (np.arange(count) + 0.5) * 37 / (count + 0.1) - 0.5
        np.testing.assert_allclose(along, cubic(line, at), rtol=0, atol=1e-4)
    torch.testing.assert_close(resize_positions(positions, 37, 37), positions)


def test_bicubic_overshoot_is_clipped() -> None:
    frame = torch.zeros(1, 3, 40, 40)
    frame[..., 20:] = 255.0
    resized = resize(frame)
    assert float(resized.min()) == 0.0
    assert float(resized.max()) == 255.0


def test_networks_need_weights_and_say_so() -> None:
    for metric in METRICS:
        load = metric.embedding.load if hasattr(metric, "embedding") else metric.load
        if metric.networks:
            with pytest.raises(MetricUnavailableError, match=f"--only {metric.networks[0]} --to DIR"):
                load(Resources())
        else:
            load(Resources())


def test_a_metric_is_declared_in_its_own_file_and_listed_in_the_registry() -> None:
    files = [import_module(f"{metrics.__name__}.{file.name}") for file in iter_modules(metrics.__path__)]
    for metric in METRICS:
        assert any(metric is value for file in files for value in vars(file).values()), metric.name
