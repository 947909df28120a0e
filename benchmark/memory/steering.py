"""Where a picture turns: the yaw change between consecutive frames, told from the frames alone.

Frames are laid out on a cylinder around the camera, where a turn is a shift to the side, and the shift at
which two of them correlate best is the turn. docs/recall.md states its error on true frames.
"""

from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from loopcraft.core.jit import kernel

FIELD_OF_VIEW_DEG = 70.0
"""Of the square frame, in height and width."""
LARGEST_TURN_DEG = 25.0
"""The greatest yaw change that is looked for; a walk's turn is 10."""
WIDTH = 64
"""Columns of the cylinder; larger frames are reduced to it."""
OUTSIDE = -1e6
"""The level of points of the cylinder that the frame does not reach."""


def turns(frames: UInt8[np.ndarray, "T+1 H W 3"]) -> Float64[np.ndarray, " T"]:
    """The yaw change in degrees, positive to the right, from each frame to the next."""
    laid_out = np.stack([on_cylinder(frame) for frame in frames])
    columns = laid_out.shape[2]
    most = max(1, int(LARGEST_TURN_DEG / FIELD_OF_VIEW_DEG * columns))
    shifts = [_peak(correlations(one, other, most)) - most for one, other in pairwise(laid_out)]
    yaw_deg: Float64[np.ndarray, " T"] = np.array(shifts, np.float64) * (FIELD_OF_VIEW_DEG / columns)
    return yaw_deg


def changes(frames: UInt8[np.ndarray, "T+1 H W 3"]) -> Float64[np.ndarray, " T"]:
    """The mean absolute difference of 8-bit levels from each frame to the next."""
    return np.array([cv2.absdiff(one, other).mean() for one, other in pairwise(frames)], np.float64)


def on_cylinder(frame: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "n n"]:
    """The grey frame on the cylinder, a column an equal part of the field of view."""
    size = min(WIDTH, *frame.shape[:2])
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)
    columns, rows = _places(size)
    laid_out: Float32[np.ndarray, "n n"] = np.asarray(
        cv2.remap(small, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE)
    )
    return laid_out


@cache
def _places(size: int) -> tuple[Float32[np.ndarray, "n n"], Float32[np.ndarray, "n n"]]:
    """Where in the frame each point of the cylinder lies: its column and its row."""
    half = np.radians(FIELD_OF_VIEW_DEG / 2)
    focal_pixels = size / 2 / np.tan(half)
    angle = (np.arange(size) + 0.5) / size * 2 * half - half
    columns = np.tile(focal_pixels * np.tan(angle) + size / 2 - 0.5, (size, 1))
    rows = (np.arange(size)[:, None] + 0.5 - size / 2) / np.cos(angle) + size / 2 - 0.5
    return columns.astype(np.float32), rows.astype(np.float32)


@kernel(nogil=True)
def correlations(
    one: Float32[np.ndarray, "n n"], other: Float32[np.ndarray, "n n"], most: int
) -> Float64[np.ndarray, " shifts"]:
    """The correlation of what two frames share if the second is turned by -most to most columns."""
    height, width = one.shape
    found = np.zeros(2 * most + 1)
    for shift in range(-most, most + 1):
        count = sum_a = sum_b = sum_aa = sum_bb = sum_ab = 0.0
        for row in range(height):
            for column in range(max(0, -shift), min(width, width - shift)):
                a, b = np.float64(one[row, column + shift]), np.float64(other[row, column])
                if a >= 0.0 and b >= 0.0:
                    count += 1.0
                    sum_a += a
                    sum_b += b
                    sum_aa += a * a
                    sum_bb += b * b
                    sum_ab += a * b
        if count > 0.0:
            spread = (sum_aa - sum_a * sum_a / count) * (sum_bb - sum_b * sum_b / count)
            if spread > 0.0:
                found[shift + most] = (sum_ab - sum_a * sum_b / count) / np.sqrt(spread)
    return found


def _peak(values: Float[np.ndarray, " n"]) -> float:
    """Where the greatest value lies, to a fraction by the parabola through its neighbours."""
    place = int(values.argmax())
    if not 0 < place < len(values) - 1:
        return float(place)
    before, here, after = values[place - 1 : place + 2]
    curvature = before - 2.0 * here + after
    return place + (0.5 * (before - after) / curvature if curvature < 0 else 0.0)
