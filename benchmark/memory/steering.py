"""Estimate the yaw change between consecutive frames from the frames alone.

Frames are projected onto a cylinder around the camera, where a turn is a horizontal shift; the shift at which
two frames correlate best is the turn. docs/recall.md states the error on true frames.
"""

from functools import cache
from itertools import pairwise

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from loopcraft.core.jit import kernel

FIELD_OF_VIEW_DEG = 70.0
"""Vertical and horizontal field of view of the square frame."""
LARGEST_TURN_DEG = 25.0
"""Largest yaw change searched for; a walk's turn is 10."""
WIDTH = 64
"""Columns of the cylinder; larger frames are reduced to this."""
OUTSIDE = -1e6
"""Level of points of the cylinder outside the frame."""


def turns(frames: UInt8[np.ndarray, "T+1 H W 3"]) -> Float64[np.ndarray, " T"]:
    """Return the yaw change in degrees, positive to the right, from each frame to the next."""
    projected = np.stack([on_cylinder(frame) for frame in frames])
    columns = projected.shape[2]
    most = max(1, int(LARGEST_TURN_DEG / FIELD_OF_VIEW_DEG * columns))
    column_deg = FIELD_OF_VIEW_DEG / columns
    shifts = (_peak(correlations(*pair, most)) - most for pair in pairwise(projected))
    return np.array([shift * column_deg for shift in shifts], np.float64)


def changes(frames: UInt8[np.ndarray, "T+1 H W 3"]) -> Float64[np.ndarray, " T"]:
    """Return the mean absolute difference of 8-bit levels from each frame to the next."""
    return np.array([cv2.absdiff(*pair).mean() for pair in pairwise(frames)], np.float64)


def on_cylinder(frame: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "n n"]:
    """Project the grey frame onto the cylinder, whose columns divide the field of view equally."""
    size = min(WIDTH, *frame.shape[:2])
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA)
    columns, rows = _frame_positions(size)
    return np.asarray(
        cv2.remap(small, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE)
    )


@cache
def _frame_positions(size: int) -> tuple[Float32[np.ndarray, "n n"], Float32[np.ndarray, "n n"]]:
    """Return the column and row in the frame of each point of the cylinder."""
    half = np.radians(FIELD_OF_VIEW_DEG / 2)
    focal_pixels = size / 2 / np.tan(half)
    angle = (np.arange(size) + 0.5) / size * 2 * half - half
    columns = np.tile(focal_pixels * np.tan(angle) + size / 2 - 0.5, (size, 1))
    rows = (np.arange(size)[:, None] + 0.5 - size / 2) / np.cos(angle) + size / 2 - 0.5
    return columns.astype(np.float32), rows.astype(np.float32)


@kernel(nogil=True)
def correlations(
    first: Float32[np.ndarray, "n n"], second: Float32[np.ndarray, "n n"], most: int
) -> Float64[np.ndarray, " shifts"]:
    """Return the correlation of two frames' overlap with the second turned by -most to most columns."""
    height, width = first.shape
    result = np.zeros(2 * most + 1)
    for shift in range(-most, most + 1):
        count = sum_a = sum_b = sum_aa = sum_bb = sum_ab = 0.0
        for row in range(height):
            for column in range(max(0, -shift), min(width, width - shift)):
                a, b = np.float64(first[row, column + shift]), np.float64(second[row, column])
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
                result[shift + most] = (sum_ab - sum_a * sum_b / count) / np.sqrt(spread)
    return result


def _peak(values: Float[np.ndarray, " n"]) -> float:
    """Return the fractional index of the greatest value, by the parabola through its neighbours."""
    index = int(values.argmax())
    if not 0 < index < len(values) - 1:
        return float(index)
    before, peak, after = values[index - 1 : index + 2]
    curvature = before - 2.0 * peak + after
    return index + (0.5 * (before - after) / curvature if curvature < 0 else 0.0)
