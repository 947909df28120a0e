"""Kinds of pixels, age bins, and sums over them compared with plain numpy."""

import numpy as np
import pytest

from benchmark.harness.recall_scores import PSNR, value_of
from benchmark.memory.kinds import (
    BINS,
    IN_SIGHT,
    NEW,
    NUM_KINDS,
    OLD_BINS,
    RETURNED,
    SKY,
    errors_by_kind,
    merge_to_old_bins,
    pixel_kinds,
    sums_by_kind,
)


@pytest.mark.parametrize("bins", [BINS, OLD_BINS])
def test_bins_hold_every_age_once(bins) -> None:
    assert [age for ages in bins for age in ages] == list(range(1, (1 << 16) + 1))


def test_the_bins_match_the_docs() -> None:
    assert [ages[-1] for ages in BINS[:12]] == [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256]
    assert [ages[-1] for ages in BINS[12:22]] == [320, 384, 448, 512, 640, 768, 896, 1024, 2048, 4096]
    assert [(ages[0], ages[-1]) for ages in OLD_BINS[:4]] == [(1, 64), (65, 128), (129, 256), (257, 512)]


def test_old_bins_are_sums_of_finer_bins() -> None:
    sums = np.random.default_rng(0).integers(0, 100, (3, NUM_KINDS)).astype(float)
    old = merge_to_old_bins(sums)
    for index, ages in enumerate(OLD_BINS):
        inside = [fine_index for fine_index, bin_ in enumerate(BINS) if set(bin_) <= set(ages)]
        np.testing.assert_array_equal(old[:, RETURNED + index], sums[:, RETURNED:][:, inside].sum(axis=1))
    np.testing.assert_array_equal(old[:, :RETURNED], sums[:, :RETURNED])
    np.testing.assert_array_equal(merge_to_old_bins(old), old)


def test_every_pixel_has_one_kind() -> None:
    rows = {  # kind: seen, age, sky
        SKY: (False, 0, True),
        NEW: (False, 0, False),
        IN_SIGHT: (True, 0, False),
        RETURNED: (True, 16, False),
        RETURNED + 1: (True, 17, False),
        RETURNED + 8: (True, 129, False),
        RETURNED + len(BINS) - 1: (True, 65535, False),
    }
    seen, age, sky = (np.array(column).reshape(1, 1, -1) for column in zip(*rows.values(), strict=True))
    kinds = pixel_kinds({"seen": seen, "age": age.astype(np.uint16), "sky": sky})
    assert kinds.ravel().tolist() == list(rows)


def test_errors_are_plain_sums() -> None:
    rng = np.random.default_rng(0)
    predicted, target = rng.integers(0, 256, (2, 3, 8, 12, 3), dtype=np.uint8)
    predicted[0], target[0] = 255, 0  # the largest possible error
    kinds = rng.integers(0, NUM_KINDS, (3, 8, 12), dtype=np.uint8)
    squared = ((predicted.astype(float) - target) ** 2).sum(axis=-1)
    expected = [
        [squared[n][kinds[n] == kind].sum() for kind in range(NUM_KINDS)]
        + [(kinds[n] == kind).sum() for kind in range(NUM_KINDS)]
        for n in range(3)
    ]
    np.testing.assert_array_equal(errors_by_kind(predicted, target, kinds), expected)


def test_psnr_is_over_all_pixels_of_a_video_that_has_any() -> None:
    sums = np.zeros((2, NUM_KINDS))
    sums[:, RETURNED], sums[:, RETURNED + 1] = (300, 3 * 1), (0, 3 * 3)
    value = value_of(PSNR, sums, slice(RETURNED, None))
    assert value == pytest.approx(20 * np.log10(255 / 5))  # mean squared error 300 / (3 x 4)
    assert value_of(PSNR, sums, [RETURNED + 1]) == 100.0
    assert np.isnan(value_of(PSNR, sums, [NEW]))


def test_sums_of_maps_are_plain_sums() -> None:
    rng = np.random.default_rng(0)
    maps = rng.random((3, 8, 12), dtype=np.float32)
    kinds = rng.integers(0, NUM_KINDS, maps.shape, dtype=np.uint8)
    expected = [[maps[n][kinds[n] == kind].sum() for kind in range(NUM_KINDS)] for n in range(3)]
    np.testing.assert_allclose(sums_by_kind(maps, kinds), expected, rtol=1e-6)


def test_a_maps_mean_is_over_all_pixels_of_a_video_that_has_any() -> None:
    sums = np.zeros((2, NUM_KINDS))
    sums[0, RETURNED : RETURNED + 2], sums[1, RETURNED : RETURNED + 2] = (3.0, 1.0), (1, 7)
    assert value_of("red", sums, slice(RETURNED, None)) == 0.5
    assert np.isnan(value_of("red", sums, [SKY]))
