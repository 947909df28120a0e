"""Reconstruction by level: numbers match torchmetrics, mutants, a perfect level, the picture, mistakes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.metrics.lpips import load_lpips
from benchmark.metrics.psnr import psnr
from benchmark.metrics.ssim import ssim
from loopcraft.core.files import file_sha256
from loopcraft.dataset import open_dataset
from loopcraft.drawing.grid import MARGIN
from models import evaluate
from models.checkpoints.format import save_checkpoint
from models.evaluate import main
from models.latents.codec import FrameCodec
from models.networks.autoencoder import Autoencoder, AutoencoderConfig, join_patches, patch_pyramid
from models.reconstruction import scores as reconstruction
from models.reconstruction.picture import draw_reconstructions
from models.reconstruction.scores import (
    Example,
    choose_examples,
    choose_frames,
    collect,
    estimate,
    score_videos,
)
from models.zoo.loading import WeightSource, load_autoencoder
from tests.fakes.benchmark_data import make_frames, write_dataset
from tests.fakes.tiny_networks import bundle_of, save_alexnet
from tests.references.torchmetrics_calls import peak_signal_noise_ratio, structural_similarity

SIDE, FRAMES, VIDEOS = 16, 23, 3
CHOSEN = [0, 7, 15, 22]
CONFIG = AutoencoderConfig(frame_size=SIDE, patch=4, levels=3, channels=4, size="nano")
NAMES = ("hierarchical", "mean-pooled")
STEMS = ("autoencoder", "autoencoder-cascaded")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), num_videos=VIDEOS, num_frames=FRAMES, side=SIDE)


def save(folder: Path, stem: str, seed: int, **changes) -> Autoencoder:
    """Save weights large enough that every level reconstructs a different picture."""
    draws = torch.Generator().manual_seed(seed)
    config = dataclasses.replace(CONFIG, cascaded=stem.endswith("cascaded"), **changes)
    torch.manual_seed(seed)  # the initial weights come from torch's global generator
    autoencoder = Autoencoder(config)
    for parameter in autoencoder.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=draws)
    autoencoder.decoder.unpatchify.weight.data *= 0.2
    autoencoder.decoder.unpatchify.bias.data += 0.5
    save_checkpoint(folder / f"{stem}.safetensors", autoencoder.state_dict(), config)
    return autoencoder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("checkpoint")
    for seed, stem in enumerate(STEMS):
        save(folder, stem, seed)
    return folder


def run(checkpoint: Path, data: Path, out: Path, *more: str) -> dict:
    flags = ("--checkpoint", str(checkpoint), "--data", str(data), "--out", str(out), "--num-frames", "4")
    assert main(["autoencoder", *flags, *more]) == 0
    return json.loads((out / "reconstruction.json").read_text())


def decode_plainly(autoencoder: Autoencoder, image: torch.Tensor, level: int) -> torch.Tensor:
    """Decode an 8-bit frame (3, H, W) from one level with the networks and manual pooling."""
    patches = patch_pyramid(image[None].float() / 255, CONFIG.patch, CONFIG.levels)
    latents = autoencoder.encoder(patches)[0]
    levels = list(latents.split([16, 4, 1]))
    if autoencoder.config.cascaded:
        cells = levels[0].view(4, 4, -1)
        levels[1] = cells.view(2, 2, 2, 2, -1).mean((1, 3)).flatten(0, 1)
        levels[2] = cells.mean((0, 1))[None]
    tokens = torch.cat([part if i == level else torch.full_like(part, 9.0) for i, part in enumerate(levels)])
    out = autoencoder.decoder(tokens[None], torch.tensor([level]))[:, :16]
    return (join_patches(out, CONFIG.patch)[0].clamp(0, 1) * 255).round() / 255


@pytest.fixture(scope="module")
@torch.no_grad()
def expected(checkpoint, data) -> dict:
    """Every video's mean by autoencoder, metric and level: frames decoded again, scored by torchmetrics."""
    means = {}
    for name, model in zip(NAMES, ("millivid", "millivid-cascaded"), strict=True):
        autoencoder, _ = load_autoencoder(model, WeightSource(checkpoint=str(checkpoint)))
        for level in range(CONFIG.levels):
            for video in range(VIDEOS):
                scores = {"psnr": [], "ssim": []}
                frames = open_dataset(data).frames(f"000/00{video}")[CHOSEN]
                for image in torch.from_numpy(frames).movedim(-1, 1):
                    back, true = decode_plainly(autoencoder, image, level)[None], image[None].float() / 255
                    scores["psnr"].append(peak_signal_noise_ratio(back, true, data_range=1.0))
                    ssim_value = structural_similarity(back, true, data_range=1.0)
                    scores["ssim"].append(ssim_value)
                for metric, values in scores.items():
                    means.setdefault((name, metric, level), []).append(float(torch.stack(values).mean()))
    return means


