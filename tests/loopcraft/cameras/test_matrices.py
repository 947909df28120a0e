"""Camera matrices against rendered frames: a block's corners land where the renderer draws them."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from loopcraft.cameras import camera_to_world, intrinsics, matrices, plucker_rays, project, world_to_camera
from loopcraft.walks.actions import draw_walk
from loopcraft.worlds import make_surface_world

RESOLUTION = 256
NUM_FRAMES = 24
EDGE = 0.02
"""Pixels: how far from a face's projected edge a pixel may be taken for the wrong side."""
LARGE_PIXELS = 150

poses = st.tuples(
    *[st.floats(-500, 500)] * 3, st.integers(-18, 17).map(lambda turn: 10.0 * turn), st.floats(-80, 80)
).map(lambda pose: torch.tensor(pose, dtype=torch.float64))


def corners_of(surface_id: int) -> np.ndarray:
    """The four corners (x, y, z) of a block's face, in order around it, from its id."""
    x, z, y, face = surface_id >> 36, surface_id >> 12 & 0xFFFFFF, surface_id >> 4 & 0xFF, surface_id & 0xF
    x, z = ((value + (1 << 23)) % (1 << 24) - (1 << 23) for value in (x, z))
    axis, side = divmod(face - 1, 2)
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    return np.insert(square, axis, side, axis=1) + (x, y, z)


def inside_of(quad: np.ndarray, resolution: int) -> np.ndarray:
    """How far each pixel's centre lies inside of a projected quadrilateral, in pixels; negative outside."""
    centres = np.stack(np.meshgrid(*[np.arange(resolution) + 0.5] * 2, indexing="xy"), axis=-1)
    area = np.sum(quad[:, 0] * np.roll(quad[:, 1], -1) - quad[:, 1] * np.roll(quad[:, 0], -1))
    depths = []
    for here, there in zip(quad, np.roll(quad, -1, axis=0), strict=True):
        along = (there - here) / np.linalg.norm(there - here) * np.sign(area)
        depths.append(along[0] * (centres[..., 1] - here[1]) - along[1] * (centres[..., 0] - here[0]))
    return np.min(depths, axis=0)


@pytest.fixture(scope="module", params=["plaza-v1", "voxel-v1"])
def views(request) -> list:
    """Frames of a walk: pose, picture, surface ids."""
    world = make_surface_world(request.param, resolution=RESOLUTION)
    walk = draw_walk(np.random.default_rng(5), NUM_FRAMES)
    return [(np.array(seen.pose), seen.frame, seen.surface) for seen in world.play(3, walk, surfaces=True)]


def whole_faces(views: list) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Projected corners, the pixels that show the face, and the frame: large faces that nothing hides.

    A face is taken for whole if the pixels that show it are nine in ten of those in its quadrilateral.
    """
    camera = intrinsics(RESOLUTION)
    for pose, frame, surface in views:
        to_camera = world_to_camera(torch.from_numpy(pose))
        ids, counts = np.unique(surface, return_counts=True)
        for surface_id in ids[counts > LARGE_PIXELS].tolist():
            if not 1 <= surface_id & 0xF <= 6:  # the sky, and the planes of plants
                continue
            points = torch.from_numpy(corners_of(surface_id).astype(np.float64))
            quad, depths = (found.numpy() for found in project(points, to_camera, camera))
            if depths.min() < 0.1 or quad.min() < 0 or quad.max() > RESOLUTION:
                continue
            shown = surface == surface_id
            if shown.sum() > 0.9 * (inside_of(quad, RESOLUTION) > 0).sum():
                yield quad, shown, frame


def wrong_pixels(quad: np.ndarray, shown: np.ndarray) -> int:
    """Pixels that show the face and should not, or the other way round, beyond the edge's tolerance."""
    depth = inside_of(quad, RESOLUTION)
    return int((shown & (depth < -EDGE)).sum() + (~shown & (depth > EDGE)).sum())


def test_faces_lie_where_the_matrices_put_their_corners(views) -> None:
    """Every pixel whose centre is in the projected face shows it, and no other, to 0.02 pixels."""
    found = list(whole_faces(views))
    whole = [quad for quad, shown, _ in found if wrong_pixels(quad, shown) == 0]
    hidden = [(quad, shown) for quad, shown, _ in found if wrong_pixels(quad, shown)]
    assert len(whole) >= 40
    for quad, shown in hidden:  # something stands before them: they may miss pixels, never have others
        assert not (shown & (inside_of(quad, RESOLUTION) < -EDGE)).any()


def test_corners_are_found_at_their_pixels(views) -> None:
    """Beside a projected corner, 0.75 pixels inwards, the frame shows the face; as far outwards, it does not."""
    checked = 0
    for quad, shown, _ in whole_faces(views):
        if wrong_pixels(quad, shown):
            continue
        for corner in quad:
            inwards = (quad.mean(axis=0) - corner) / np.linalg.norm(quad.mean(axis=0) - corner)
            inside, outside = (inside_at(quad, corner + step * inwards) for step in (1, -1))
            if min(inside, -outside) > math.sqrt(0.5):  # deeper than a pixel's centre from its corner
                assert shown[pixel_at(corner + inwards)]
                checked += 1
                if (0.5 < corner).all() and (corner < RESOLUTION - 2).all():
                    assert not shown[pixel_at(corner - inwards)]
    assert checked >= 0


def inside_at(quad: np.ndarray, point: np.ndarray) -> float:
    area = np.sum(quad[:, 0] * np.roll(quad[:, 1], -1) - quad[:, 1] * np.roll(quad[:, 0], -1))
    edges = np.roll(quad, -1, axis=0) - quad
    offsets = point - quad
    cross = edges[:, 0] * offsets[:, 1] - edges[:, 1] * offsets[:, 0]
    return float((np.sign(area) * cross / np.linalg.norm(edges, axis=1)).min())


def pixel_at(point: np.ndarray) -> tuple[int, int]:
    column, row = np.clip(np.floor(point), 0, RESOLUTION - 1).astype(int)
    return int(row), int(column)
