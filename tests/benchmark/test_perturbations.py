"""The table of perturbations: each spoils only what it names, and the table lists what is missing."""

from pathlib import Path

import numpy as np
import pytest

from benchmark import perturbations
from benchmark.metrics.base import PairedMetric
from benchmark.perturbations import BEGIN, END, PERTURBATIONS
from loopcraft.core.cli import EXIT_OK, EXIT_USAGE
from tests.fakes.benchmark_data import make_frames, write_dataset
from tests.fakes.tiny_networks import scenes

SIDE = 64


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), num_videos=2, num_frames=70, side=16)


def videos() -> np.ndarray:
    return scenes(0, 6, SIDE).reshape(2, 3, SIDE, SIDE, 3)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_perturbation_keeps_shape_and_input_and_is_deterministic(name: str) -> None:
    change, original = PERTURBATIONS[name], videos()
    perturbed = change(original)
    assert perturbed.shape == original.shape
    assert perturbed.dtype == np.uint8
    np.testing.assert_array_equal(original, videos())
    np.testing.assert_array_equal(perturbed, change(videos()))
    assert np.array_equal(perturbed, original) == (name == "none")


def test_shift_moves_one_pixel_in_64() -> None:
    original = videos()
    perturbed = PERTURBATIONS["shift"](original)
    np.testing.assert_array_equal(perturbed[:, :, :, 1:], original[:, :, :, :-1])
    np.testing.assert_array_equal(perturbed[:, :, :, 0], original[:, :, :, 0])


def test_colour_rounds_and_saturates() -> None:
    frame = np.zeros((1, 1, 1, 2, 3), np.uint8)
    frame[..., 0, :], frame[..., 1, :] = (11, 11, 11), (250, 250, 251)
    np.testing.assert_array_equal(PERTURBATIONS["colour"](frame)[0, 0, 0], [[13, 11, 9], [255, 250, 201]])


def test_delete_object_changes_only_a_disc() -> None:
    changed = (PERTURBATIONS["delete object"](videos()) != videos()).any(axis=(0, 1, 4))
    rows, columns = np.nonzero(changed)
    radius = np.hypot(rows - SIDE // 2, columns - SIDE // 2)
    assert radius.max() <= SIDE // 8 + 1
    assert changed.sum() > 100


def test_swap_and_freeze_take_frames_from_elsewhere() -> None:
    original = videos()
    np.testing.assert_array_equal(PERTURBATIONS["swap video"](original), original[::-1])
    np.testing.assert_array_equal(PERTURBATIONS["freeze"](original)[:, 2], original[:, 0])


def test_the_table_has_every_metric_that_fits_and_says_what_is_absent(data: Path, capsys) -> None:
    assert perturbations.main(["--data", str(data)]) == EXIT_OK
    lines = capsys.readouterr().out.splitlines()
    header = lines[0].split("|")
    assert [title.strip() for title in header[2:6]] == ["PSNR ↑", "SSIM ↑", "DINOv2 ↑", "LightGlue ↑"]
    table = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in lines[2:9]}
    assert [*table] == [*PERTURBATIONS]
    assert table["none"][:3] == ["100.00", "1.0000", "–"]
    assert any("fvd is absent: it needs pretrained weights" in line for line in lines)
    frames = np.stack([make_frames(video, 70, 16)[6:] for video in range(2)])
    expected = -10 * np.log10(((frames / 255.0 - frames[::-1] / 255.0) ** 2).mean(axis=(2, 3, 4))).mean()
    assert float(table["swap video"][0]) == pytest.approx(expected, abs=0.006)


def test_a_slow_metric_sees_only_some_frames(data: Path, capsys, monkeypatch) -> None:
    targets = []

    def count(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
        targets.append(target)
        return np.full(len(target), 3.0)

    metric = PairedMetric(
        name="lightglue", version=1, title="Slow", higher_is_better=True, decimals=1, load=lambda _: count
    )
    monkeypatch.setattr(perturbations, "METRICS", (metric,))
    assert perturbations.main(["--data", str(data)]) == EXIT_OK
    frames = np.concatenate([make_frames(video, 70, 16)[6::16] for video in range(2)])
    assert len(targets) == len(PERTURBATIONS)
    np.testing.assert_array_equal(targets[0], frames)
    printed = capsys.readouterr().out
    assert "| swap video | 3.0 |" in printed
    assert "Means over 2 videos and 64 frames of each; Slow: every 16th frame." in printed


def test_the_table_is_written_only_between_the_marks(data: Path, tmp_path: Path, capsys) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert perturbations.main(["--data", str(data), "--out", str(page)]) == EXIT_OK
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n| | PSNR")
    assert text.endswith(f"\n{END}\nafter\n")
    assert "old" not in text
    page.write_text("no marks")
    assert perturbations.main(["--data", str(data), "--out", str(page)]) == EXIT_USAGE
    assert "lacks the lines" in capsys.readouterr().err


def test_one_episode_cannot_be_swapped(tmp_path: Path, capsys) -> None:
    data = write_dataset(tmp_path / "data", num_videos=1, num_frames=64)
    assert perturbations.main(["--data", str(data)]) == EXIT_USAGE
    assert "needs at least two episodes" in capsys.readouterr().err
