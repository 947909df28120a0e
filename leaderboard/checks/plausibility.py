"""Whether the numbers can be those of a model: within what the metric allows, and unlike the truth itself."""

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
"""What a frame's score can be; the better end of it is that of the true frame."""
LIKE_TRUTH = {"psnr": 50.0, "ssim": 0.999, "ms_ssim": 0.9995, "lpips": 0.0005, "dinov2": 0.9999}
"""A window's value of a video beyond this was computed on (nearly) the true frames."""
REFERENCES = ("ground-truth", "copy-last", "other-video", "autoencoded")
"""The names of the references; a model that rolls out is none."""
FEWEST_FOR_AGREEMENT = 16
LEAST_AGREEMENT = 0.2
"""Correlation with copy-last over videos in the first window; honest rows of ours have 0.8 and more."""


def check_plausibility(result: Result, others: Sequence[Entry]) -> Iterator[Finding]:
    """What is impossible or strange, also beside `others`, the rows of the same table."""
    yield from _check_role(result)
    if "; " in result.provenance.code:
        yield marked(
            f"its videos were scored by several versions of the code ({result.provenance.code[:200]})",
            "score all in a new folder",
        )
    yield from _check_ranges(result)
    if result.model.name != "ground-truth":
        yield from _check_unlike_truth(result)
    yield from _check_beside(result, others)


def _check_role(result: Result) -> Iterator[Finding]:
    model = result.model
    if model.role == "bound" and model.name not in REFERENCES:
        yield refused(
            f"{model.name[:60]!r} calls itself a reference",
            f"references are {', '.join(REFERENCES)}; submit a model",
        )
    if model.role == "model" and model.name in REFERENCES:
        yield refused(f"a model is called {model.name}", "that is the name of a reference; choose another")
    if model.role == "model" and model.source == "playback":
        yield marked(
            "its frames were handed in and looked up, not rolled out under the benchmark's eyes",
            "score the model itself by --model",
        )
    if model.role == "model" and model.source == "rollout" and model.checkpoint_sha256 is None:
        yield marked("it does not say which weights it used", "give the model a checkpoint_sha256")


def _check_ranges(result: Result) -> Iterator[Finding]:
    """No value lies beyond what its metric can give: nothing beats the truth."""
    for name, metric in result.headline.items():
        if name not in RANGES or metric.videos is None:
            continue
        low, high = RANGES[name]
        for window, values in metric.videos.items():
            worst = max(values) if max(values) > high else min(values)
            if not low - 1e-6 <= worst <= high + 1e-6:
                yield refused(
                    f"metrics.{name}.videos.{window} holds {worst:.6g}, and {metric.card.title} lies within "
                    f"{low:g} and {high:g}: no frames give that",
                    "submit the result file as benchmark.run wrote it",
                )


def _check_unlike_truth(result: Result) -> Iterator[Finding]:
    """No video was scored on its own true frames."""
    for name, limit in LIKE_TRUTH.items():
        metric = result.headline.get(name)
        if metric is None or metric.videos is None:
            continue
        sign = 1 if metric.card.higher_is_better else -1
        found = [
            (result.data.keys[place], window, value)
            for window, values in metric.videos.items()
            for place, value in enumerate(values)
            if sign * value >= sign * limit
        ]
        if found:
            key, window, value = found[0]
            yield refused(
                f"video {key} has {metric.card.title} {value:.6g} in the {window} window: "
                "those are the true frames",
                "score what the model generated",
            )
            return


def _check_beside(result: Result, others: Sequence[Entry]) -> Iterator[Finding]:
    """Metric versions and weights are those of the table, and its videos are the ones that the others saw."""
    for other in others:
        yield from _check_same_metrics(result, other)
    copy_last = next((other.result for other in others if other.result.model.name == "copy-last"), None)
    if copy_last is not None and result.model.role == "model":
        yield from _check_agreement(result, copy_last)
    autoencoded = next((other.result for other in others if other.result.model.name == "autoencoded"), None)
    if autoencoded is not None and result.model.role == "model":
        yield from _check_below(result, autoencoded)


def _check_same_metrics(result: Result, other: Entry) -> Iterator[Finding]:
    shared = result.metrics.keys() & other.result.metrics.keys()
    for name in sorted(shared):
        here, there = result.metrics[name].card, other.result.metrics[name].card
        if (here.version, dict(here.weights)) != (there.version, dict(there.weights)):
            yield refused(
                f"{name} was computed by another version or with other weights than in {other.id}",
                "score with the weights of benchmark.weights and this version",
            )
        elif _meaning(here) != _meaning(there):
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
            f"its {copied[0]} is that of {other.id} to the last digit", "submit a result once, and your own"
        )


def _meaning(card: MetricCard) -> tuple[object, ...]:
    return card.title, card.unit, card.higher_is_better, card.kind


def _check_agreement(result: Result, reference: Result) -> Iterator[Finding]:
    """Easy videos are easy for everybody: values that follow other videos were joined by position."""
    shared = [
        name for name in ("psnr", "ssim", "lpips") if name in result.metrics and name in reference.metrics
    ]
    if not shared or result.data.keys != reference.data.keys or len(result.data.keys) < FEWEST_FOR_AGREEMENT:
        return
    window = result.protocol.windows[0].name
    one, other = (np.array((run.metrics[shared[0]].videos or {})[window]) for run in (result, reference))
    if (
        one.std() > 0
        and other.std() > 0
        and (found := float(np.corrcoef(one, other)[0, 1])) < LEAST_AGREEMENT
    ):
        yield marked(
            f"its videos are easy and hard where copy-last's are not (correlation {found:.2f} in the "
            f"{window} window): scores may have been joined to other videos",
            "join predictions to videos by their keys",
        )


def _check_below(result: Result, autoencoded: Result) -> Iterator[Finding]:
    """A prediction that is closer to the truth than the truth through an autoencoder was hardly predicted."""
    window = result.protocol.windows[-1].name
    name = "psnr"
    if name in result.metrics and name in autoencoded.metrics:
        here, there = (run.metrics[name].windows[window].mean for run in (result, autoencoded))
        if here >= there:
            yield marked(
                f"in the {window} window it has {here:.2f} dB, more than true frames through the box's "
                f"autoencoder ({there:.2f}): it may have been made from true frames",
                "say in the card how it was made",
            )
