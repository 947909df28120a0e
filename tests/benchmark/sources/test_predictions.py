"""Scoring finished videos: the three forms agree, saved videos score like their run, gaps are listed."""

import shutil
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from benchmark import run
from benchmark.contract.model import ContractError
from benchmark.contract.protocol import LOOPCRAFT_MINI as MINI
from benchmark.results.result_file import Result, read_result
from benchmark.sources.chunks import TOO_DARK
from benchmark.sources.pictures import list_pictures, read_picture
from benchmark.sources.predictions import Predictions
from loopcraft.video.h264 import read_frames, video_writer
from tests.fakes.benchmark_data import make_frames, write_dataset
from tests.fakes.foreign_videos import TICKS, encode

KEYS = ("000/000", "000/001", "000/002")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"))


def write_prediction(folder: Path, key: str, form: str, frames: np.ndarray) -> None:
    target = folder / key
    target.parent.mkdir(parents=True, exist_ok=True)
    if form == "mp4":
        with video_writer(target.with_suffix(".mp4"), height=16, width=16, lossless=True) as writer:
            for frame in frames:
                writer.write(frame)
    elif form == "npz":
        np.savez_compressed(target.with_suffix(".npz"), frames=frames)
    else:
        target.mkdir()
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(target / f"{index:04d}.png")


