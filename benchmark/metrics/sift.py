"""How many SIFT features of two frames match: a view's consistency without pretrained weights.

A match is a pair of features that are each other's nearest, and clearly so: each is at most 0.8 times as far
as the second nearest, in both directions. OpenCV's SIFT on the grey frame, its 1024 strongest features.
Frames without texture have no features, hence no matches, not even with themselves.
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from loopcraft.core.jit import kernel

MAX_FEATURES = 1024
RATIO_SQUARED = (16, 25)
"""The ratio 4/5 on squared distances: they are integers, so that no rounding decides a match."""

Descriptors = Float32[np.ndarray, "K 128"]


def sift(
    predicted: UInt8[np.ndarray, "N H W 3"], target: UInt8[np.ndarray, "N H W 3"]
) -> Float32[np.ndarray, " N"]:
    """Number of matches of each pair of frames."""
    pairs = zip(predicted, target, strict=True)
    return np.array([count_matches(describe(a), describe(b)) for a, b in pairs], np.float32)


def describe(frame: UInt8[np.ndarray, "H W 3"]) -> Descriptors:
    """The frame's SIFT descriptors, integers from 0 to 255; K may be 0."""
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    extractor = cv2.SIFT_create(nfeatures=MAX_FEATURES)  # type: ignore[attr-defined]
    descriptors = extractor.detectAndCompute(grey, None)[1]
    return np.zeros((0, 128), np.float32) if descriptors is None else descriptors


def count_matches(first: Descriptors, second: Descriptors) -> int:
    """Number of mutual nearest pairs that pass the ratio test both ways."""
    if min(len(first), len(second)) < 2:
        return 0  # no second nearest to tell apart from
    squares = [np.square(d).sum(axis=1) for d in (first, second)]
    # exact in float32: products of such vectors are integers below 2^24
    distances = squares[0][:, None] + squares[1] - 2.0 * (first @ second.T)
    return int(count_clear_pairs(distances, *RATIO_SQUARED))


@kernel(nogil=True)
def count_clear_pairs(distances: Float32[np.ndarray, "K L"], numerator: int, denominator: int) -> int:
    """Entries that are the least of their row and column, by the ratio, in one pass over the matrix."""
    num_rows, num_columns = distances.shape
    far = np.float32(np.inf)
    column_best, column_second = np.full(num_columns, far), np.full(num_columns, far)
    column_row = np.full(num_columns, -1)
    row_choice = np.full(num_rows, -1)
    for row in range(num_rows):
        best = second = far
        choice = -1
        for column in range(num_columns):
            distance = distances[row, column]
            if distance < best:
                best, second, choice = distance, best, column
            elif distance < second:
                second = distance
            if distance < column_best[column]:
                column_second[column] = column_best[column]
                column_best[column] = distance
                column_row[column] = row
            elif distance < column_second[column]:
                column_second[column] = distance
        if denominator * best < numerator * second:
            row_choice[row] = choice
    count = 0
    for row in range(num_rows):
        column = row_choice[row]
        if column >= 0 and column_row[column] == row:
            count += denominator * column_best[column] < numerator * column_second[column]
    return count
