"""Views of an episode: written whole, of the right size, with each thing drawn where it belongs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from loopcraft import view
from loopcraft.dataset import open_dataset
from loopcraft.dataset.mask_files import DTYPES, encode_masks
from loopcraft.drawing.canvas import CONTEXT_COLOR, HORIZON_COLOR, REVISIT_COLOR, fit
from loopcraft.generate import generate
from loopcraft.video.h264 import count_frames, read_frames
from loopcraft.views import contact_sheet as sheet
from loopcraft.views import preview
from loopcraft.views.map import draw_map
from loopcraft.walks.revisits import find_revisits
from loopcraft.worlds.base import GroundPicture
from loopcraft.worlds.voxel.core.blocks import BLOCK_IDS
from loopcraft.worlds.voxel.render.topdown import PIXELS_PER_BLOCK, topdown
from loopcraft.worlds.voxel.terrain.region import Region
from tests.fakes.world import FakeWorld, recipe

NUM_FRAMES = 96
NUM_CONTEXT = 24


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "set"
    generate(root, recipe("train", num_episodes=2, num_frames=NUM_FRAMES), make_world=FakeWorld)
    return root


def count_pixels(image: np.ndarray, color: str, tolerance: int = 12) -> int:
    distance = np.abs(image.astype(int) - ImageColor.getrgb(color)).max(axis=-1)
    return int(np.count_nonzero(distance <= tolerance))


def there_and_back() -> np.ndarray:
    """Poses: 24 frames ahead, a turn, 36 back, a turn, 36 ahead again over the context's ground."""
    z = np.concatenate([np.arange(24) * 0.5, 12 - np.arange(36) * 0.5, -6 + np.arange(36) * 0.5])
    yaw = np.repeat([0.0, 180.0, 0.0], [24, 36, 36])
    return np.stack([0 * z, 64 + 0 * z, z, yaw, 0 * z], axis=1)


def test_the_command_writes_three_files(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert view.main([str(root), "000/001", "--out", str(tmp_path / "views")]) == 0
    names = ["000-001-frames.png", "000-001-map.png", "000-001-preview.mp4"]
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "views" / name) for name in names]
    assert sorted(path.name for path in (tmp_path / "views").iterdir()) == names
    assert count_frames(tmp_path / "views" / names[2]) == NUM_FRAMES


