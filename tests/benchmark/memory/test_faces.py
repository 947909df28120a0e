"""Faces seen again: compared with the definition pixel by pixel, on painted worlds and with wrong cameras."""

import math

import numpy as np
import pytest
import torch

from benchmark.memory import faces
from benchmark.memory.faces import Sightings, errors_by_face, find_sightings, reduce_frames
from loopcraft.cameras import intrinsics
from loopcraft.walks.actions import draw_walk
from loopcraft.worlds import make_world

SIDE, CONTEXT, FRAMES = 64, 64, 200
FOCAL = SIDE / 2 / math.tan(math.radians(35))
SKY = 0


class Played:
    """An episode of plaza-v1: the surface ids of its pixels, its poses and its rendered frames."""

    def __init__(self) -> None:
        world = make_world("plaza-v1", resolution=SIDE)
        samples = list(world.play(3, draw_walk(np.random.default_rng(5), FRAMES), surfaces=True))
        self.ids = np.stack([sample.surface for sample in samples])
        self.poses = np.array([sample.pose for sample in samples])
        self.frames = np.stack([sample.frame for sample in samples])


@pytest.fixture(scope="module")
def played() -> Played:
    return Played()


@pytest.fixture(scope="module")
def sightings(played: Played) -> Sightings:
    return find_sightings(played.ids, played.poses, CONTEXT)