def find_differences(report: dict, expected: dict) -> list[tuple]:
    """List where a report differs from the expected values."""
    wrong = []
    for (name, metric, level), videos in expected.items():
        row = report["autoencoders"][name]["levels"][level]
        cell = row["metrics"][metric]
        error = np.std(videos, ddof=1) / np.sqrt(VIDEOS)
        near = np.allclose(cell["videos"], videos, atol=2e-4)
        near &= np.isclose(cell["mean"], np.mean(videos), atol=2e-4)
        near &= np.isclose(cell["standard_error"], error, atol=2e-4)
        if not near or (row["level"], row["tokens"]) != (level, (16, 4, 1)[level]):
            wrong.append((name, metric, level))
    return wrong


def test_numbers_match_an_independent_computation(checkpoint, data, tmp_path, expected, capsys):
    means = [
        round(float(np.mean(videos)), 2) for (_, metric, _), videos in expected.items() if metric == "psnr"
    ]
    assert len(set(means)) == 6  # all levels of both differ, otherwise swaps would go unnoticed
    report = run(checkpoint, data, tmp_path)
    assert find_differences(report, expected) == []
    assert report["data"] == {
        "fingerprint": open_dataset(data).fingerprint,
        "videos": [f"000/00{video}" for video in range(VIDEOS)],
        "frames": 4 * VIDEOS,
    }
    for name, stem in zip(NAMES, STEMS, strict=True):
        assert report["autoencoders"][name]["sha256"] == file_sha256(checkpoint / f"{stem}.safetensors")
    assert report["settings"]["metrics"] == {
        "psnr": {"version": 1, "weights": {}},
        "ssim": {"version": 1, "weights": {}},
    }
    printed = capsys.readouterr().out
    for (_, metric, _), videos in expected.items():
        decimals = {"psnr": 2, "ssim": 4}[metric]
        error = np.std(videos, ddof=1) / np.sqrt(VIDEOS)
        assert f"{np.mean(videos):.{decimals}f} ± {error:.{decimals}f}" in printed
    assert "PSNR (dB), higher is better" in printed
    assert "mean ± standard error over 3 videos (12 frames)\n" in printed


def reversed_levels(codec, frames, device, original=reconstruction.reconstruct):
    return original(codec, frames, device)[::-1]


def swapped_levels(codec, frames, device, original=reconstruction.reconstruct):
    finest, middle, coarsest = original(codec, frames, device)
    return [finest, coarsest, middle]


def always_finest(codec, frames, device, original=reconstruction.reconstruct):
    return [original(codec, frames, device)[0]] * 3


def frames_moved(codec, frames, device, original=reconstruction.reconstruct):
    return [np.roll(level, 1, axis=0) for level in original(codec, frames, device)]


def truncated(codec, frames, device):
    pyramid = codec.encode(torch.from_numpy(frames).movedim(-1, 1)[None])
    return [
        (codec.decode(part, level)[0] * 255).byte().movedim(1, -1).numpy()
        for level, part in enumerate(pyramid)
    ]


@pytest.mark.parametrize(
    "mutant",
    [reversed_levels, swapped_levels, always_finest, frames_moved, truncated],
    ids=lambda f: f.__name__,
)
def test_the_comparison_catches_mutants(mutant, checkpoint, data, tmp_path, expected, monkeypatch):
    monkeypatch.setattr(reconstruction, "reconstruct", mutant)
    assert find_differences(run(checkpoint, data, tmp_path), expected)


def test_the_comparison_catches_swapped_autoencoders(checkpoint, data, tmp_path, expected, monkeypatch):
    def swapped(model: str, source: WeightSource):
        return load_autoencoder({"millivid": "millivid-cascaded"}.get(model, "millivid"), source)

    monkeypatch.setattr(evaluate, "load_autoencoder", swapped)
    wrong = find_differences(run(checkpoint, data, tmp_path), expected)
    assert {(name, level) for name, _, level in wrong} == {(n, i) for n in NAMES for i in range(3)}


