"""Videos of entries: those of wrong length or size, and other files, are refused."""

from pathlib import Path

import pytest

from benchmark.contract.protocol import LOOPCRAFT_MINI
from leaderboard.checks.clips import check_clips
from leaderboard.entry.folder import read_entry
from leaderboard.film.clips import write_clip
from tests.fakes.benchmark_data import make_frames
from tests.fakes.entries import sound_result, write_entry

HORIZON = LOOPCRAFT_MINI.horizon


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_entry(tmp_path, sound_result(recall=False), videos=1) / "videos" / "000-000.mp4"


def problems(video: Path) -> list[str]:
    return [finding.problem for finding in check_clips(read_entry(video.parents[1]))]


def test_a_clip_is_good(video: Path) -> None:
    assert problems(video) == []


@pytest.mark.parametrize(
    ("num_frames", "side", "message"),
    [
        (HORIZON - 1, 64, "has 191 frames, not 192"),
        (HORIZON + 5, 64, "has 193 or more frames, not 192"),
        (HORIZON, 32, "has frames of (32, 32), not (64, 64)"),
        (4, 1024, "has frames of (1024, 1024), not (64, 64)"),
    ],
)
def test_another_length_or_size_is_refused(video: Path, num_frames: int, side: int, message: str) -> None:
    write_clip(video, make_frames(0, num_frames, side), 150_000)
    assert problems(video) == [f"the video of 000/000 {message}"]


@pytest.mark.parametrize("content", [b"", b"<script>alert(1)</script>", b"GIF89a" + bytes(100)])
def test_a_file_that_is_no_mp4_is_refused(video: Path, content: bytes) -> None:
    video.write_bytes(content)
    assert problems(video) == ["the video of 000/000 is not an MP4"]


def test_a_damaged_file_is_refused(video: Path) -> None:
    content = video.read_bytes()
    video.write_bytes(content[:100] + bytes(200) + content[300:])
    assert problems(video) == ["the video of 000/000 cannot be decoded"]
    video.write_bytes(content.replace(b"avc1", b"none"))  # an unknown codec
    assert problems(video) == ["the video of 000/000 cannot be decoded"]
    video.write_bytes(b"\0\0\0\x08ftyp" + bytes(300))
    assert problems(video) == ["the video of 000/000 cannot be decoded"]