def decode_planes(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decode face ids into axes and levels; the axis is -1 for an id that is not a face."""
    x, z, y, side = faces >> 36, faces >> 12 & 0xFFFFFF, faces >> 4 & 0xFF, faces & 0xF
    x, z = ((value + (1 << 23)) % (1 << 24) - (1 << 23) for value in (x, z))
    axes = np.where((side >= 1) & (side <= 6), (side - 1) // 2, -1)
    return axes, np.choose(np.maximum(axes, 0), (x, y, z)) + (side - 1) % 2


def intersect_planes(
    pose: np.ndarray, rows: np.ndarray, columns: np.ndarray, faces: np.ndarray
) -> np.ndarray:
    """Intersect rays through pixel centres with planes of faces (N, 3); the camera is level."""
    yaw = math.radians(pose[3])
    right, down = (columns + 0.5 - SIDE / 2) / FOCAL, (rows + 0.5 - SIDE / 2) / FOCAL
    ahead = np.array([-math.sin(yaw), 0, math.cos(yaw)])
    rays = ahead + np.outer(right, [-math.cos(yaw), 0, -math.sin(yaw)]) - np.outer(down, [0, 1, 0])
    eye = pose[:3] + np.array([0, 1.62, 0])
    axes, levels = decode_planes(faces)
    along = (levels - eye[axes]) / np.take_along_axis(rays, axes[:, None], axis=1)[:, 0]
    return eye + along[:, None] * rays


def project_point(pose: np.ndarray, point: np.ndarray) -> tuple[float, float] | None:
    """Project a point into a frame by its bearing; None if it is behind the camera."""
    dx, dy, dz = point - pose[:3] - [0, 1.62, 0]
    bearing = math.atan2(-dx, dz) - math.radians(pose[3])
    far = math.hypot(dx, dz) * math.cos(bearing)
    if far <= 0:
        return None
    return SIDE / 2 + FOCAL * math.tan(bearing), SIDE / 2 - FOCAL * dy / far


def sighting_by_definition(
    played: Played, frame: int, row: int, column: int
) -> tuple[int, float, float] | None:
    """Find the earlier frame and position to compare a pixel with; None if it is not compared."""
    face = int(played.ids[frame, row, column])
    if decode_planes(np.array([face]))[0][0] < 0 or not (0 < row < SIDE - 1 and 0 < column < SIDE - 1):
        return None
    if any(played.ids[frame, row + i, column + j] != face for i, j in ((-1, 0), (1, 0), (0, -1), (0, 1))):
        return None
    areas = (played.ids[: frame + 1] == face).sum(axis=(1, 2))
    stretches: list[list[int]] = []
    for visible in np.flatnonzero(areas).tolist():
        if not stretches or visible - stretches[-1][-1] > 20:
            stretches.append([])
        stretches[-1].append(visible)
    if len(stretches) < 2 or stretches[-1][0] < CONTEXT:
        return None
    earlier = max(stretches[-2], key=lambda visible: (areas[visible], visible))
    point = intersect_planes(played.poses[frame], *np.array([[row], [column], [face]]))[0]
    position = project_point(played.poses[earlier], point)
    if position is None or min(position) < 0.5 or max(position) > SIDE - 0.5:
        return None
    left, top = (min(int(along - 0.5), SIDE - 2) for along in position)
    if (played.ids[earlier, top : top + 2, left : left + 2] != face).any():
        return None
    return earlier, *position


def test_sightings_match_the_definition(played: Played, sightings: Sightings) -> None:
    actual = {
        (frame, row, column): (earlier, x, y)
        for frame, row, column, earlier, x, y in zip(*(part.tolist() for part in sightings), strict=True)
    }
    assert len(actual) == len(sightings.frame) > 10_000
    assert {earlier < CONTEXT for earlier, _, _ in actual.values()} == {True, False}
    draw = np.random.default_rng(0)
    compared = [list(actual)[index] for index in draw.integers(0, len(actual), 150)]
    anywhere = [
        tuple(draw.integers(low, high) for low, high in ((CONTEXT, FRAMES), (0, SIDE), (0, SIDE)))
        for _ in range(400)
    ]
    for pixel in [*compared, *anywhere]:
        expected = sighting_by_definition(played, *pixel)
        assert (expected is None) == (pixel not in actual)
        if expected is not None:
            assert actual[pixel] == pytest.approx(expected, abs=1e-5)


def paint_world(played: Played) -> np.ndarray:
    """Paint a world whose colours are waves along its axes, eight blocks long."""
    frames = np.zeros((*played.ids.shape, 3), np.uint8)
    for frame, ids, pose in zip(frames, played.ids.astype(np.int64), played.poses, strict=True):
        rows, columns = np.nonzero(decode_planes(ids)[0] >= 0)
        points = intersect_planes(pose, rows, columns, ids[rows, columns])
        frame[rows, columns] = np.round(128 + 100 * np.sin(points * math.pi / 4))
    return frames


def rms(errors: np.ndarray, pixels: int, column: int) -> float:
    """Return the error in levels over all compared pixels."""
    total = errors.sum(axis=0)
    return math.sqrt(total[column] / total[pixels] / 3)


def test_a_point_seen_twice_has_one_colour_and_wrong_cameras_are_caught(
    played: Played, sightings: Sightings, monkeypatch
) -> None:
    frames = paint_world(played)
    right = errors_by_face(sightings, frames, frames, CONTEXT)
    assert right[:, 2].sum() == 0
    assert max(rms(right, 0, 1), rms(right, 4, 5)) < 1.0
    np.testing.assert_array_equal(right[:, 1], right[:, 3])

    shifted = sightings._replace(x=np.minimum(sightings.x + 1, SIDE - 0.5))
    wrong = errors_by_face(shifted, frames, frames, CONTEXT)
    assert rms(wrong, 0, 1) > 5 * rms(right, 0, 1)

    def half_a_pixel_off(side: int) -> torch.Tensor:
        return intrinsics(side) - torch.tensor([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])

    with monkeypatch.context() as patched:
        patched.setattr(faces, "intrinsics", half_a_pixel_off)
        mutant = errors_by_face(find_sightings(played.ids, played.poses, CONTEXT), frames, frames, CONTEXT)
    assert rms(mutant, 0, 1) > 3 * rms(right, 0, 1)
    turned = played.poses + [0, 0, 0, 3, 0] * (np.arange(FRAMES) % 2)[:, None]
    mutant = errors_by_face(find_sightings(played.ids, turned, CONTEXT), frames, frames, CONTEXT)
    assert rms(mutant, 0, 1) > 5 * rms(right, 0, 1)


def test_true_frames_agree_with_themselves(played: Played, sightings: Sightings) -> None:
    errors = errors_by_face(sightings, played.frames, played.frames, CONTEXT)
    assert max(rms(errors, 0, 1), rms(errors, 4, 5)) < 255 * 10 ** (-38 / 20)  # 38 dB, not coded as video


def test_errors_by_hand() -> None:
    """Two pixels of frame 3, context of two frames: one was seen in frame 2, one in frame 0."""
    true = np.zeros((4, 4, 4, 3), np.uint8)
    generated = true.copy()
    true[3, 1, 1], true[2, 1, 1], true[2, 1, 2] = 10, 12, 16
    generated[3, 1, 1], generated[2, 1, 1], generated[2, 1, 2] = 20, 24, 28
    true[0] = generated[0] = 5
    generated[3, 2, 2] = (5, 6, 8)
    sightings = Sightings(
        *np.array([[3, 3], [1, 2], [1, 2], [2, 0]]), x=np.array([2.25, 1.7]), y=np.array([1.5, 3.1])
    )
    errors = errors_by_face(sightings, generated, true, num_context=2)
    # At x 2.25 three quarters of pixel 2 and a quarter of pixel 1: 27 generated, 15 true.
    np.testing.assert_allclose(errors, [[0] * 6, [1, 3 * 49, 3 * 100, 3 * 25, 1, 0 + 1 + 9]])


@pytest.mark.parametrize(("gap", "is_absence"), [(20, False), (21, True)])
def test_a_blink_is_no_absence(gap: int, is_absence: bool) -> None:
    """A wall ahead fills all or part of frames 0 to 2 and comes back `gap` frames later."""
    wall = np.uint64(2 << 36 | 1 << 4 | 5)  # the lower z side of a block at z 0
    ids = np.full((30, 8, 8), SKY, np.uint64)
    ids[0, :5], ids[1], ids[2, :3], ids[2 + gap :] = wall, wall, wall, wall
    poses = np.tile([2.5, 0.0, -9.0, 0.0, 0.0], (30, 1))
    sightings = find_sightings(ids, poses, num_context=3)
    assert set(sightings.earlier.tolist()) == ({1} if is_absence else set())
    if is_absence:
        assert set(sightings.frame.tolist()) == set(range(2 + gap, 30))
        assert len(sightings.frame) == 36 * (30 - 2 - gap)
        np.testing.assert_allclose(sightings.x, sightings.column + 0.5)


def test_nothing_counts_as_returned_in_the_context() -> None:
    """A surface that came back before the horizon was given to the model, so it is not scored."""
    wall = np.uint64(2 << 36 | 1 << 4 | 5)
    ids = np.full((60, 8, 8), wall, np.uint64)
    ids[1:40] = SKY
    poses = np.tile([2.5, 0.0, -9.0, 0.0, 0.0], (60, 1))
    assert len(find_sightings(ids, poses, num_context=50).frame) == 0
    assert len(find_sightings(ids, poses, num_context=40).frame) == 36 * 20


@pytest.mark.parametrize("side", [16, 64, 96, 128])
def test_frames_are_reduced_by_area(side: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    small = reduce_frames(frames)
    assert small.shape == (2, min(side, 64), min(side, 64), 3)
    assert small.mean() == pytest.approx(frames.mean(), abs=0.6)
    if side == 128:
        means = frames.reshape(2, 64, 2, 64, 2, 3).mean(axis=(2, 4))
        assert np.abs(small - means).max() <= 0.5
    if side <= 64:
        np.testing.assert_array_equal(small, frames)
        assert not np.shares_memory(small, frames)