def make_prediction(video: int) -> np.ndarray:
    return np.uint8(make_frames(video)[MINI.context :] // 2)


def score(data: Path, out: Path, *more: str, code: int = 0) -> Result | None:
    flags = ["--data", str(data), "--out", str(out), "--protocol", "loopcraft-mini", "--save-videos", "0"]
    assert run.main([*flags, *more]) == code
    return read_result(out / "result.json") if code < 2 else None


@pytest.mark.parametrize("forms", ["mp4", "npz", "png", "mixed"])
def test_every_form_scores_like_its_frames(data, tmp_path, forms: str) -> None:
    order = ["mp4", "npz", "png"] if forms == "mixed" else [forms] * 3
    for video, (key, form) in enumerate(zip(KEYS, order, strict=True)):
        write_prediction(tmp_path / "videos", key, form, make_prediction(video))
    result = score(data, tmp_path / "out", "--predictions", str(tmp_path / "videos"), "--name", "darkener")
    assert result is not None
    assert (result.model.name, result.model.source, result.model.role) == ("darkener", "playback", "model")
    for video in range(3):
        difference = make_prediction(video).astype(float) - make_frames(video)[MINI.context :]
        mean_error = (difference[16:64] ** 2).mean(axis=(1, 2, 3)) / 255**2
        assert result.metrics["psnr"].videos is not None
        expected = (-10 * np.log10(mean_error)).mean()
        assert result.metrics["psnr"].videos["medium"][video] == pytest.approx(expected, rel=1e-5)


def test_frames_with_only_0_and_1_are_reported(data, tmp_path, capsys) -> None:
    """Such frames come from a model that casts values in [0, 1] to uint8; a single dark frame is fine."""
    videos = [make_prediction(video) // 128 for video in range(3)]
    videos[2][7, 0, 0, 0] = 2
    for key, frames in zip(KEYS, videos, strict=True):
        write_prediction(tmp_path / "videos", key, "npz", frames)
    flags = ["--predictions", str(tmp_path / "videos"), "--name", "early", "--batch-size", "2"]
    for _ in range(2):  # the second time from the run folder
        result = score(data, tmp_path / "out", *flags)
        assert result is not None
        assert result.model.notes == (f"2 of 3 videos hold {TOO_DARK}",)
        assert f"early: 2 of 3 videos hold {TOO_DARK}" in capsys.readouterr().err


def test_saved_videos_score_like_their_run(data, tmp_path) -> None:
    first = score(data, tmp_path / "first", "--model", "copy-last", "--save-videos", "3", "--batch-size", "2")
    saved = tmp_path / "first" / "videos"
    np.testing.assert_array_equal(
        read_frames(saved / "000" / "001.mp4", 0, 192), np.repeat(make_frames(1)[63:64], 192, axis=0)
    )
    again = score(data, tmp_path / "again", "--predictions", str(saved), "--name", "copy-last")
    assert first is not None
    assert again is not None
    assert first.metrics == again.metrics


def psnr(result: Result | None) -> dict[str, float]:
    assert result is not None
    videos = result.metrics["psnr"].videos
    assert videos is not None
    return {
        key: min(values[video] for values in videos.values()) for video, key in enumerate(result.data.keys)
    }


PERFECT = 100.0
"""The PSNR of equal frames."""


def save_array(path: Path, frames: np.ndarray) -> None:
    np.save(path.with_suffix(".npy"), frames)


def save_numbered(path: Path, frames: np.ndarray, name: str = "{}.png", first: int = 0) -> None:
    path.mkdir()
    for index, frame in enumerate(frames, first):
        Image.fromarray(frame).save(path / name.format(index))


def save_wide(path: Path, frames: np.ndarray) -> None:
    """Save 16 bits per level, as cv2 and imageio write them."""
    path.mkdir()
    for index, frame in enumerate(frames):
        levels = np.uint16(np.round(frame[..., ::-1] / 255 * 65535))
        assert cv2.imwrite(str(path / f"{index:04d}.png"), levels)


def save_beside_companions(path: Path, frames: np.ndarray) -> None:
    save_numbered(path, frames)
    for name in ("._0.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (path / name).write_bytes(b"none of yours")
    (path.parent / f"._{path.name}.mp4").write_bytes(b"none of yours")


def save_foreign(path: Path, frames: np.ndarray, ending: str, **options: object) -> None:
    encode(path.with_suffix(ending), frames, **options)  # type: ignore[arg-type]


FOREIGN = {
    "unpadded": save_numbered,
    "unpadded from one": partial(save_numbered, first=1),
    "named frame_7": partial(save_numbered, name="frame_{}.png"),
    "ending .PNG": partial(save_numbered, name="{}.PNG"),
    "bmp": partial(save_numbered, name="{}.bmp"),
    "16 bits": save_wide,
    "companions": save_beside_companions,
    "npy": save_array,
    "fragmented": partial(
        save_foreign, ending=".mp4", container_options={"movflags": "frag_keyframe+empty_moov"}
    ),
    "matroska": partial(save_foreign, ending=".mkv"),
    "capitals": partial(save_foreign, ending=".MP4", format="mp4"),
    "irregular": partial(save_foreign, ending=".mp4", times=lambda frame: frame * TICKS + frame**2),
}


@pytest.mark.parametrize("form", FOREIGN)
def test_perfect_predictions_are_perfect_in_any_form(data, tmp_path, form: str) -> None:
    (tmp_path / "videos" / "000").mkdir(parents=True)
    FOREIGN[form](tmp_path / "videos" / KEYS[0], make_frames(0)[MINI.context :])
    flags = ["--predictions", str(tmp_path / "videos"), "--name", "x", "--max-videos", "1"]
    assert psnr(score(data, tmp_path / "out", *flags)) == {KEYS[0]: PERFECT}


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_grey_pictures_are_grey_frames(tmp_path: Path, mode: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(levels if mode == "L" else levels * np.uint16(257)).save(tmp_path / "0.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "0.png"), np.repeat(levels[..., None], 3, axis=2))


def test_a_picture_of_another_kind_starts_no_program(tmp_path: Path, monkeypatch) -> None:
    """Pillow opens an EPS under any name and hands it to Ghostscript."""
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png", format="EPS")
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **_: started.append(args))
    with pytest.raises(ContractError, match=r"0\.png: not a readable picture"):
        read_picture(tmp_path / "0.png")
    assert not started


def test_16_bits_are_rounded_to_the_nearest_level(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 128, 129, 385, 386, 65535]], np.uint16)).save(tmp_path / "0.png")
    assert read_picture(tmp_path / "0.png")[0, :, 0].tolist() == [0, 0, 1, 1, 2, 255]


def test_jpeg_is_read_as_decoded(tmp_path: Path) -> None:
    for name in ("0.jpg", "1.jpeg", "2.JPG"):
        Image.fromarray(make_frames(0)[0]).save(tmp_path / name, quality=95, subsampling=0)
    pictures = [read_picture(path) for path in list_pictures(tmp_path)]
    assert len(pictures) == 3
    assert np.abs(pictures[2].astype(int) - make_frames(0)[0]).mean() < 3


def transparent(folder: Path) -> None:
    Image.new("RGBA", (16, 16), (9, 9, 9, 200)).save(folder / "7.png")


def of_another_size(folder: Path) -> None:
    Image.new("RGB", (16, 8)).save(folder / "7.png")


def twice(folder: Path) -> None:
    Image.new("RGB", (16, 16)).save(folder / "007.png")


def shortened(folder: Path) -> None:
    (folder / "7.png").write_bytes((folder / "7.png").read_bytes()[:-60])


def flipped(folder: Path) -> None:
    content = bytearray((folder / "7.png").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "7.png").write_bytes(content)


def other_kind(folder: Path) -> None:
    for index in range(MINI.horizon):
        (folder / f"{index}.png").rename(folder / f"{index}.tiff")


def cut_archive(folder: Path) -> None:
    shutil.rmtree(folder)
    write_prediction(folder.parent.parent, KEYS[1], "npz", make_prediction(1))
    path = folder.with_suffix(".npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def damaged_video(folder: Path) -> None:
    """Cut off the last frames of a video whose header names them all."""
    shutil.rmtree(folder)
    write_prediction(folder.parent.parent, KEYS[1], "mp4", make_prediction(1))
    path = folder.with_suffix(".mp4")
    path.write_bytes(path.read_bytes()[:-9000])


def old_video_beside(folder: Path) -> None:
    write_prediction(folder.parent.parent, KEYS[1], "mp4", make_prediction(1))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (transparent, "7.png: has pixels that are not opaque"),
        (of_another_size, "7.png: is 16x8 pixels and those before it 16x16"),
        (twice, "007.png and 7.png are the same frame"),
        (shortened, "7.png: not a readable picture"),
        (flipped, "7.png: not a readable picture"),
        (other_kind, ".tiff is not a supported picture (.png, .jpg,"),
        (cut_archive, "001.npz: not an .npz with an array `frames`"),
        (damaged_video, "001.mp4: not a readable video"),
        (old_video_beside, "001: found 001 and 001.mp4; keep only the one to score"),
    ],
)
def test_an_unreadable_prediction_is_named_and_fails_only_its_video(
    data, tmp_path, spoil, message: str
) -> None:
    (tmp_path / "videos" / "000").mkdir(parents=True)
    for video, (key, save) in enumerate(zip(KEYS, (save_array, save_numbered, save_array), strict=True)):
        save(tmp_path / "videos" / key, make_frames(video)[MINI.context :])
    spoil(tmp_path / "videos" / KEYS[1])
    flags = ["--predictions", str(tmp_path / "videos"), "--name", "x", "--batch-size", "3", "--allow-partial"]
    result = score(data, tmp_path / "out", *flags)
    assert psnr(result) == {KEYS[0]: PERFECT, KEYS[2]: PERFECT}
    assert result is not None
    assert message in result.failed[KEYS[1]]


