"""Faces seen again: against the definition pixel by pixel, on painted worlds, and with wrong cameras."""

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
    """An episode of plaza-v1: what its pixels show, poses, and its frames as drawn."""

    def __init__(self) -> None:
        world = make_world("plaza-v1", resolution=SIDE)
        seen = list(world.play(3, draw_walk(np.random.default_rng(5), FRAMES), surfaces=True))
        self.ids = np.stack([one.surface for one in seen])
        self.poses = np.array([one.pose for one in seen])
        self.frames = np.stack([one.frame for one in seen])


@pytest.fixture(scope="module")
def played() -> Played:
    return Played()


@pytest.fixture(scope="module")
def sightings(played: Played) -> Sightings:
    return find_sightings(played.ids, played.poses, CONTEXT)


def planes_of(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The axes and the levels of faces, from their ids; axis -1 of what is none."""
    x, z, y, side = faces >> 36, faces >> 12 & 0xFFFFFF, faces >> 4 & 0xFF, faces & 0xF
    x, z = ((value + (1 << 23)) % (1 << 24) - (1 << 23) for value in (x, z))
    axes = np.where((side >= 1) & (side <= 6), (side - 1) // 2, -1)
    return axes, np.choose(np.maximum(axes, 0), (x, y, z)) + (side - 1) % 2


def points_of(pose: np.ndarray, rows: np.ndarray, columns: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Where the middles of pixels meet the planes of faces (N, 3), the head being level."""
    yaw = math.radians(pose[3])
    right, down = (columns + 0.5 - SIDE / 2) / FOCAL, (rows + 0.5 - SIDE / 2) / FOCAL
    ahead = np.array([-math.sin(yaw), 0, math.cos(yaw)])
    rays = ahead + np.outer(right, [-math.cos(yaw), 0, -math.sin(yaw)]) - np.outer(down, [0, 1, 0])
    eye = pose[:3] + np.array([0, 1.62, 0])
    axes, levels = planes_of(faces)
    along = (levels - eye[axes]) / np.take_along_axis(rays, axes[:, None], axis=1)[:, 0]
    return eye + along[:, None] * rays


def place_in(pose: np.ndarray, point: np.ndarray) -> tuple[float, float] | None:
    """Where in a frame a point is, by its bearing; None if it is behind."""
    dx, dy, dz = point - pose[:3] - [0, 1.62, 0]
    bearing = math.atan2(-dx, dz) - math.radians(pose[3])
    far = math.hypot(dx, dz) * math.cos(bearing)
    if far <= 0:
        return None
    return SIDE / 2 + FOCAL * math.tan(bearing), SIDE / 2 - FOCAL * dy / far


def by_definition(played: Played, frame: int, row: int, column: int) -> tuple[int, float, float] | None:
    """Of one pixel the earlier frame and the place there; None if it is not compared."""
    face = int(played.ids[frame, row, column])
    if planes_of(np.array([face]))[0][0] < 0 or not (0 < row < SIDE - 1 and 0 < column < SIDE - 1):
        return None
    if any(played.ids[frame, row + i, column + j] != face for i, j in ((-1, 0), (1, 0), (0, -1), (0, 1))):
        return None
    areas = (played.ids[: frame + 1] == face).sum(axis=(1, 2))
    stretches: list[list[int]] = []
    for shown in np.flatnonzero(areas).tolist():
        if not stretches or shown - stretches[-1][-1] > 20:
            stretches.append([])
        stretches[-1].append(shown)
    if len(stretches) < 2 or stretches[-1][0] < CONTEXT:
        return None
    earlier = max(stretches[-2], key=lambda shown: (areas[shown], shown))
    point = points_of(played.poses[frame], *np.array([[row], [column], [face]]))[0]
    place = place_in(played.poses[earlier], point)
    if place is None or min(place) < 0.5 or max(place) > SIDE - 0.5:
        return None
    left, top = (min(int(along - 0.5), SIDE - 2) for along in place)
    if (played.ids[earlier, top : top + 2, left : left + 2] != face).any():
        return None
    return earlier, *place


def test_sightings_are_what_the_definition_says(played: Played, sightings: Sightings) -> None:
    found = {
        (frame, row, column): (earlier, x, y)
        for frame, row, column, earlier, x, y in zip(*(part.tolist() for part in sightings), strict=True)
    }
    assert len(found) == len(sightings.frame) > 10_000
    assert {earlier < CONTEXT for earlier, _, _ in found.values()} == {True, False}
    draw = np.random.default_rng(0)
    compared = [list(found)[place] for place in draw.integers(0, len(found), 150)]
    anywhere = [
        tuple(draw.integers(low, high) for low, high in ((CONTEXT, FRAMES), (0, SIDE), (0, SIDE)))
        for _ in range(400)
    ]
    for place in [*compared, *anywhere]:
        expected = by_definition(played, *place)
        assert (expected is None) == (place not in found)
        if expected is not None:
            assert found[place] == pytest.approx(expected, abs=1e-5)


def painted(played: Played) -> np.ndarray:
    """Frames of a world whose colours are waves along its axes, eight blocks long."""
    frames = np.zeros((*played.ids.shape, 3), np.uint8)
    for frame, ids, pose in zip(frames, played.ids.astype(np.int64), played.poses, strict=True):
        rows, columns = np.nonzero(planes_of(ids)[0] >= 0)
        points = points_of(pose, rows, columns, ids[rows, columns])
        frame[rows, columns] = np.round(128 + 100 * np.sin(points * math.pi / 4))
    return frames


def rms(errors: np.ndarray, pixels: int, column: int) -> float:
    """In levels, over all that is compared."""
    total = errors.sum(axis=0)
    return math.sqrt(total[column] / total[pixels] / 3)


def test_what_a_camera_sees_twice_has_one_colour_and_wrong_cameras_are_caught(
    played: Played, sightings: Sightings, monkeypatch
) -> None:
    frames = painted(played)
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
    """Two pixels of frame 3, with a context of two frames: one was seen in frame 2, one in frame 0."""
    true = np.zeros((4, 4, 4, 3), np.uint8)
    ours = true.copy()
    true[3, 1, 1], true[2, 1, 1], true[2, 1, 2] = 10, 12, 16
    ours[3, 1, 1], ours[2, 1, 1], ours[2, 1, 2] = 20, 24, 28
    true[0] = ours[0] = 5
    ours[3, 2, 2] = (5, 6, 8)
    sightings = Sightings(
        *np.array([[3, 3], [1, 2], [1, 2], [2, 0]]), x=np.array([2.25, 1.7]), y=np.array([1.5, 3.1])
    )
    errors = errors_by_face(sightings, ours, true, num_context=2)
    # At x 2.25 three quarters of pixel 2 and a quarter of pixel 1: 27 of ours, 15 of the true ones.
    np.testing.assert_allclose(errors, [[0] * 6, [1, 3 * 49, 3 * 100, 3 * 25, 1, 0 + 1 + 9]])


@pytest.mark.parametrize(("gap", "is_absence"), [(20, False), (21, True)])
def test_a_blink_is_no_absence(gap: int, is_absence: bool) -> None:
    """The wall ahead, shown in frames 0 to 2 by all or fewer pixels, and again `gap` frames after."""
    wall = np.uint64(2 << 36 | 1 << 4 | 5)  # the lower z side of a block at z 0
    ids = np.full((30, 8, 8), SKY, np.uint64)
    ids[0, :5], ids[1], ids[2, :3], ids[2 + gap :] = wall, wall, wall, wall
    poses = np.tile([2.5, 0.0, -9.0, 0.0, 0.0], (30, 1))
    found = find_sightings(ids, poses, num_context=3)
    assert set(found.earlier.tolist()) == ({1} if is_absence else set())
    if is_absence:
        assert set(found.frame.tolist()) == set(range(2 + gap, 30))
        assert len(found.frame) == 36 * (30 - 2 - gap)
        np.testing.assert_allclose(found.x, found.column + 0.5)


def test_nothing_comes_back_in_the_context() -> None:
    """What came back before the horizon has been drawn for the model, and is not held against it."""
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
