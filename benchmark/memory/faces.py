"""One surface in two frames: a block's face that comes back into sight, and the frame that showed it before.

All of it is done on frames reduced to 64 x 64 pixels (`SIDE`), by area, whatever their resolution. A pixel of
a generated frame is compared if

- it and the pixels beside, above and below it show one side of a block;
- that face came back into sight in the horizon, after being out of sight for 20 frames or more;
- the camera of the earlier frame sees the point, in the middle of the pixel, among four pixels that all show
  the face. The earlier frame is, of the last time that the face was in sight before it went out of sight,
  that which showed most of it (of equals the latest).

The colour there is interpolated between the four pixels. docs/recall.md says what is made of the errors.
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
"""Pixels along a side of the frames that are compared; smaller frames are as they are."""
NUM_COLUMNS = 6
_NEVER = -1

Small = UInt8[np.ndarray, "T n n 3"]


class Sightings(NamedTuple):
    """Pixels of the horizon that show a face again, and where an earlier frame showed it; an entry each."""

    frame: Int64[np.ndarray, " N"]
    row: Int64[np.ndarray, " N"]
    column: Int64[np.ndarray, " N"]
    earlier: Int64[np.ndarray, " N"]
    x: Float64[np.ndarray, " N"]
    """In pixels of the earlier frame, from its left edge."""
    y: Float64[np.ndarray, " N"]
    """The same from its upper edge."""


class _Stretches:
    """Of every face, the stretch for which it has been in sight, and the best frame of the one before."""

    def __init__(self, num_faces: int) -> None:
        self.since, self.before = np.full((2, num_faces), _NEVER)
        self._last = np.full(num_faces, -SHORTEST_ABSENCE_FRAMES - 1)
        self._best, self._most = np.full((2, num_faces), _NEVER)

    def watch(self, frame: int, numbers: Int64[np.ndarray, "n n"]) -> None:
        """Take the next frame."""
        areas = np.bincount(numbers.ravel(), minlength=len(self._last))
        faces = np.flatnonzero(areas)
        counts = areas[faces]
        back = faces[frame - self._last[faces] > SHORTEST_ABSENCE_FRAMES]
        self.since[back], self.before[back], self._most[back] = frame, self._best[back], 0
        is_best = counts >= self._most[faces]
        self._best[faces[is_best]], self._most[faces[is_best]] = frame, counts[is_best]
        self._last[faces] = frame


def find_sightings(
    ids: UInt64[np.ndarray, "T n n"], poses: Float[np.ndarray, "T 5"], num_context: int
) -> Sightings:
    """All of an episode, given which face each pixel shows and the poses (blocks, degrees)."""
    import pandas as pd  # slow to import

    flat, known = pd.factorize(ids.ravel())
    numbers = flat.reshape(ids.shape)
    faces, stretches = faces_of(known), _Stretches(len(known))
    cameras = _cameras(poses, ids.shape[1])
    found = []
    for frame in range(len(ids)):
        stretches.watch(frame, numbers[frame])
        if frame >= num_context:
            is_back = (stretches.since >= num_context) & (stretches.before != _NEVER) & (faces.axis < NO_AXIS)
            row, column = np.nonzero(_is_inner(numbers[frame]) & is_back[numbers[frame]])
            own = numbers[frame, row, column]
            planes = Faces(faces.axis[own], faces.level[own])
            points = _points(cameras, frame, row, column, planes)
            found.append(_seen_from(numbers, cameras, frame, row, column, stretches.before[own], points))
    return Sightings(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


class _Cameras(NamedTuple):
    """Those of an episode's frames."""

    to_world: Float64[np.ndarray, "T 4 4"]
    to_camera: Float64[torch.Tensor, "T 4 4"]
    matrix: Float64[torch.Tensor, "3 3"]
    """From the camera's coordinates to pixels."""


def _cameras(poses: Float[np.ndarray, "T 5"], side: int) -> _Cameras:
    exact = torch.from_numpy(poses.astype(np.float64))
    return _Cameras(camera_to_world(exact).numpy(), world_to_camera(exact), intrinsics(side).double())


def _is_inner(numbers: Int64[np.ndarray, "n n"]) -> Bool[np.ndarray, "n n"]:
    """Which pixels show what their four neighbours show; none at the frame's edge."""
    is_inner = np.zeros(numbers.shape, np.bool_)
    middle = numbers[1:-1, 1:-1]
    beside = (numbers[:-2, 1:-1], numbers[2:, 1:-1], numbers[1:-1, :-2], numbers[1:-1, 2:])
    is_inner[1:-1, 1:-1] = np.all([middle == other for other in beside], axis=0)
    return is_inner


