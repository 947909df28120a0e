"""Encoding and decoding: exact windows, correct colours, the same bytes each time, clear errors."""

import hashlib
import resource
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8

from leaderboard.checks.clips import frame_size
from loopcraft.core.errors import UserError
from loopcraft.video import h264 as video
from loopcraft.video.yuv import rgb_to_yuv420, yuv420_to_rgb

NUM_FRAMES = 60
SIZE = 48


def moving_scene(num_frames: int = NUM_FRAMES, size: int = SIZE) -> UInt8[np.ndarray, "T H W 3"]:
    """A smooth coloured pattern that moves, so that all frames differ."""
    time, row, column = np.ogrid[:num_frames, :size, :size]
    waves = [
        np.sin(row / 7 + time / 5) + 0 * column,
        np.cos(column / 9 - time / 11) + 0 * row,
        np.sin((row + column) / 13 + time / 3),
    ]
    return np.stack([127 + 90 * wave for wave in waves], axis=-1).round().astype(np.uint8)


def write(path: Path, frames: UInt8[np.ndarray, "T H W 3"], *, lossless: bool = False) -> None:
    with video.video_writer(path, height=frames.shape[1], width=frames.shape[2], lossless=lossless) as writer:
        for frame in frames:
            writer.write(frame)


def write_with_b_frames(path: Path, frames: UInt8[np.ndarray, "T H W 3"]) -> None:
    """Write a file like the paper's: x264's own structure, long groups with B-frames, no colour tags."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=20, options={"x264-params": "keyint=25:bframes=4"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def test_a_colon_in_a_relative_path_is_not_a_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("run 12:30") / "a%20.mp4"
    write(path, moving_scene(5), lossless=True)
    assert np.array_equal(video.read_frames(path, 0, 5), moving_scene(5))
    assert video.count_frames(path) == 5
    assert frame_size(path) == (SIZE, SIZE)


@pytest.fixture(scope="module")
def scene() -> UInt8[np.ndarray, "T H W 3"]:
    return moving_scene()


@pytest.fixture(scope="module", params=["ours", "lossless", "paper"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / f"{request.param}.mp4"
    if request.param == "paper":
        write_with_b_frames(path, moving_scene())
    else:
        write(path, moving_scene(), lossless=request.param == "lossless")
    return path


def decode_all(path: Path) -> UInt8[np.ndarray, "T H W 3"]:
    return np.stack(list(video.iterate_frames(path)))


def test_every_window_equals_that_part_of_the_whole(path: Path) -> None:
    whole = decode_all(path)
    assert len(whole) == NUM_FRAMES == video.count_frames(path)
    for start in range(NUM_FRAMES - 1):
        np.testing.assert_array_equal(video.read_frames(path, start, start + 2), whole[start : start + 2])
    np.testing.assert_array_equal(video.read_frames(path, 3, 50), whole[3:50])


def test_frames_come_back_in_place_and_nearly_equal(path: Path, scene: UInt8[np.ndarray, "T H W 3"]) -> None:
    error = decode_all(path).astype(float) - scene
    for frame_error in error:  # a frame out of place is off by far more
        assert np.abs(frame_error).mean() < 6
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 2.5


def test_lossless_is_lossless(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, 33, 47, 3), dtype=np.uint8)  # odd sizes too
    write(tmp_path / "a.mp4", noise, lossless=True)
    np.testing.assert_array_equal(decode_all(tmp_path / "a.mp4"), noise)


def test_the_same_frames_give_the_same_bytes(tmp_path: Path, scene: UInt8[np.ndarray, "T H W 3"]) -> None:
    digests = set()
    for name in ("a.mp4", "b.mp4"):
        write(tmp_path / name, scene)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_structure_and_tags(tmp_path: Path, scene: UInt8[np.ndarray, "T H W 3"]) -> None:
    write(tmp_path / "a.mp4", scene)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # playable before all of it has arrived
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 20)
        assert (context.colorspace, context.color_range) == (5, 1)
        frames = list(container.decode(stream))
    assert [index for index, frame in enumerate(frames) if frame.key_frame] == [0, 16, 32, 48]
    assert {frame.pict_type for frame in frames} == {PictureType.I, PictureType.P}


def test_other_readers_see_the_same_colours(tmp_path: Path, scene: UInt8[np.ndarray, "T H W 3"]) -> None:
    """FFmpeg's converter, given the matrix by our tags, differs only by its own rounding."""
    write(tmp_path / "a.mp4", scene)
    with av.open(str(tmp_path / "a.mp4")) as container:
        ffmpeg_frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert np.abs(ffmpeg_frames.astype(int) - decode_all(tmp_path / "a.mp4")).max() <= 3


