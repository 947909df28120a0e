"""Compare block faces that come back into sight with the frames that showed them before.

Frames of any resolution are reduced to 64 x 64 pixels (`SIDE`) by area. A pixel of a generated frame is
compared if

- it and its four neighbours show the same side of a block;
- that face came back into sight in the horizon, after 20 frames or more out of sight;
- the earlier frame's camera sees the point at the pixel's centre between four pixels that all show the face.
  The earlier frame is the one that showed most of the face (the latest if tied) during the last stretch in
  sight before it disappeared.

The colour there is interpolated between the four pixels. docs/recall.md explains the use of the errors.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, UInt8, UInt64

from loopcraft.cameras import camera_to_world, intrinsics, project, world_to_camera
from loopcraft.generation.recall_masks import SHORTEST_ABSENCE_FRAMES
from loopcraft.worlds.faces import NO_AXIS, Faces, faces_of

SIDE = 64
"""Side of the compared frames in pixels; smaller frames are not enlarged."""
NUM_COLUMNS = 6
_NEVER = -1

Small = UInt8[np.ndarray, "T n n 3"]


class Sightings(NamedTuple):
    """Pixels of the horizon that show a face again, and where an earlier frame showed it; one entry each."""

    frame: Int64[np.ndarray, " N"]
    row: Int64[np.ndarray, " N"]
    column: Int64[np.ndarray, " N"]
    earlier: Int64[np.ndarray, " N"]
    x: Float64[np.ndarray, " N"]
    """Pixels from the left edge of the earlier frame."""
    y: Float64[np.ndarray, " N"]
    """Pixels from its top edge."""


class _Stretches:
    """For each face, since when it has been in sight, and the best frame of the stretch before."""

    def __init__(self, num_faces: int) -> None:
        self.since, self.before = np.full((2, num_faces), _NEVER)
        self._last = np.full(num_faces, -SHORTEST_ABSENCE_FRAMES - 1)
        self._best, self._most = np.full((2, num_faces), _NEVER)

    def add(self, frame: int, numbers: Int64[np.ndarray, "n n"]) -> None:
        """Add the next frame, given the number of the face at each pixel."""
        areas = np.bincount(numbers.ravel(), minlength=len(self._last))
        faces = np.flatnonzero(areas)
        counts = areas[faces]
        returned = faces[frame - self._last[faces] > SHORTEST_ABSENCE_FRAMES]
        self.since[returned], self.before[returned], self._most[returned] = frame, self._best[returned], 0
        is_best = counts >= self._most[faces]
        self._best[faces[is_best]], self._most[faces[is_best]] = frame, counts[is_best]
        self._last[faces] = frame


def find_sightings(
    ids: UInt64[np.ndarray, "T n n"], poses: Float[np.ndarray, "T 5"], num_context: int
) -> Sightings:
    """Find the sightings of an episode from the face ids of its pixels and its poses (blocks, degrees)."""
    import pandas as pd  # slow to import

    flat, unique_ids = pd.factorize(ids.ravel())
    numbers = flat.reshape(ids.shape)
    faces, stretches = faces_of(unique_ids), _Stretches(len(unique_ids))
    cameras = _cameras(poses, ids.shape[1])
    sightings = []
    for frame in range(len(ids)):
        stretches.add(frame, numbers[frame])
        if frame >= num_context:
            is_back = (stretches.since >= num_context) & (stretches.before != _NEVER) & (faces.axis < NO_AXIS)
            row, column = np.nonzero(_is_inner(numbers[frame]) & is_back[numbers[frame]])
            own = numbers[frame, row, column]
            planes = Faces(faces.axis[own], faces.level[own])
            points = _points(cameras, frame, row, column, planes)
            sightings.append(_match(numbers, cameras, frame, row, column, stretches.before[own], points))
    return Sightings(*(np.concatenate(parts) for parts in zip(*sightings, strict=True)))


class _Cameras(NamedTuple):
    to_world: Float64[np.ndarray, "T 4 4"]
    to_camera: Float64[torch.Tensor, "T 4 4"]
    matrix: Float64[torch.Tensor, "3 3"]
    """From camera coordinates to pixels."""


def _cameras(poses: Float[np.ndarray, "T 5"], side: int) -> _Cameras:
    exact = torch.from_numpy(poses.astype(np.float64))
    return _Cameras(camera_to_world(exact).numpy(), world_to_camera(exact), intrinsics(side).double())


def _is_inner(numbers: Int64[np.ndarray, "n n"]) -> Bool[np.ndarray, "n n"]:
    """Mark pixels whose four neighbours show the same face; none at the frame's edge."""
    is_inner = np.zeros(numbers.shape, np.bool_)
    middle = numbers[1:-1, 1:-1]
    neighbours = (numbers[:-2, 1:-1], numbers[2:, 1:-1], numbers[1:-1, :-2], numbers[1:-1, 2:])
    is_inner[1:-1, 1:-1] = np.all([middle == shifted for shifted in neighbours], axis=0)
    return is_inner