def test_states_and_empty_folders_beside_a_video_are_ignored(tmp_path: Path) -> None:
    write_prediction(tmp_path, KEYS[0], "mp4", make_prediction(0))
    np.save(tmp_path / f"{KEYS[0]}.npy", np.zeros((192, 6), np.float32))
    (tmp_path / KEYS[0]).mkdir()
    assert Predictions(tmp_path, "x").problem(KEYS[0], MINI) is None


def test_a_failed_rollout_leaves_no_video(tmp_path) -> None:
    from benchmark.harness.recording import record_blocks

    def broken():
        yield np.zeros((1, 4, 16, 16, 3), np.uint8)
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        list(record_blocks(broken(), [tmp_path / "a.mp4"]))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_short_videos_are_listed_and_left_out_only_on_request(data, tmp_path, capsys) -> None:
    folder = tmp_path / "videos"
    write_prediction(folder, KEYS[1], "mp4", make_prediction(1)[:100])
    write_prediction(folder, KEYS[2], "npz", make_prediction(2))
    flags = ["--predictions", str(folder), "--name", "lazy"]
    assert score(data, tmp_path / "out", *flags, code=2) is None
    output = capsys.readouterr().err
    assert "2 of 3 videos cannot be scored" in output
    assert "000/000: no .mp4, .npz, .npy or folder of pictures" in output
    assert "000/001.mp4: holds 100 frames, and loopcraft-mini asks for 192" in output
    assert not (tmp_path / "out").exists()
    result = score(data, tmp_path / "out", *flags, "--allow-partial")
    assert result is not None
    assert result.data.keys == (KEYS[2],)
    assert list(result.failed) == [KEYS[0], KEYS[1]]
    assert "holds 100 frames" in result.failed[KEYS[1]]