def test_an_unfinished_file_does_not_appear(tmp_path: Path, scene: UInt8[np.ndarray, "T H W 3"]) -> None:
    def fail() -> None:
        with video.video_writer(tmp_path / "a.mp4", height=SIZE, width=SIZE) as writer:
            writer.write(scene[0])
            raise RuntimeError("the world broke")

    with pytest.raises(RuntimeError, match="the world broke"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_damage_is_reported(tmp_path: Path, scene: UInt8[np.ndarray, "T H W 3"]) -> None:
    path = tmp_path / "a.mp4"
    with pytest.raises(FileNotFoundError):
        video.read_frames(path, 0, 1)
    path.write_bytes(b"no video at all")
    with pytest.raises(UserError, match=r"a\.mp4: not a readable video"):
        video.read_frames(path, 0, 1)
    write(path, scene)
    with pytest.raises(UserError, match="too short for frames 55 to 60"):
        video.read_frames(path, 55, 61)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(UserError, match=r"a\.mp4"):
        video.read_frames(path, 0, NUM_FRAMES)


def exact_yuv(rgb: UInt8[np.ndarray, "H W 3"]) -> np.ndarray:
    """Convert with BT.601 in floating point, from its luma weights."""
    red, green, blue = np.moveaxis(rgb.astype(float), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    to_blue, to_red = (blue - luma) / 1.772, (red - luma) / 1.402
    return np.stack([16 + luma * 219 / 255, 128 + to_blue * 224 / 255, 128 + to_red * 224 / 255])


def convert(rgb: UInt8[np.ndarray, "H W 3"]) -> list[np.ndarray]:
    height, width, _ = rgb.shape
    shapes = [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
    planes = [np.empty(shape, np.uint8) for shape in shapes]
    rgb_to_yuv420(rgb, *planes)
    return planes


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
def test_conversion_follows_bt601(seed: int, half_height: int, half_width: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (2 * half_height, 2 * half_width, 3), dtype=np.uint8)
    luma, *chroma = exact_yuv(rgb)
    planes = convert(rgb)
    assert np.abs(planes[0] - luma).max() <= 0.51
    for plane, exact in zip(planes[1:], chroma, strict=True):
        mean = exact.reshape(half_height, 2, half_width, 2).mean(axis=(1, 3))
        assert np.abs(plane - mean).max() <= 0.51


def test_a_flat_colour_survives_the_round_trip() -> None:
    """Every byte is at most 2 off, the rounding of limited range, and there is no bias."""
    levels = np.arange(0, 256, 17, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(64, 64, 3)
    rgb = colours.repeat(2, axis=0).repeat(2, axis=1)
    back = np.empty_like(rgb)
    yuv420_to_rgb(*convert(rgb), back)
    error = back.astype(int) - rgb
    assert np.abs(error).max() <= 2
    assert np.abs(error.mean(axis=(0, 1))).max() < 0.1


def test_a_disk_that_fills_is_an_os_error(tmp_path: Path, scene: UInt8[np.ndarray, "T H W 3"]) -> None:
    """Even if only the last byte does not fit."""
    write(tmp_path / "a.mp4", scene)
    size = (tmp_path / "a.mp4").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (1000, size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                write(tmp_path / "b.mp4", scene)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