def _points(
    cameras: _Cameras,
    frame: int,
    row: Int64[np.ndarray, " N"],
    column: Int64[np.ndarray, " N"],
    faces: Faces,
) -> Float64[np.ndarray, "N 3"]:
    """Return the world points on the faces at the centres of a frame's pixels."""
    camera, inverse = cameras.to_world[frame], np.linalg.inv(cameras.matrix.numpy())
    centres = np.stack([column + 0.5, row + 0.5, np.ones(len(row))])
    directions = (camera[:3, :3] @ inverse @ centres).T
    eye, entry = camera[:3, 3], np.arange(len(row))
    depth = (faces.level - eye[faces.axis]) / directions[entry, faces.axis]
    points: Float64[np.ndarray, "N 3"] = eye + depth[:, None] * directions
    return points


def _match(
    numbers: Int64[np.ndarray, "T n n"],
    cameras: _Cameras,
    frame: int,
    row: Int64[np.ndarray, " N"],
    column: Int64[np.ndarray, " N"],
    earlier: Int64[np.ndarray, " N"],
    points: Float64[np.ndarray, "N 3"],
) -> Sightings:
    """Return the sightings among a frame's pixels: those whose points are visible in the earlier frames."""
    side = numbers.shape[1]
    to_camera = cameras.to_camera[torch.from_numpy(earlier)]
    pixels, depths = project(torch.from_numpy(points)[:, None], to_camera, cameras.matrix)
    x, y = pixels[:, 0].numpy().T
    left, top = (np.clip(np.nan_to_num(start), -1, side).astype(int) for start in (x - 0.5, y - 0.5))
    is_seen = (depths[:, 0].numpy() > 0) & (np.minimum(x, y) >= 0.5) & (np.maximum(x, y) <= side - 0.5)
    for down in (0, 1):
        for right in (0, 1):
            corner = numbers[earlier, np.clip(top + down, 0, side - 1), np.clip(left + right, 0, side - 1)]
            is_seen &= corner == numbers[frame, row, column]
    pixels_seen = (values[is_seen] for values in (row, column, earlier, x, y))
    return Sightings(np.full(is_seen.sum(), frame), *pixels_seen)


def errors_by_face(
    sightings: Sightings, generated: Small, true: Small, num_context: int
) -> Float64[np.ndarray, "horizon 6"]:
    """Return pixel counts and sums of squared differences of levels for each frame of the horizon.

    Columns: the number of pixels whose earlier frame was generated; their errors against it, against the true
    frame of the same index, and between the two true frames; the number of pixels whose earlier frame is in
    the context; their errors against it. Both videos include the context. Errors are summed over three
    channels.
    """
    frame, row, column, earlier, x, y = sightings
    levels, true_levels = (video[frame, row, column].astype(np.float64) for video in (generated, true))
    with_earlier = _squared_error(levels, _interpolate(generated, earlier, x, y))
    is_own = earlier >= num_context
    columns = [
        is_own,
        is_own * with_earlier,
        is_own * _squared_error(levels, true_levels),
        is_own * _squared_error(true_levels, _interpolate(true, earlier, x, y)),
        ~is_own,
        ~is_own * with_earlier,
    ]
    horizon = len(true) - num_context
    sums = [np.bincount(frame - num_context, weights=values, minlength=horizon) for values in columns]
    return np.stack(sums, axis=1)


def _squared_error(
    first: Float64[np.ndarray, "N 3"], second: Float64[np.ndarray, "N 3"]
) -> Float64[np.ndarray, " N"]:
    errors: Float64[np.ndarray, " N"] = ((first - second) ** 2).sum(axis=1)
    return errors


def _interpolate(
    video: Small, frame: Int64[np.ndarray, " N"], x: Float64[np.ndarray, " N"], y: Float64[np.ndarray, " N"]
) -> Float64[np.ndarray, "N 3"]:
    """Return levels at points of frames, bilinear between pixel centres."""
    last = video.shape[1] - 2
    left, top = (np.clip((position - 0.5).astype(int), 0, last) for position in (x, y))
    right_share, lower_share = (x - 0.5 - left)[:, None], (y - 0.5 - top)[:, None]
    upper, lower = (
        video[frame, line, left] * (1 - right_share) + video[frame, line, left + 1] * right_share
        for line in (top, top + 1)
    )
    levels: Float64[np.ndarray, "N 3"] = upper * (1 - lower_share) + lower * lower_share
    return levels


def reduce_frames(frames: UInt8[np.ndarray, "T H W 3"]) -> Small:
    """Reduce frames to at most `SIDE` pixels per side; each pixel is the mean over its area."""
    if frames.shape[1] <= SIDE:
        return frames.copy()
    return np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in frames])
