"""Camera matrices against rendered frames, independent formulas and each other."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from loopcraft.cameras import (
    camera_to_world,
    intrinsics,
    matrices,
    plucker_rays,
    project,
    world_to_camera,
)
from loopcraft.walks.actions import draw_walk
from loopcraft.worlds import make_surface_world

RESOLUTION = 256
NUM_FRAMES = 24
EDGE = 0.01
"""Pixels: only this close to a face's projected edge can a pixel be on the wrong side of it."""
LARGE_PIXELS = 150

View = tuple[np.ndarray, np.ndarray]
"""A pose, and the id of the block face that each pixel of its frame shows."""

poses = st.tuples(
    *[st.floats(-500, 500)] * 3, st.integers(-18, 17).map(lambda turn: 10.0 * turn), st.floats(-80, 80)
).map(lambda pose: torch.tensor(pose, dtype=torch.float64))
points = st.lists(st.tuples(*[st.floats(-30, 30)] * 3), min_size=1, max_size=5).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64)
)


@pytest.fixture(scope="module", params=["plaza-v1", "voxel-v1"])
def views(request) -> list[View]:
    world = make_surface_world(request.param, resolution=RESOLUTION)
    walk = draw_walk(np.random.default_rng(5), NUM_FRAMES)
    return [(np.array(seen.pose), seen.surface) for seen in world.play(3, walk, surfaces=True)]


def corners_of(surface_id: int) -> torch.Tensor:
    """The four corners (x, y, z) of a block face, in order around it: the id encodes block and side."""
    x, z, y, face = surface_id >> 36, surface_id >> 12 & 0xFFFFFF, surface_id >> 4 & 0xFF, surface_id & 0xF
    x, z = ((value + (1 << 23)) % (1 << 24) - (1 << 23) for value in (x, z))
    axis, side = divmod(face - 1, 2)
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    return torch.from_numpy(np.insert(square, axis, side, axis=1) + np.array([x, y, z])).double()


def distance_inside(quad: np.ndarray) -> np.ndarray:
    """Distance of each pixel's centre from the edge of a projected quad, in pixels; negative outside."""
    centres = np.stack(np.meshgrid(*[np.arange(RESOLUTION) + 0.5] * 2, indexing="xy"), axis=-1)
    following = np.roll(quad, -1, axis=0)
    turn = np.sign(np.sum(quad[:, 0] * following[:, 1] - quad[:, 1] * following[:, 0]))
    sides = []
    for start, end in zip(quad, following, strict=True):
        along = turn * (end - start) / np.linalg.norm(end - start)
        sides.append(along[0] * (centres[..., 1] - start[1]) - along[1] * (centres[..., 0] - start[0]))
    return np.min(sides, axis=0)


def count_faces(views: list[View]) -> tuple[int, int, int]:
    """Count large faces with all corners in view: all, those drawn exactly as projected, those beyond.

    A partly hidden face has fewer pixels than its projected quad, but none outside it.
    """
    total = exact = beyond = 0
    for pose, surface in views:
        ids, counts = np.unique(surface, return_counts=True)
        for surface_id in ids[counts > LARGE_PIXELS].tolist():
            if not 1 <= surface_id & 0xF <= 6:  # the sky, or the planes of plants
                continue
            to_camera = world_to_camera(torch.from_numpy(pose))
            quad, depths = project(corners_of(surface_id), to_camera, intrinsics(RESOLUTION))
            if depths.min() < 0.1 or quad.min() < 0 or quad.max() > RESOLUTION:
                continue
            inside, shown = distance_inside(quad.numpy()), surface == surface_id
            total += 1
            exact += not (shown ^ (inside > 0))[abs(inside) > EDGE].any()
            beyond += bool((shown & (inside < -EDGE)).any())
    return total, exact, beyond


def test_block_faces_are_drawn_where_the_matrices_put_their_corners(views) -> None:
    """The pixels that show a face are those whose centres lie between its four projected corners.

    This holds to 0.01 pixels along every edge, so the corners, where edges meet, are as accurate.
    """
    total, exact, beyond = count_faces(views)
    assert total > 500
    assert exact > 0.6 * total  # the others are partly hidden
    assert beyond == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("EYE_HEIGHT_BLOCKS", 1.61), ("FIELD_OF_VIEW_DEG", 69.9), ("intrinsics", "half a pixel off")],
)
def test_slightly_wrong_matrices_are_detected(views, monkeypatch, name: str, value) -> None:
    if name == "intrinsics":
        original = matrices.intrinsics

        def shifted(resolution: int) -> torch.Tensor:
            return original(resolution) - torch.tensor([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])

        monkeypatch.setitem(globals(), "intrinsics", shifted)
    else:
        monkeypatch.setattr(matrices, name, value)
    total, exact, beyond = count_faces(views[:6])
    assert exact < 0.2 * total
    assert beyond > 0.2 * total


