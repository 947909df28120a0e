"""The number of matching SIFT features of two frames: view consistency without pretrained weights.

A match is a pair of mutual nearest neighbours that pass the ratio test in both directions: the nearest is
less than 0.8 times as far as the second nearest. The features are the 1024 strongest of OpenCV's SIFT on the
grey frame. Frames without texture have no features and thus no matches, not even with themselves.
"""

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from benchmark.metrics.base import Mapped, MapTitle, PairedMetric
from loopcraft.core.jit import kernel

MAX_FEATURES = 1024
RATIO_SQUARED = (16, 25)
"""The ratio 4/5 for squared distances, which are integers, so that rounding never decides a match."""

Descriptors = Float32[np.ndarray, "K 128"]


def sift(
    predicted: UInt8[np.ndarray, "N H W 3"], target: UInt8[np.ndarray, "N H W 3"]
) -> Float32[np.ndarray, " N"]:
    """Return the number of matches of each pair of frames."""
    pairs = zip(predicted, target, strict=True)
    return np.array([len(matches(describe(a), describe(b))) for a, b in pairs], np.float32)


def sift_map(predicted: UInt8[np.ndarray, "N H W 3"], target: UInt8[np.ndarray, "N H W 3"]) -> Mapped:
    """Return `sift` with its map: over a set of pixels, the share of the true features that are matched."""
    values = np.zeros(len(predicted), np.float32)
    matched_counts, true_counts = np.zeros((2, *predicted.shape[:3]), np.float32)
    for n, pair in enumerate(zip(predicted, target, strict=True)):
        (_, generated), (positions, true) = map(features, pair)
        matched = matches(generated, true)
        values[n] = len(matched)
        np.add.at(true_counts[n], tuple(positions.T), 1.0)
        np.add.at(matched_counts[n], tuple(positions[matched].T), 1.0)
    return Mapped(values, matched_counts, true_counts)


def describe(frame: UInt8[np.ndarray, "H W 3"]) -> Descriptors:
    """Return the frame's SIFT descriptors, integers from 0 to 255; K may be 0."""
    return features(frame)[1]


def features(frame: UInt8[np.ndarray, "H W 3"]) -> tuple[Int64[np.ndarray, "K 2"], Descriptors]:
    """Return the row and column of each SIFT feature of the frame, and its descriptor."""
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    extractor = cv2.SIFT_create(nfeatures=MAX_FEATURES)  # type: ignore[attr-defined]
    points, descriptors = extractor.detectAndCompute(grey, None)
    if descriptors is None:
        return np.zeros((0, 2), np.int64), np.zeros((0, 128), np.float32)
    rows_and_columns = np.array([point.pt[::-1] for point in points]).round().astype(np.int64)
    return rows_and_columns.clip(0, np.array(grey.shape) - 1), descriptors


def matches(first: Descriptors, second: Descriptors) -> Int64[np.ndarray, " matches"]:
    """Return the indices in `second` of mutual nearest neighbours that pass the ratio test both ways."""
    if min(len(first), len(second)) < 2:
        return np.zeros(0, np.int64)  # the ratio test needs a second nearest
    squares = [np.square(d).sum(axis=1) for d in (first, second)]
    # exact in float32: products of such vectors are integers below 2^24
    distances = squares[0][:, None] + squares[1] - 2.0 * (first @ second.T)
    return clear_pairs(distances, *RATIO_SQUARED)


@kernel(nogil=True)
def clear_pairs(
    distances: Float32[np.ndarray, "K L"], numerator: int, denominator: int
) -> Int64[np.ndarray, " matches"]:
    """Return the columns whose smallest entry is also its row's, both by the ratio, in one pass."""
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
    columns = np.empty(num_rows, np.int64)
    for row in range(num_rows):
        column = row_choice[row]
        is_mutual = column >= 0 and column_row[column] == row
        if is_mutual and denominator * column_best[column] < numerator * column_second[column]:
            columns[count] = column
            count += 1
    return columns[:count]


SIFT = PairedMetric(
    name="sift",
    version=1,
    title="SIFT",
    unit="matches",
    higher_is_better=True,
    decimals=1,
    load=lambda resources: sift,
    load_map=lambda resources: sift_map,
    map_title=MapTitle(title="SIFT features found again", unit="", decimals=3),
)
