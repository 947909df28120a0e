"""The drawing kit: everything is drawn where it was asked for, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from loopcraft.drawing.canvas import DARK, LIGHT, Canvas, enlarged, fit
from loopcraft.drawing.grid import GAP, MARGIN, TITLES, Grid, Row, draw_rows
from loopcraft.drawing.walk import fit_walk, headings

NOISE = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)


def drawn_box(canvas: Canvas) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of all pixels that are not paper."""
    rows, columns = np.nonzero((canvas.pixels != ImageColor.getrgb(canvas.theme.paper)).any(axis=-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def solid(shade: int) -> np.ndarray:
    return np.full((8, 8, 3), shade, np.uint8)


def test_a_frame_is_enlarged_by_whole_factors_in_squares() -> None:
    np.testing.assert_array_equal(fit(NOISE, 24), np.kron(NOISE, np.ones((3, 3, 1), np.uint8)))
    np.testing.assert_array_equal(fit(NOISE, 8), NOISE)


@pytest.mark.parametrize("side", [4, 12, 20])
def test_a_frame_is_resampled_to_other_sizes(side: int) -> None:
    smooth = Image.fromarray(NOISE).resize((side, side), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(fit(NOISE, side), np.asarray(smooth))


@given(st.integers(1, 700), st.integers(1, 700))
def test_the_enlargement_is_the_smallest_whole_one(side: int, least: int) -> None:
    size = enlarged(side, least)
    assert size % side == 0
    assert size - side < least <= size


@given(
    count=st.integers(1, 9),
    grid=st.builds(
        Grid,
        tile=st.integers(1, 9),
        columns=st.integers(1, 4),
        gap=st.integers(0, 3),
        margin=st.integers(0, 3),
        left=st.integers(0, 5),
        top=st.integers(0, 5),
        above=st.integers(0, 5),
        below=st.integers(0, 5),
    ),
)
def test_tiles_lie_apart_and_inside(grid: Grid, count: int) -> None:
    width, height = grid.size(count)
    covered = np.zeros((height, width), int)
    for index in range(count):
        left, top = grid.corner(index)
        assert left >= grid.margin + grid.left
        room = covered[top - grid.above : top + grid.tile + grid.below, left : left + grid.tile]
        assert room.shape == (grid.above + grid.tile + grid.below, grid.tile)
        room += 1
    assert covered.max() == 1
    assert not covered[: grid.margin + grid.top].any()
    if count % grid.columns == 0:
        left, top = grid.corner(count - 1)
        assert left + grid.tile + grid.margin == width
        assert top + grid.tile + grid.below + grid.margin == height


def test_rows_place_their_frames_labels_and_titles() -> None:
    rows = [
        Row(label="the first", frames=[solid(10), solid(20)]),
        Row(label="another", note="and a note", frames=[solid(30), solid(40)], space=9),
    ]
    picture = draw_rows(rows, ["one", "two"], tile=16, title_color="#00ff00").pixels
    left = picture.shape[1] - MARGIN - 2 * 16 - GAP
    first, second = MARGIN + TITLES, MARGIN + TITLES + 16 + GAP + 9
    assert picture.shape[0] == second + 16 + MARGIN
    for top, row in ((first, rows[0]), (second, rows[1])):
        for column, frame in enumerate(row.frames):
            at = left + column * (16 + GAP)
            np.testing.assert_array_equal(picture[top : top + 16, at : at + 16], fit(frame, 16))
    titles, labels = picture[: MARGIN + TITLES], picture[first:, : left - 4]
    assert ((titles[..., 1] == 255) & (titles[..., 0] < 128)).any()
    assert (titles[:, :left] == 255).all()
    is_ink = (labels < 128).all(axis=-1)
    assert is_ink.any()
    assert not is_ink[:, :MARGIN].any()
    untitled = draw_rows(rows, tile=16).pixels
    # Without titles there is less space above.
    np.testing.assert_array_equal(untitled[MARGIN + 16 :], picture[first + 16 :])


def test_long_labels_wrap_and_are_cut_to_fit() -> None:
    frames = [solid(0)]
    short, long, words = (
        draw_rows([Row(label=label, frames=frames)], tile=128).pixels
        for label in ("a label", "w" * 500, " ".join(["word"] * 100))
    )
    assert short.shape[1] < words.shape[1] < 400
    assert long.shape[1] < 500
    assert short.shape[0] == long.shape[0] == words.shape[0]


def test_boxes_and_frames_fill_the_requested_pixels() -> None:
    canvas = Canvas(30, 20, DARK)
    canvas.box(3, 4, 5, 6, "#ffffff")
    assert drawn_box(canvas) == (3, 4, 8, 10)
    copy = canvas.copy()
    copy.place(12, 1, NOISE)
    assert drawn_box(canvas) == (3, 4, 8, 10)  # drawing on the copy leaves the original alone
    np.testing.assert_array_equal(copy.pixels[1:9, 12:20], NOISE)
    assert drawn_box(copy) == (3, 1, 20, 10)
    assert (canvas.width, canvas.height) == (30, 20)


def test_text_is_as_wide_as_reported() -> None:
    canvas = Canvas(200, 60)
    width = canvas.write(20, 10, "one line\nand another", 13)
    left, top, right, bottom = drawn_box(canvas)
    assert 19 <= left <= 22
    assert abs(right - left - width) <= 4
    assert 10 <= top < bottom <= 50
    assert canvas.pixels.min(axis=(0, 1)).tolist() == pytest.approx(ImageColor.getrgb(LIGHT.ink), abs=8)


def test_lines_dots_and_shapes_are_smooth_and_in_place() -> None:
    for draw, box in (
        (lambda canvas: canvas.line(np.array([[5.0, 10.0], [25.0, 10.0]]), "#000000", 4), (5, 8, 25, 12)),
        (lambda canvas: canvas.dot(np.array([15.0, 10.0]), "#000000", 6), (9, 4, 21, 16)),
        (
            lambda canvas: canvas.shape(np.array([[5.0, 4], [25, 4], [25, 12], [5, 12]]), "#000000"),
            (5, 4, 25, 12),
        ),
    ):
        canvas = Canvas(30, 20)
        draw(canvas)
        np.testing.assert_allclose(drawn_box(canvas), box, atol=4)  # round ends, soft edges
        assert canvas.pixels[10, 15].tolist() == [0, 0, 0]
    slanted = Canvas(30, 20)
    slanted.line(np.array([[2.0, 2.0], [28.0, 15.0]]), "#000000")
    assert len(np.unique(slanted.pixels)) > 10  # shades along its edge


def test_a_line_through_no_points_draws_nothing() -> None:
    canvas = Canvas(20, 20)
    canvas.line(np.empty((0, 2)), "red")
    assert (canvas.pixels == Canvas(20, 20).pixels).all()


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.webp", "WEBP")])
def test_a_picture_is_written_whole_in_the_format_of_its_name(tmp_path: Path, name: str, kind: str) -> None:
    canvas = Canvas.of(NOISE)
    canvas.save(tmp_path / "new" / name)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]
    with Image.open(tmp_path / "new" / name) as image:
        assert (image.format, image.size) == (kind, (8, 8))
        if kind == "PNG":
            np.testing.assert_array_equal(np.asarray(image), NOISE)


def test_headings_follow_the_games_compass() -> None:
    np.testing.assert_allclose(
        headings(np.array([0.0, 90.0, 180.0, -90.0])), [[0, 1], [-1, 0], [0, -1], [1, 0]], atol=1e-12
    )


@given(st.lists(st.tuples(*[st.floats(-500, 500)] * 2), min_size=1, max_size=20))
def test_a_walk_fills_its_square_with_north_up(positions: list[tuple[float, float]]) -> None:
    ground = np.array(positions)
    pixels = fit_walk(ground, 30, 50, 100, 10)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    np.testing.assert_allclose((low + high) / 2, [80, 100], atol=1e-6)
    assert (high - low).max() <= 80 + 1e-6
    if np.ptp(ground, axis=0).max() > 8:
        assert (high - low).max() == pytest.approx(80)
    scale = 80 / max(np.ptp(ground, axis=0).max(), 8.0)  # the same along both axes, south is down
    np.testing.assert_allclose(pixels - pixels[0], scale * (ground - ground[0]), atol=1e-6)