@settings(deadline=None)
@given(pose=poses, offsets=points)
def test_projection_matches_bearings_and_elevations(pose, offsets) -> None:
    """Without matrices, for a level head: tangents of the angles left of and above the line of sight."""
    pose[4] = 0.0
    world_points = offsets + pose[:3]
    pixels, depths = project(world_points, world_to_camera(pose), intrinsics(RESOLUTION).double())
    tangent = math.tan(math.radians(35))
    for (dx, dy, dz), (column, row), depth in zip(
        offsets.tolist(), pixels.tolist(), depths.tolist(), strict=True
    ):
        bearing = math.atan2(-dx, dz) - math.radians(pose[3])  # yaw 0 looks along +z, yaw 90 along -x
        ahead = math.hypot(dx, dz) * math.cos(bearing)
        assert depth == pytest.approx(ahead, abs=1e-9)
        if ahead > 0.5:
            assert column == pytest.approx(
                RESOLUTION / 2 * (1 + math.tan(bearing) / tangent), abs=1e-4, rel=1e-6
            )
            assert row == pytest.approx(
                RESOLUTION / 2 * (1 - (dy - 1.62) / ahead / tangent), abs=1e-4, rel=1e-6
            )


@settings(deadline=None)
@given(pose=poses)
def test_rotations_match_euler_angles(pose) -> None:
    """SciPy's rotations: the head pitches first, then the body yaws."""
    yaw, pitch = pose[3:].tolist()
    looking_south = np.diag([-1.0, -1.0, 1.0])  # OpenCV's x right, y down, z forwards, at yaw 0
    turned = Rotation.from_euler("xy", [pitch, -yaw], degrees=True).as_matrix() @ looking_south
    np.testing.assert_allclose(camera_to_world(pose)[:3, :3].numpy(), turned, atol=1e-12)


@settings(deadline=None)
@given(pose=poses)
def test_conventions_and_inverses_agree(pose) -> None:
    cameras = {name: camera_to_world(pose, name) for name in ("opencv", "opengl")}
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(cameras["opengl"], cameras["opencv"] @ flip)
    for name, to_world in cameras.items():
        identity = world_to_camera(pose, name) @ to_world
        torch.testing.assert_close(identity, torch.eye(4, dtype=torch.float64), atol=1e-9, rtol=0)
        assert torch.linalg.det(to_world[:3, :3]).item() == pytest.approx(1.0)
        assert to_world[:3, 3].tolist() == [pose[0], pose[1] + 1.62, pose[2]]


@settings(deadline=None, max_examples=20)
@given(pose=poses, distance=st.floats(0.5, 40))
def test_points_on_a_pixels_ray_project_to_its_centre(pose, distance: float) -> None:
    side = 8
    camera = camera_to_world(pose)
    moments, directions = plucker_rays(camera, side).flatten(1).mT.split(3, dim=1)
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(side * side, dtype=torch.float64))
    eye = camera[:3, 3]
    torch.testing.assert_close(moments, torch.linalg.cross(eye.expand_as(directions), directions))
    pixels, _ = project(eye + distance * directions, world_to_camera(pose), intrinsics(side))
    column, row = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    np.testing.assert_allclose(pixels.numpy(), np.stack([column.ravel(), row.ravel()], axis=1), atol=1e-4)


def test_batches_match_single_poses() -> None:
    batch = torch.randn(2, 3, 5)
    singles = torch.stack([world_to_camera(pose, "opengl") for pose in batch.flatten(0, 1)])
    torch.testing.assert_close(world_to_camera(batch, "opengl").flatten(0, 1), singles)
    rays = plucker_rays(camera_to_world(batch), 4)
    assert rays.shape == (2, 3, 6, 4, 4)
    assert rays.dtype == torch.float32
    torch.testing.assert_close(rays[1, 2], plucker_rays(camera_to_world(batch[1, 2]), 4))


def test_a_case_that_can_be_checked_by_hand() -> None:
    """Look south from the origin: a point 10 blocks ahead at eye height is in the middle; east is left."""
    to_camera = world_to_camera(torch.zeros(5))
    pixels, depths = project(
        torch.tensor([[0, 1.62, 10], [7.002075, 1.62, 10], [0, 1.62 + 7.002075, 10], [0, 1.62, -1]]),
        to_camera,
        intrinsics(100),
    )
    torch.testing.assert_close(pixels[:3], torch.tensor([[50.0, 50], [0, 50], [50, 0]]), atol=1e-3, rtol=0)
    assert depths.tolist() == [10, 10, 10, -1]
