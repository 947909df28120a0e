"""Videos from other programs: each frame is found by its number, whatever times and headers say."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from loopcraft.core.errors import UserError
from loopcraft.video import frame_index
from loopcraft.video import h264 as video
from loopcraft.video.frame_index import ONE_PACKET_A_FRAME
from tests.fakes.foreign_videos import TICKS, Frames, copy_stream, decoded, encode

NUM_FRAMES = 60
CLOSED = {"x264-params": "keyint=16:min-keyint=16:scenecut=0:bframes=0"}
YUV = {"codec": "libx264", "pix_fmt": "yuv420p"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}


def scene() -> Frames:
    """Coloured waves in which no two frames are alike."""
    time, row, column = np.ogrid[:NUM_FRAMES, :32, :48]
    waves = [np.sin((row + 2 * column) / (5 + channel) + time / 3 + 0.01 * time**2) for channel in range(3)]
    return np.uint8(127.5 + 100 * np.stack(waves, axis=-1))


def irregular(frame: int) -> int:
    return int(np.random.default_rng(0).integers(1, 4 * TICKS, NUM_FRAMES).cumsum()[frame])


LOSSLESS: dict[str, Callable[[Path], None]] = {
    "late.mp4": partial(encode, options=CLOSED, times=lambda t: t * TICKS + 400 * (t == 37)),
    "very-late.mp4": partial(encode, options=CLOSED, times=lambda t: t * TICKS + (10**6 if t >= 37 else 0)),
    "slow-start.mp4": partial(encode, options=CLOSED, times=lambda t: (t + 5 * (t > 0)) * TICKS),
    "delayed.mp4": partial(encode, options=CLOSED, times=lambda t: (t + 9) * TICKS),
    "irregular.mp4": partial(encode, options=CLOSED, times=irregular),
    "irregular.mkv": partial(encode, options=CLOSED, times=irregular),
    "fragmented.mp4": partial(encode, options=CLOSED, container_options=FRAGMENTED),
    "plain.mkv": partial(encode, options=CLOSED),
    "plain.ts": partial(encode, options=CLOSED),
    "no-times.h264": partial(encode, options=CLOSED),
    "ffv1.mkv": partial(encode, codec="ffv1", pix_fmt="bgr0"),
}
LOSSY: dict[str, Callable[[Path], None]] = {
    "b-frames.mp4": partial(encode, **YUV, options={"x264-params": "keyint=16:bframes=4"}),
    "b-frames.ts": partial(encode, **YUV, options={"x264-params": "keyint=16:bframes=4"}),
    "open-groups.mp4": partial(encode, **YUV, options={"x264-params": "keyint=16:open-gop=1:bframes=4"}),
    "interlaced.mp4": partial(encode, **YUV, options={"x264-params": "keyint=16:tff=1"}),
    "hevc.mp4": partial(
        encode, codec="libx265", pix_fmt="yuv420p", options={"x265-params": "keyint=16:log-level=none"}
    ),
    "hidden-frames.webm": partial(
        encode,
        codec="libvpx",
        pix_fmt="yuv420p",
        options={"auto-alt-ref": "1", "lag-in-frames": "16", "g": "16"},
    ),
    "vp9.webm": partial(encode, codec="libvpx-vp9", pix_fmt="yuv420p", options={"g": "16"}),
    "wrong-header.avi": partial(encode, codec="mpeg4", pix_fmt="yuv420p"),
    "mpeg4.mp4": partial(encode, codec="mpeg4", pix_fmt="yuv420p", options={"bf": "2"}),
}
CUTS = {  # name: (source, first packet, number of its frames that an edit list hides)
    "cut.mp4": ("late.mp4", 16, 7),
    "cut-b-frames.mp4": ("b-frames.mp4", 16, 7),
    "no-key-frame.mp4": ("late.mp4", 5, 0),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    for name, make in {**LOSSLESS, **LOSSY}.items():
        make(folder / name, scene())
    for name, (source, first, hidden) in CUTS.items():
        copy_stream(folder / source, folder / name, first=first, shift=(first + hidden) * TICKS)
    return folder


@pytest.mark.parametrize("name", [*LOSSLESS, *LOSSY, *CUTS])
def test_every_window_equals_that_part_of_the_whole(folder: Path, name: str) -> None:
    path = folder / name
    whole = np.stack(list(video.iterate_frames(path)))
    assert len(whole) == len(list(decoded(path))) == video.count_frames(path) == video.count_decodable(path)
    for start in range(1, len(whole) - 1):
        np.testing.assert_array_equal(video.read_frames(path, start, start + 2), whole[start : start + 2])
    with pytest.raises(UserError, match="too short for frames"):
        video.read_frames(path, 3, len(whole) + 1)


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_frame_is_present_and_in_place(folder: Path, name: str) -> None:
    np.testing.assert_array_equal(np.stack(list(video.iterate_frames(folder / name))), scene())


@pytest.mark.parametrize("name", [*LOSSY, *CUTS])
def test_another_decoder_shows_the_same_frames(folder: Path, name: str) -> None:
    for frame, reference in zip(video.iterate_frames(folder / name), decoded(folder / name), strict=True):
        assert np.abs(frame.astype(int) - reference).max() <= 3  # the colour conversions differ


@pytest.mark.parametrize(("name", "frames"), [("cut.mp4", (23, 60)), ("cut-b-frames.mp4", (23, 60))])
def test_an_edit_list_hides_its_frames(folder: Path, name: str, frames: tuple[int, int]) -> None:
    source = np.stack(list(video.iterate_frames(folder / CUTS[name][0])))
    shown = np.stack(list(video.iterate_frames(folder / name)))
    np.testing.assert_array_equal(shown, source[slice(*frames)])


@pytest.mark.parametrize(
    ("name", "from_key_frame"),
    [("late.mp4", 48), ("fragmented.mp4", 48), ("plain.mkv", 48), ("cut.mp4", 25), ("vp9.webm", None)],
)
def test_decoding_starts_at_the_last_certain_key_frame(
    folder: Path, name: str, from_key_frame: int | None
) -> None:
    shown = video.count_frames(folder / name)
    with av.open(str(folder / name)) as container:
        position = frame_index.seek(container, shown - 2)
        assert (position and position[0]) == from_key_frame
        assert (container.streams.video[0].codec_context.name in ONE_PACKET_A_FRAME) == (position is not None)


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    for name, size in {"a": 32, "b": 16}.items():
        encode(tmp_path / f"{name}.h264", scene()[:5, :, :size], options=CLOSED)
    path = tmp_path / "ab.h264"
    path.write_bytes(b"".join((tmp_path / f"{name}.h264").read_bytes() for name in "ab"))
    with pytest.raises(UserError, match=r"frame 5 is 16x32, but frames before it are 32x32"):
        list(video.iterate_frames(path))


def test_a_title_need_not_be_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "latin.mp4"
    encode(path, scene(), options=CLOSED)
    expected = np.stack(list(video.iterate_frames(path)))
    content = path.read_bytes()
    assert content.count(b"Lavf") == 1  # the metadata names the program that wrote it
    path.write_bytes(content.replace(b"Lavf", b"L\xe4vf"))
    np.testing.assert_array_equal(np.stack(list(video.iterate_frames(path))), expected)


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile late.mp4\n", "#EXTM3U\n#EXTINF:1,\nlate.mp4\n"])
def test_a_playlist_is_not_a_video(folder: Path, text: str) -> None:
    path = folder / "list.mp4"
    path.write_text(text)
    for read in (video.count_frames, lambda path: list(video.iterate_frames(path))):
        with pytest.raises(UserError, match=r"list\.mp4: not a readable video"):
            read(path)