def _points(
    cameras: _Cameras,
    frame: int,
    row: Int64[np.ndarray, " N"],
    column: Int64[np.ndarray, " N"],
    faces: Faces,
) -> Float64[np.ndarray, "N 3"]:
    """Where in the world the middles of a frame's pixels lie, each on its face."""
    camera, inverse = cameras.to_world[frame], np.linalg.inv(cameras.matrix.numpy())
    centres = np.stack([column + 0.5, row + 0.5, np.ones(len(row))])
    directions = (camera[:3, :3] @ inverse @ centres).T
    eye, entry = camera[:3, 3], np.arange(len(row))
    depth = (faces.level - eye[faces.axis]) / directions[entry, faces.axis]
    points: Float64[np.ndarray, "N 3"] = eye + depth[:, None] * directions
    return points


def _seen_from(
    numbers: Int64[np.ndarray, "T n n"],
    cameras: _Cameras,
    frame: int,
    row: Int64[np.ndarray, " N"],
    column: Int64[np.ndarray, " N"],
    earlier: Int64[np.ndarray, " N"],
    points: Float64[np.ndarray, "N 3"],
) -> Sightings:
    """Those of a frame's pixels whose points their earlier frames show, and where."""
    side = numbers.shape[1]
    to_camera = cameras.to_camera[torch.from_numpy(earlier)]
    pixels, depths = project(torch.from_numpy(points)[:, None], to_camera, cameras.matrix)
    x, y = pixels[:, 0].numpy().T
    left, top = (np.clip(np.nan_to_num(along), -1, side).astype(int) for along in (x - 0.5, y - 0.5))
    is_seen = (depths[:, 0].numpy() > 0) & (np.minimum(x, y) >= 0.5) & (np.maximum(x, y) <= side - 0.5)
    for down in (0, 1):
        for right in (0, 1):
            there = numbers[earlier, np.clip(top + down, 0, side - 1), np.clip(left + right, 0, side - 1)]
            is_seen &= there == numbers[frame, row, column]
    kept = np.full(is_seen.sum(), frame), row[is_seen], column[is_seen], earlier[is_seen]
    return Sightings(*kept, x=x[is_seen], y=y[is_seen])


def errors_by_face(
    sightings: Sightings, generated: Small, true: Small, num_context: int
) -> Float64[np.ndarray, "horizon 6"]:
    """Of every frame of the horizon what is compared: pixels, and sums of squared differences of levels.

    Columns: the pixels whose earlier frame was generated; their errors against it, against the true frame of
    their own index, and of the true frames among themselves; the pixels whose earlier frame is the context's;
    their errors against it. Both videos have the context in front. Errors are summed over three channels.
    """
    frame, row, column, earlier, x, y = sightings
    ours, truth = (video[frame, row, column].astype(np.float64) for video in (generated, true))
    with_earlier = _squared(ours, _between(generated, earlier, x, y))
    is_own = earlier >= num_context
    columns = [
        is_own,
        is_own * with_earlier,
        is_own * _squared(ours, truth),
        is_own * _squared(truth, _between(true, earlier, x, y)),
        ~is_own,
        ~is_own * with_earlier,
    ]
    horizon = len(true) - num_context
    sums = [np.bincount(frame - num_context, weights=values, minlength=horizon) for values in columns]
    return np.stack(sums, axis=1)


def _squared(one: Float64[np.ndarray, "N 3"], other: Float64[np.ndarray, "N 3"]) -> Float64[np.ndarray, " N"]:
    errors: Float64[np.ndarray, " N"] = ((one - other) ** 2).sum(axis=1)
    return errors


def _between(
    video: Small, frame: Int64[np.ndarray, " N"], x: Float64[np.ndarray, " N"], y: Float64[np.ndarray, " N"]
) -> Float64[np.ndarray, "N 3"]:
    """Levels at points of frames, bilinear between the middles of pixels."""
    last = video.shape[1] - 2
    left, top = (np.clip((along - 0.5).astype(int), 0, last) for along in (x, y))
    right_share, lower_share = (x - 0.5 - left)[:, None], (y - 0.5 - top)[:, None]
    upper, lower = (
        video[frame, line, left] * (1 - right_share) + video[frame, line, left + 1] * right_share
        for line in (top, top + 1)
    )
    between: Float64[np.ndarray, "N 3"] = upper * (1 - lower_share) + lower * lower_share
    return between


def reduced(frames: UInt8[np.ndarray, "T H W 3"]) -> Small:
    """Frames of at most `SIDE` pixels along a side, each pixel the mean over its area."""
    if frames.shape[1] <= SIDE:
        return frames.copy()
    return np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in frames])