def test_a_video_with_its_context_is_recognised(tmp_path) -> None:
    write_prediction(tmp_path, KEYS[0], "npz", make_frames(0))
    problem = Predictions(tmp_path, "x").problem(KEYS[0], MINI)
    assert problem is not None
    assert problem.endswith("holds 256 frames, and loopcraft-mini asks for 192; leave the context out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "not an .npz with an array `frames`"),
        ({"video": np.zeros((192, 16, 16, 3), np.uint8)}, "not an .npz with an array `frames`"),
        ({"frames": np.zeros((192, 16, 16, 3), np.float32)}, r"`frames` is float32 \(192, 16, 16, 3\)"),
        ({"frames": np.zeros((192, 3, 16, 16), np.uint8)}, r"`frames` is uint8 \(192, 3, 16, 16\)"),
    ],
)
def test_a_bad_archive_is_named(data, tmp_path, content, message: str, capsys) -> None:
    path = tmp_path / "videos" / "000" / "000.npz"
    path.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    score(data, tmp_path / "out", "--predictions", str(tmp_path / "videos"), "--name", "x", code=2)
    output = capsys.readouterr().err
    assert str(path) in output
    assert message.replace("\\", "") in output


def test_frames_of_another_size_fail_their_video(data, tmp_path) -> None:
    for video, key in enumerate(KEYS):
        write_prediction(
            tmp_path / "videos", key, "npz", make_prediction(video)[:, : 8 if video == 1 else 16]
        )
    flags = ["--predictions", str(tmp_path / "videos"), "--name", "x", "--batch-size", "1"]
    result = score(data, tmp_path / "out", *flags, code=1)
    assert result is not None
    assert list(result.failed) == [KEYS[1]]
    assert "expected a chunk" in result.failed[KEYS[1]]


def test_other_videos_under_the_same_name_are_another_run(data, tmp_path, capsys) -> None:
    for key in KEYS:
        write_prediction(tmp_path / "videos", key, "png", make_prediction(0))
    flags = ["--predictions", str(tmp_path / "videos"), "--name", "x"]
    score(data, tmp_path / "out", *flags)
    Image.fromarray(make_prediction(1)[0]).save(tmp_path / "videos" / KEYS[2] / "0007.png")
    score(data, tmp_path / "out", *flags, code=2)
    assert "holds another run (arguments is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give either --model"),
        (["--model", "copy-last", "--predictions", "."], "give either --model"),
        (["--predictions", "."], "--predictions needs --name"),
        (["--predictions", "/nowhere", "--name", "x"], "--predictions /nowhere: no such folder"),
    ],
)
def test_mistakes_are_one_sentence(data, tmp_path, flags, message: str, capsys) -> None:
    score(data, tmp_path / "out", *flags, code=2)
    assert message in capsys.readouterr().err