class OnlyOneLevel(torch.nn.Module):
    """Reconstructs the frame perfectly from one level, and its negative from the others."""

    config = CONFIG

    def __init__(self, perfect: int) -> None:
        super().__init__()
        self.perfect = perfect

    def encode(self, images):
        return [images.flatten(1)[:, None]] * 3

    def decode(self, latents, level):
        images = latents.view(-1, 3, SIDE, SIDE)
        return images if level == self.perfect else 1 - images


@pytest.mark.parametrize("perfect", range(3))
def test_only_the_perfect_level_is_perfect(perfect, data):
    codecs = {"hierarchical": FrameCodec(OnlyOneLevel(perfect), "float32")}
    dataset = open_dataset(data)
    chosen = choose_frames(dataset, 2)
    steps = score_videos(dataset, chosen, set(), codecs, {"psnr": psnr, "ssim": ssim}, CPU)
    results = collect([scores for scores, _ in steps])["hierarchical"]
    for level in range(3):
        estimates = results["psnr"][level], results["ssim"][level]
        if level == perfect:
            assert [(e.mean, e.standard_error) for e in estimates] == [(100.0, 0.0), (1.0, 0.0)]
        else:
            assert estimates[0].mean < 20
            assert estimates[1].mean < 0


def test_the_standard_error_is_of_the_mean():
    assert estimate([1.0, 2.0, 3.0, 4.0]).mean == 2.5
    assert estimate([1.0, 2.0, 3.0, 4.0]).standard_error == pytest.approx(0.6454972243679028, abs=1e-12)
    assert estimate([7.0]).standard_error is None


def test_frames_are_spread_over_every_video(data, tmp_path):
    dataset = open_dataset(data)
    assert choose_frames(dataset, 4) == dict.fromkeys(dataset.keys, CHOSEN)
    assert choose_frames(dataset, 1) == {key: [0] for key in dataset.keys}
    assert choose_frames(dataset, 99) == {key: [*range(FRAMES)] for key in dataset.keys}
    chosen = choose_frames(dataset, 4)
    assert choose_examples(chosen, 3) == {("000/000", 15), ("000/001", 15), ("000/002", 15)}
    assert len(choose_examples(chosen, 99)) == 12


def test_a_missing_cascaded_autoencoder_is_reported(checkpoint, data, tmp_path, capsys, expected):
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/autoencoder.safetensors").write_bytes(
        (checkpoint / "autoencoder.safetensors").read_bytes()
    )
    report = run(tmp_path / "alone", data, tmp_path / "out")
    assert list(report["autoencoders"]) == ["hierarchical"]
    assert (
        find_differences(report, {key: value for key, value in expected.items() if key[0] == "hierarchical"})
        == []
    )
    message = "holds no autoencoder-cascaded.safetensors: only the hierarchical autoencoder is scored"
    assert message in capsys.readouterr().out


def test_lpips_matches_the_benchmark(tmp_path, monkeypatch):
    data = write_dataset(tmp_path / "data", num_videos=1, num_frames=2, side=32)
    autoencoder = save(tmp_path, "autoencoder", 0, frame_size=32, patch=8)
    resources = bundle_of(tmp_path / "weights", "alexnet", save_alexnet)
    monkeypatch.setattr(evaluate, "open_bundle", lambda root: resources.weights)
    report = run(tmp_path, data, tmp_path / "out", "--weights", str(tmp_path / "weights"))
    frames = make_frames(0, 2, 32)
    back = reconstruction.reconstruct(FrameCodec(autoencoder, "float32"), frames, CPU)[1]
    [score] = report["autoencoders"]["hierarchical"]["levels"][1]["metrics"]["lpips"]["videos"]
    assert score == pytest.approx(float(load_lpips(resources)(back, frames).mean()), rel=1e-2)
    assert "alexnet/alexnet.safetensors" in report["settings"]["metrics"]["lpips"]["weights"]


def solid(shade: int) -> np.ndarray:
    return np.full((8, 8, 3), (shade, 255 - shade, 0), np.uint8)