def test_mistakes_are_reported(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        ([str(root), "000/007"], "no episode '000/007'"),
        ([str(root), "--context", "96"], "--context 96: choose 1 to 95"),
    ):
        assert view.main([*arguments, "--out", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_sheet_shows_first_and_last_frame_and_both_stretches(root: Path, tmp_path: Path) -> None:
    frames = open_dataset(root).frames("000/000")
    sheet.write_sheet(tmp_path / "sheet.png", frames, NUM_FRAMES, NUM_CONTEXT, title="an episode")
    picture = np.asarray(Image.open(tmp_path / "sheet.png"))
    np.testing.assert_array_equal(picture[64:224, 20:180], fit(frames[0], 160))
    np.testing.assert_array_equal(picture[-20 - 180 : -20 - 20, -180:-20], fit(frames[-1], 160))
    num_tiles = sheet.COLUMNS * sheet.ROWS
    bars = {color: count_pixels(picture, color, 0) / (160 * 4) for color in (CONTEXT_COLOR, HORIZON_COLOR)}
    assert bars[CONTEXT_COLOR] == pytest.approx(num_tiles / 4, abs=1)
    assert bars[HORIZON_COLOR] == pytest.approx(num_tiles * 3 / 4, abs=1)


def test_the_memory_sheet_colours_what_the_context_showed(root: Path, tmp_path: Path) -> None:
    """The left half returned, then one column stayed in sight and one was never shown; the rest is sky."""
    seen, age, sky = (np.zeros((NUM_FRAMES, 8, 8), kind) for kind in (bool, np.uint16, bool))
    age[:, :, :4], seen[:, :, :5], sky[:, :, 6:] = 9, True, True
    masks = tmp_path / "set/000/001.seen.npz"
    shutil.copytree(root, tmp_path / "set")
    masks.write_bytes(encode_masks({"seen": seen, "age": age, "sky": sky}))
    assert view.main([str(tmp_path / "set"), "000/001", "--out", str(tmp_path)]) == 0
    picture = np.asarray(Image.open(tmp_path / "000-001-memory.png")).astype(float)
    plain, tinted = picture[64:224, 20:180], picture[252:412, 20:180]
    frame = open_dataset(root).frames("000/001", NUM_CONTEXT, NUM_CONTEXT + 1)[0]
    np.testing.assert_array_equal(plain, fit(frame, 160))
    for column, color in (
        (10, REVISIT_COLOR),
        (70, REVISIT_COLOR),
        (90, CONTEXT_COLOR),
        (110, sheet.NEW_COLOR),
    ):
        expected = 0.4 * plain[:, column] + 0.6 * np.array(ImageColor.getrgb(color))
        assert np.abs(tinted[:, column] - expected).max() < 6, color  # resampling rings a little
    assert np.abs(tinted[:, 135:] - plain[:, 135:]).max() < 6


@pytest.mark.parametrize(("num_context", "is_drawn"), [(NUM_FRAMES - 3, True), (NUM_CONTEXT, False)])
def test_masks_are_drawn_only_for_their_own_context(
    root: Path, tmp_path: Path, num_context, is_drawn
) -> None:
    """The masks have a context that leaves three frames; the command asks for that one or another."""
    data = Path(shutil.copytree(root, tmp_path / "set"))
    (data / "SHA256SUMS").unlink()
    (data / "dataset.json").write_text(
        (data / "dataset.json").read_text().replace(f": {NUM_CONTEXT},", f": {NUM_FRAMES - 3},")
    )
    masks = {name: np.zeros((NUM_FRAMES, 8, 8), dtype) for name, dtype in DTYPES.items()}
    (data / "000/001.seen.npz").write_bytes(encode_masks(masks))
    flags = ["--context", str(num_context), "--out", str(tmp_path)]
    assert view.main([str(data), "000/001", *flags]) == 0
    assert (tmp_path / "000-001-memory.png").exists() == is_drawn


def test_the_map_marks_the_revisits_where_they_are(tmp_path: Path) -> None:
    poses = there_and_back()
    assert find_revisits(poses, NUM_CONTEXT).sum() > 15
    draw_map(tmp_path / "map.png", poses, NUM_CONTEXT)
    draw_map(tmp_path / "none.png", poses[:60], NUM_CONTEXT)
    with_revisits, without = (
        np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in ("map.png", "none.png")
    )
    assert with_revisits.shape == without.shape == (1080, 1080, 3)
    assert count_pixels(with_revisits, REVISIT_COLOR) > 8 * count_pixels(
        without, REVISIT_COLOR
    )  # the legend's dot
    rows, columns = np.nonzero(
        np.abs(with_revisits.astype(int) - ImageColor.getrgb(CONTEXT_COLOR)).max(axis=-1) <= 12
    )
    assert np.ptp(rows[rows < 900]) > 8 * np.ptp(columns[rows < 900])  # the context went straight along z


def test_the_map_is_aligned_with_its_background(tmp_path: Path) -> None:
    ground = np.zeros((40, 40, 3), np.uint8)
    ground[:20] = (0, 200, 0)  # north of z = 0
    background = GroundPicture(image=ground, west=-20, north=-20)
    draw_map(tmp_path / "map.png", there_and_back(), NUM_CONTEXT, background=background)
    picture = np.asarray(Image.open(tmp_path / "map.png").convert("RGB")).astype(int)
    is_green = picture[..., 1] - picture[..., 0] > 100
    is_dark = picture.max(axis=-1) < 90
    assert is_green.sum() > 50_000
    assert is_dark.sum() > 50_000
    assert np.nonzero(is_green)[0].max() <= np.nonzero(is_dark.sum(axis=1) > 300)[0].min() + 2


def test_the_preview_shows_the_frame_and_its_stretch(tmp_path: Path) -> None:
    frames = (
        np.random.default_rng(0).integers(60, 200, (96, 4, 4, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    )
    states = np.concatenate([np.zeros((96, 1)), there_and_back()], axis=1).astype(np.float32)
    preview.write_preview(tmp_path / "preview.mp4", frames, states, NUM_CONTEXT, title="an episode")
    shown = read_frames(tmp_path / "preview.mp4", 0, 96)
    assert shown.shape == (96, preview.SIZE, preview.SIZE + preview.PANEL, 3)
    for index in (0, 50, 95):
        center = shown[index, 64 : preview.SIZE : 128, 64 : preview.SIZE : 128].astype(int)
        assert np.abs(center - frames[index, 4::8, 4::8]).max() < 12
    pills = shown[:, 110:126, preview.SIZE + 22 : preview.SIZE + 30]
    for index, color in ((0, CONTEXT_COLOR), (23, CONTEXT_COLOR), (24, HORIZON_COLOR), (95, HORIZON_COLOR)):
        assert count_pixels(pills[index], color, 24) > 60
    second = shown[:, 110:126, preview.SIZE + 114 : preview.SIZE + 122]
    revisits = np.flatnonzero([count_pixels(picture, REVISIT_COLOR, 24) > 60 for picture in second])
    np.testing.assert_array_equal(
        revisits, NUM_CONTEXT + np.flatnonzero(find_revisits(there_and_back(), NUM_CONTEXT))
    )


def test_the_view_from_above_shows_the_ground() -> None:
    """A sand tower in a field of stone is drawn at its own column, north up and west left."""

    blocks = np.zeros((5, 7, 96), np.uint8)
    blocks[:, :, :10] = BLOCK_IDS["stone"]
    blocks[1, 4, :20] = BLOCK_IDS["sand"]
    blocks[3, 3, 10] = BLOCK_IDS["tall_grass"]
    white = np.full((5, 7, 3), 255, np.uint8)
    region = Region(x0=0, z0=0, blocks=blocks, grass_tint=white, foliage_tint=white, water_tint=white)
    picture = topdown(region).reshape(7, PIXELS_PER_BLOCK, 5, PIXELS_PER_BLOCK, 3).mean(axis=(1, 3))
    is_sand = picture[..., 0] - picture[..., 2] > 30  # stone is grey
    assert np.argwhere(is_sand).tolist() == [[4, 1]]
    assert picture[5, 2].mean() < 0.8 * picture[0, 0].mean()  # in the tower's shade, south-east of it
