"""perf.matchers: the area worked out by hand, and mistakes in one sentence."""

from pathlib import Path

import numpy as np
import pytest

from perf.matchers import area, blur, main, through_64
from tests.fakes.benchmark_data import write_dataset


def test_the_area_is_the_chance_of_being_above() -> None:
    assert area(np.array([2.0, 1.0]), np.array([1.0, 0.0])) == 0.875
    assert area(np.array([0.0]), np.array([1.0])) == 0.0


def test_softening_keeps_flat_frames_and_takes_single_pixels_down() -> None:
    frames = np.full((1, 128, 128, 3), 90, np.uint8)
    point = frames.copy()
    point[0, 64, 64] = 250
    for soften in (through_64, blur):
        np.testing.assert_array_equal(soften(frames), frames)
        assert 90 < soften(point).max() < 150


@pytest.mark.parametrize(
    ("videos", "message"),
    [
        (1, "has one video; two are needed"),
        (2, "no walk returns to the first 64 frames"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, capsys, videos: int, message: str) -> None:
    data = write_dataset(tmp_path / "data", num_videos=videos)
    assert main(["--data", str(data), "--metrics", "psnr"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