def test_the_picture_has_the_truth_on_top_and_finest_levels_first(tmp_path):
    example = Example(
        key="000/000",
        index=5,
        true=solid(10),
        reconstructions={"hierarchical": [solid(20), solid(40)], "mean-pooled": [solid(30), solid(50)]},
    )
    other = dataclasses.replace(example, true=solid(60))
    draw_reconstructions(tmp_path / "a.png", [example, other], [4, 1])
    pixels = np.asarray(Image.open(tmp_path / "a.png"))
    is_tile = (pixels.sum(2) == 255) & (pixels[..., 2] == 0)
    shades = [list(dict.fromkeys(pixels[is_tile[:, x], x, 0].tolist())) for x in range(pixels.shape[1])]
    assert [column for column in dict.fromkeys(map(tuple, shades)) if column] == [
        (10, 20, 30, 40, 50),
        (60, 20, 30, 40, 50),
    ]
    assert is_tile.sum() == 2 * 5 * 128 * 128


def test_the_picture_of_a_run_shows_its_frames(checkpoint, data, tmp_path):
    run(checkpoint, data, tmp_path)
    pixels = np.asarray(Image.open(tmp_path / "reconstruction.png"))
    # six of twelve frames: the second and fourth of every video
    frames = open_dataset(data).frames("000/000")
    tile = np.kron(frames[CHOSEN[1]], np.ones((8, 8, 1), np.uint8))
    positions = [
        (top, left)
        for top in range(20, 60)
        for left in range(MARGIN, 240)
        if np.array_equal(pixels[top : top + 128, left : left + 128], tile)
    ]
    assert len(positions) == 1


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--checkpoint", "nowhere"), "nowhere: holds no autoencoder.safetensors; give the folder of"),
        (("--data", "nowhere"), "nowhere: no such folder"),
        (("--metrics", "psnr,beauty"), "unknown metric 'beauty': choose from psnr, ssim"),
        (("--metrics", "fid"), "--metrics fid: compares sets of videos, not pairs of frames"),
        (("--metrics", "ms_ssim"), "ms_ssim needs frames of at least"),
        (("--metrics", "dinov2"), "dinov2"),
        (("--num-frames", "0"), "--num-frames 0: choose 1 or more"),
        (("--device", "abacus"), "--device abacus: no such device"),
        (("--weights", "nowhere"), "nowhere: holds no weights.json"),
    ],
    ids=lambda value: value[0] + value[1] if isinstance(value, tuple) else "",
)
def test_mistakes_are_one_sentence(flags, said, checkpoint, data, tmp_path, capsys):
    arguments = {"--checkpoint": str(checkpoint), "--data": str(data), "--out": str(tmp_path / "out")}
    arguments |= dict([flags])
    if flags[0] == "--weights":
        arguments |= {"--metrics": "psnr"}
    assert main(["autoencoder", *(part for pair in arguments.items() for part in pair)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_missing_weights_are_one_sentence(tmp_path, capsys):
    data = write_dataset(tmp_path / "data", num_videos=1, num_frames=2, side=32)
    save(tmp_path, "autoencoder", 0, frame_size=32, patch=8)
    flags = ("--checkpoint", str(tmp_path), "--data", str(data), "--out", str(tmp_path / "out"))
    assert main(["autoencoder", *flags, "--metrics", "lpips"]) == 2
    assert (
        "--metrics lpips needs pretrained weights: python -m benchmark.weights fetch"
        in capsys.readouterr().err
    )


def test_frames_of_another_size_are_refused(checkpoint, tmp_path, capsys):
    data = write_dataset(tmp_path / "data", num_videos=1, num_frames=2, side=8)
    flags = ("--checkpoint", str(checkpoint), "--data", str(data), "--out", str(tmp_path / "out"))
    assert main(["autoencoder", *flags]) == 2
    error = capsys.readouterr().err
    assert f"--data {data}: has frames of 8 x 8, but the autoencoder of {checkpoint} takes 16 x 16" in error


def test_autoencoders_of_different_grids_are_refused(data, tmp_path, capsys):
    save(tmp_path, "autoencoder", 0)
    save(tmp_path, "autoencoder-cascaded", 0, levels=2)
    flags = ("--checkpoint", str(tmp_path), "--data", str(data), "--out", str(tmp_path / "out"))
    assert main(["autoencoder", *flags]) == 2
    assert "its two autoencoders differ in frame size or tokens per level" in capsys.readouterr().err
