"""The memory horizon, compared with a second implementation in plain loops and on cases easy to check."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.results.bootstrap import bootstrap_interval, resampling_weights
from benchmark.results.recall import (
    age_curve,
    find_references,
    horizon_metric,
    memory_horizon,
    recall_gain,
    require_same_masks,
)
from benchmark.results.result_file import VERSION, read_result, write_result
from loopcraft.core.errors import UserError
from tests.fakes.benchmark_data import BINS, make_recall_result, make_result

NAN = float("nan")


# The second implementation: docs/recall.md with plain loops and the min-max formula of the fit.


def fit_decreasing(shares: list[float], weights: list[float]) -> list[float]:
    def mean(first: int, last: int) -> float:
        inside = range(first, last + 1)
        return sum(weights[i] * shares[i] for i in inside) / sum(weights[i] for i in inside)

    everyone = range(len(shares))
    return [min(max(mean(i, j) for j in everyone if j >= b) for i in everyone if i <= b) for b in everyone]


def share_and_weight(model, floor, ceiling, pixels, times, index) -> tuple[float, float] | None:
    gain = most = weight = 0.0
    for video, count in enumerate(times):
        values = [table[video][index] for table in (model, floor, ceiling)]
        if not any(math.isnan(value) for value in values):
            gain += count * (values[0] - values[1])
            most += count * (values[2] - values[1])
            weight += count * pixels[video][index]
    return (gain / most, weight) if most > 0 and weight > 0 else None


def plain_horizon(model, floor, ceiling, pixels, bins) -> tuple[str, float, float, float]:
    """Return the verdict, the frames and the interval, whose upper end is inf if open."""
    num_videos = len(model)

    def pool(times) -> dict[int, tuple[float, float]]:
        shares = {b: share_and_weight(model, floor, ceiling, pixels, times, b) for b in range(len(bins))}
        return {b: pair for b, pair in shares.items() if pair is not None}

    def fitted(shares: dict[int, tuple[float, float]]) -> dict[int, float]:
        fit = fit_decreasing(
            [share for share, _ in shares.values()], [weight for _, weight in shares.values()]
        )
        return dict(zip(shares, fit, strict=True))

    usable = list(pool([1.0] * num_videos))
    fit = fitted(pool([1.0] * num_videos))
    remembered = [b for b in usable if fit[b] > 0.5]
    if not remembered:
        verdict, frames = "none", 0.0
    elif remembered[-1] == usable[-1]:
        verdict, frames = "longer", bins[usable[-1]][1]
    else:
        here, next_bin = remembered[-1], usable[usable.index(remembered[-1]) + 1]
        x0, x1 = (math.log(math.sqrt(bins[b][0] * bins[b][1])) for b in (here, next_bin))
        verdict = "measured"
        frames = math.exp(x0 + (x1 - x0) * (fit[here] - 0.5) / (fit[here] - fit[next_bin]))
    lows, highs = [], []
    for times in resampling_weights(num_videos):
        shares = {b: pair for b, pair in pool(times).items() if b in usable}
        remembered = [b for b, value in fitted(shares).items() if value > 0.5] if shares else []
        after = usable[usable.index(remembered[-1]) + 1 :] if remembered else usable
        lows.append(bins[remembered[-1]][0] if remembered else 0)
        highs.append(bins[after[0]][1] if after else math.inf)
    lows.sort()
    highs.sort()
    return verdict, frames, lows[int(0.025 * (len(lows) - 1))], highs[math.ceil(0.975 * (len(highs) - 1))]


def tables(seed: int, num_videos: int, num_bins: int) -> tuple[np.ndarray, ...]:
    """Draw scores (model, floor, ceiling) and pixels; some videos lack some bins."""
    rng = np.random.default_rng(seed)
    floor = rng.normal(0.3, 0.05, (num_videos, num_bins))
    ceiling = rng.normal(0.9, 0.05, (num_videos, num_bins))
    share = 1 / (1 + np.exp((np.arange(num_bins) - rng.uniform(-1, num_bins)) * rng.choice([1, 4])))
    model = floor + share * (ceiling - floor) + rng.normal(0, 0.1, floor.shape)
    pixels = rng.integers(1, 2000, floor.shape)
    missing = rng.random(floor.shape) < 0.2
    for table in (floor, ceiling, model):
        table[missing] = NAN
    return model, floor, ceiling, np.where(missing, 0, pixels)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(1, 5))
def test_the_horizon_matches_plain_loops(seed: int, num_videos: int, num_bins: int) -> None:
    model, floor, ceiling, pixels = (np.round(t, 4) for t in tables(seed, num_videos, num_bins))
    bins = BINS[:num_bins]
    runs = (make_recall_result(table, ages=bins, pixels=pixels) for table in (model, floor, ceiling))
    horizon = memory_horizon(*runs, "ssim")
    if np.isnan(model).all():
        assert horizon is None
        return
    verdict, frames, low, high = plain_horizon(model, floor, ceiling, pixels, bins)
    assert horizon is not None
    assert horizon.verdict == verdict
    assert horizon.frames == pytest.approx(frames)
    assert horizon.interval == (low, None if math.isinf(high) else high)


def flat(*values: float, num_videos: int = 4) -> np.ndarray:
    return np.tile(np.array(values, float), (num_videos, 1))


FLOOR, CEILING = flat(0.2, 0.2, 0.2, 0.2, 0.2), flat(1.0, 1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("model", "text", "verdict", "frames"),
    [
        (flat(1, 1, 1, 0.2, 0.2), "65 [33, 128]", "measured", math.sqrt(math.sqrt(33 * 64 * 65 * 128))),
        (flat(1, 0.2, 0.2, 0.2, 0.2), "10 [1, 32]", "measured", math.sqrt(math.sqrt(16 * 17 * 32))),
        (flat(0.9, 0.9, 0.9, 0.9, 0.9), "longer than 256 [129, ∞]", "longer", 256),
        (flat(0.5, 0.3, 0.3, 0.3, 0.3), "none", "none", 0),
        (flat(0.2, 0.2, 0.2, 0.2, 1.0), "none", "none", 0),  # it knows only the oldest, which is no memory
        (flat(0.2, 1.0, 1.0, 0.2, 0.2), "65 [33, 128]", None, None),  # a dip in a few frames is smoothed
    ],
)
def test_horizons_of_simple_cases(model, text: str, verdict, frames) -> None:
    horizon = memory_horizon(
        make_recall_result(model), make_recall_result(FLOOR), make_recall_result(CEILING), "ssim"
    )
    assert horizon is not None
    if verdict is None:
        assert horizon.verdict == "measured"
        assert horizon.interval == (33, 128)
        return
    assert str(horizon) == text
    assert (horizon.verdict, horizon.frames) == (verdict, pytest.approx(frames))


def test_lower_scores_may_be_better() -> None:
    flipped = [
        make_recall_result(1 - table, higher_is_better=False)
        for table in (flat(1, 1, 1, 0.2, 0.2), FLOOR, CEILING)
    ]
    straight = [make_recall_result(table) for table in (flat(1, 1, 1, 0.2, 0.2), FLOOR, CEILING)]
    assert memory_horizon(*flipped, "ssim") == memory_horizon(*straight, "ssim")


def test_one_video_has_a_horizon_and_no_interval() -> None:
    one = [make_recall_result(table[:1]) for table in (flat(1, 1, 1, 0.2, 0.2), FLOOR, CEILING)]
    horizon = memory_horizon(*one, "ssim")
    assert horizon is not None
    assert horizon.interval is None
    assert str(horizon) == "65"


def test_a_bin_whose_ceiling_is_no_better_than_the_floor_is_ignored() -> None:
    ceiling = flat(1, 1, 1, 0.2, 1.0)
    horizon = memory_horizon(
        make_recall_result(flat(1, 1, 1, 0.2, 0.2)),
        make_recall_result(FLOOR),
        make_recall_result(ceiling),
        "ssim",
    )
    assert horizon is not None
    assert [(point.first, point.last) for point in horizon.points] == [ages for ages in BINS if ages[0] != 65]
    assert (
        memory_horizon(
            make_recall_result(FLOOR), make_recall_result(CEILING), make_recall_result(FLOOR), "ssim"
        )
        is None
    )


def test_videos_are_paired_by_key() -> None:
    rng = np.random.default_rng(0)
    model, floor, ceiling, pixels = tables(3, 6, 5)
    runs = [make_recall_result(table, pixels=pixels) for table in (model, floor, ceiling)]
    whole = memory_horizon(*runs, "ssim")
    more = [np.vstack([table, rng.random((1, 5))]) for table in (floor, ceiling)]
    extra = np.vstack([pixels, np.ones((1, 5))])
    others = [make_recall_result(table, pixels=extra) for table in more]
    assert memory_horizon(runs[0], *others, "ssim") == whole


def test_other_masks_are_refused() -> None:
    other = make_recall_result(FLOOR, name="other", pixels=np.full(FLOOR.shape, 7))
    message = r"the model \(model\) and the floor \(other\) .* different recall masks \(video 000/000\)"
    with pytest.raises(UserError, match=message):
        memory_horizon(make_recall_result(CEILING), other, make_recall_result(CEILING), "ssim")
    require_same_masks(
        {"a": make_recall_result(FLOOR), "b": make_recall_result(CEILING), "old": make_result()}
    )


def test_only_kinds_in_both_results_are_compared() -> None:
    fine = make_recall_result(FLOOR)
    ages = ((1, 64), (65, 256))
    coarse = make_recall_result(FLOOR[:, :2], ages=ages, pixels=np.full(FLOOR[:, :2].shape, 7))
    require_same_masks({"fine": fine, "coarse": coarse})
    assert memory_horizon(coarse, fine, fine, "ssim") is None  # no bin in common
    recall = coarse.recall
    assert recall is not None
    sky = dataclasses.replace(recall.pixels, sky=tuple(count + 1 for count in recall.pixels.sky))
    other = dataclasses.replace(coarse, recall=dataclasses.replace(recall, pixels=sky))
    with pytest.raises(UserError, match="different recall masks"):
        require_same_masks({"fine": fine, "other": other})


def test_a_result_without_recall_has_no_horizon() -> None:
    assert memory_horizon(make_result(), make_result(), make_result(), "psnr") is None
    assert recall_gain(make_result(), "psnr") is None
    assert age_curve(make_result(), "psnr") == ()


def test_the_gain_is_paired_video_by_video() -> None:
    by_age = np.array([[0.5, NAN], [0.75, 0.25], [NAN, NAN], [1.0, 1.0]])
    never = np.array([0.25, 0.5, 0.5, NAN])
    gain = recall_gain(make_recall_result(by_age, ages=BINS[:2], never_shown=never), "ssim")
    assert gain is not None
    assert gain.videos == (0.25, 0.0, None, None)
    assert gain.estimate.mean == pytest.approx((0.25 + 0.0) / 2)
    interval = tuple(map(float, bootstrap_interval(np.array([0.25, 0.0]))))
    assert gain.estimate.interval == pytest.approx(interval)
    worse = recall_gain(
        make_recall_result(by_age, ages=BINS[:2], never_shown=never, higher_is_better=False), "ssim"
    )
    assert worse is not None
    assert worse.estimate.mean == pytest.approx(-gain.estimate.mean)


def test_the_curve_has_the_bins_of_any_video() -> None:
    by_age = np.array([[0.5, NAN, NAN], [0.75, 0.25, NAN]])
    first, second = age_curve(make_recall_result(by_age, ages=BINS[:3]), "ssim")
    assert (first.first, first.last, first.num_videos) == (1, 16, 2)
    assert first.estimate.mean == 0.625
    assert second.num_videos == 1
    assert second.estimate.interval is None
    assert first.share == pytest.approx(200 / (2 * 150 + 300))


def test_references_are_found_by_name() -> None:
    floor, truth = (
        make_recall_result(FLOOR, name="other-video"),
        make_recall_result(CEILING, name="ground-truth"),
    )
    best = make_recall_result(CEILING, name="autoencoded")
    assert find_references({"a": floor, "b": truth}) == (floor, truth)
    assert find_references({"a": floor, "b": truth, "c": best}) == (floor, best)
    assert find_references({"a": truth, "b": make_result("other-video")}) is None
    assert horizon_metric(floor, truth) == "ssim"
    assert horizon_metric(floor, make_result()) is None


# The file.


def test_recall_survives_the_file_in_key_order(tmp_path) -> None:
    result = make_recall_result(tables(1, 4, 5)[0], pixels=tables(1, 4, 5)[3])
    write_result(tmp_path / "result.json", result)
    assert read_result(tmp_path / "result.json") == result
    document = json.loads((tmp_path / "result.json").read_text())
    del document["sha256"]  # foreign files have none
    reversed_document = reverse_videos(document)
    (tmp_path / "result.json").write_text(json.dumps(reversed_document))
    assert read_result(tmp_path / "result.json") == result


def reverse_videos(value: object, key: str = "") -> object:
    """Reverse the order of videos in a result document."""
    if isinstance(value, dict):
        return {name: reverse_videos(item, name) for name, item in value.items()}
    if isinstance(value, list) and key in ("keys", "videos", "sky", "never_shown", "in_sight"):
        return value[::-1]
    if isinstance(value, list) and key in ("short", "medium", "long"):
        return value[::-1]
    if isinstance(value, list) and key == "by_age":
        return [item[::-1] if isinstance(item, list) else reverse_videos(item) for item in value]
    return value


def test_files_of_version_1_are_read() -> None:
    """This project wrote the file before results had recall and steering."""
    path = Path(__file__).parent / "old" / "version-1.json"
    assert json.loads(path.read_text())["version"] == 1
    result = read_result(path)
    assert (result.version, result.recall, result.steering) == (VERSION, None, None)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("ages", [[1, 16], [10, 32]], "recall.ages: expected bins of frames, each after"),
        ("ages", [[1, 16], [32, 17]], "recall.ages: expected bins of frames, each after"),
        ("ages", [[1, 16]], "recall.pixels.by_age: expected an entry for each of ages"),
        ("pixels.sky", [1, 2], "recall.pixels.sky: expected a count for each"),
        ("pixels.by_age.0", [1, 2, 3, -4], r"recall.pixels.by_age\[0\]: expected a count"),
        ("metrics.ssim.by_age", [], "recall.metrics.ssim.by_age: expected an entry for each of ages"),
        ("metrics.ssim.card.decimals", 400, "recall.metrics.ssim.card.decimals: expected 0 to 12"),
        ("metrics.ssim.card.name", "../x", "recall.metrics.ssim.card.name: expected 'ssim'"),
        ("metrics.ssim.returned.videos", [0.5], "ssim.returned.videos: expected an entry for each"),
        ("metrics.ssim.returned.estimate.mean", 0.9, "returned.estimate: the mean 0.9 is outside"),
        ("metrics.ssim.by_age.1.videos", [0.9, 0.9, 0.9, 0.9], r"by_age\[1\].estimate.mean: is"),
        ("metrics.ssim.by_age.1.estimate", None, r"by_age\[1\].estimate: expected an estimate if"),
        ("metrics.ssim.by_age.0.videos", [None] * 4, r"by_age\[0\].estimate: expected an estimate if"),
        ("metrics.ssim.returned.videos.0", float("nan"), "NaN is not a valid JSON number"),
    ],
)
def test_a_bad_field_of_recall_is_named(tmp_path, path: str, value: object, message: str) -> None:
    document = json.loads(json.dumps(dataclasses.asdict(make_recall_result(flat(0.5, 0.25), ages=BINS[:2]))))
    *parents, last = path.split(".")
    node = document["recall"]
    for parent in parents:
        node = node[int(parent) if parent.isdigit() else parent]
    node[int(last) if last.isdigit() else last] = value
    (tmp_path / "result.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=message):
        read_result(tmp_path / "result.json")
