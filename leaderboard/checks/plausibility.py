"""Check that scores are plausible for a model: within the metric's range and unlike the truth itself."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmark.results.result_file import MetricCard, Result
from leaderboard.checks.findings import Finding, marked, refused
from leaderboard.entry.folder import Entry

RANGES = {
    "psnr": (0.0, 100.0),
    "ssim": (-1.0, 1.0),
    "ms_ssim": (-1.0, 1.0),
    "lpips": (0.0, 2.0),
    "dinov2": (-1.0, 1.0),
    "lightglue": (0.0, 2048.0),
    "lightglue_aliked": (0.0, 2048.0),
    "sift": (0.0, 1024.0),
}
"""Possible scores of a frame; the better end is the score of the true frame."""
LIKE_TRUTH = {"psnr": 50.0, "ssim": 0.999, "ms_ssim": 0.9995, "lpips": 0.0005, "dinov2": 0.9999}
"""A video's window score this good or better must come from (nearly) the true frames."""
REFERENCES = ("ground-truth", "copy-last", "other-video", "autoencoded")
"""Names of the references, which no model may use."""
FEWEST_FOR_AGREEMENT = 16
LEAST_AGREEMENT = 0.2
"""Lowest plausible correlation with copy-last over videos in the first window; our rows have at least 0.8."""


def check_plausibility(result: Result, others: Sequence[Entry]) -> Iterator[Finding]:
    """Yield what is impossible or strange, also compared with `others`, the other rows of the table."""
    yield from _check_role(result)
    if "; " in result.provenance.code:
        yield marked(
            f"its videos were scored by several versions of the code ({result.provenance.code[:200]})",
            "score all videos again in a new folder",
        )
    yield from _check_ranges(result)
    if result.model.name != "ground-truth":
        yield from _check_unlike_truth(result)
    yield from _check_beside(result, others)


def _check_role(result: Result) -> Iterator[Finding]:
    model = result.model
    if model.role == "bound" and model.name not in REFERENCES:
        yield refused(
            f"{model.name[:60]!r} claims to be a reference",
            f"references are only {', '.join(REFERENCES)}; submit it as a model",
        )
    if model.role == "model" and model.name in REFERENCES:
        yield refused(f"a model is named {model.name}", "choose a name that is not a reference's")
    if model.role == "model" and model.source == "playback":
        yield marked(
            "its frames were submitted as files, not rolled out by the benchmark",
            "score the model itself with --model",
        )
    if model.role == "model" and model.source == "rollout" and model.checkpoint_sha256 is None:
        yield marked("its weights are not identified", "give the model a checkpoint_sha256")


def _check_ranges(result: Result) -> Iterator[Finding]:
    """Refuse values outside a metric's range: nothing beats the truth."""
    for name, metric in result.headline.items():
        if name not in RANGES or metric.videos is None:
            continue
        low, high = RANGES[name]
        for window, values in metric.videos.items():
            worst = max(values) if max(values) > high else min(values)
            if not low - 1e-6 <= worst <= high + 1e-6:
                yield refused(
                    f"metrics.{name}.videos.{window} has a value of {worst:.6g}, but {metric.card.title} is "
                    f"always between {low:g} and {high:g}",
                    "submit the result file as benchmark.run wrote it",
                )


def _check_unlike_truth(result: Result) -> Iterator[Finding]:
    """Refuse results with a video scored on its own true frames."""
    for name, limit in LIKE_TRUTH.items():
        metric = result.headline.get(name)
        if metric is None or metric.videos is None:
            continue
        sign = 1 if metric.card.higher_is_better else -1
        for window, values in metric.videos.items():
            for key, value in zip(result.data.keys, values, strict=True):
                if sign * value >= sign * limit:
                    yield refused(
                        f"video {key} has {metric.card.title} {value:.6g} in the {window} window, which "
                        "only true frames reach",
                        "score the frames that the model generated",
                    )
                    return


def _check_beside(result: Result, others: Sequence[Entry]) -> Iterator[Finding]:
    """Compare metrics, difficulty of videos and quality with the other rows of the table."""
    for other in others:
        yield from _check_same_metrics(result, other)
    if result.model.role != "model":
        return
    for name, check in (("copy-last", _check_agreement), ("autoencoded", _check_below)):
        reference = next((other.result for other in others if other.result.model.name == name), None)
        if reference is not None:
            yield from check(result, reference)


def _check_same_metrics(result: Result, other: Entry) -> Iterator[Finding]:
    shared = result.metrics.keys() & other.result.metrics.keys()
    for name in sorted(shared):
        card, reference = result.metrics[name].card, other.result.metrics[name].card
        if (card.version, dict(card.weights)) != (reference.version, dict(reference.weights)):
            yield refused(
                f"the version or weights of {name} differ from those in {other.id}",
                "score with this version and the weights of benchmark.weights",
            )
        elif _meaning(card) != _meaning(reference):
            yield refused(
                f"the card of {name} differs from that in {other.id}", "do not edit the result file"
            )
    copied = [
        name
        for name in sorted(shared)
        if result.metrics[name].videos and result.metrics[name].videos == other.result.metrics[name].videos
    ]
    if copied and result.model.role == "model":
        yield refused(
            f"its {copied[0]} equals that of {other.id} to the last digit",
            "submit only your own result, once",
        )


def _meaning(card: MetricCard) -> tuple[object, ...]:
    return card.title, card.unit, card.higher_is_better, card.kind


def _check_agreement(result: Result, reference: Result) -> Iterator[Finding]:
    """Mark scores that hardly correlate with copy-last's over videos: they may be joined to wrong videos."""
    shared = [
        name for name in ("psnr", "ssim", "lpips") if name in result.metrics and name in reference.metrics
    ]
    if not shared or result.data.keys != reference.data.keys or len(result.data.keys) < FEWEST_FOR_AGREEMENT:
        return
    window = result.protocol.windows[0].name
    values, expected = (np.array((r.metrics[shared[0]].videos or {})[window]) for r in (result, reference))
    if values.std() == 0 or expected.std() == 0:
        return
    correlation = float(np.corrcoef(values, expected)[0, 1])
    if correlation < LEAST_AGREEMENT:
        yield marked(
            f"its scores hardly correlate with copy-last's over videos ({correlation:.2f} in the {window} "
            "window): they may be joined to other videos",
            "join predictions to videos by their keys",
        )


def _check_below(result: Result, autoencoded: Result) -> Iterator[Finding]:
    """Mark predictions closer to the truth than the truth passed through an autoencoder."""
    window = result.protocol.windows[-1].name
    name = "psnr"
    if name in result.metrics and name in autoencoded.metrics:
        mean, bound = (run.metrics[name].windows[window].mean for run in (result, autoencoded))
        if mean >= bound:
            yield marked(
                f"in the {window} window it has {mean:.2f} dB, more than true frames passed through the "
                f"project's autoencoder ({bound:.2f}): it may have been made from true frames",
                "explain in the card how it was made",
            )
