"""Print a Markdown table of every metric's response to six controlled degradations of true frames.

The table is a scale for reading scores. The last 64 frames of each episode stand in for generated frames. A
metric whose weights are missing keeps its column, with the reason below the table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from benchmark.contract.data import load_frames
from benchmark.harness.score import Scorer
from benchmark.harness.score_files import feature_names
from benchmark.metrics import METRICS
from benchmark.metrics.base import Metric, PairedMetric, Resources, SetMetric
from benchmark.weight_files.bundle import open_bundle
from loopcraft.core.cli import run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.files import whole_file
from loopcraft.core.urls import as_given
from loopcraft.core.writing import writing_to
from loopcraft.dataset import open_dataset

Videos = UInt8[np.ndarray, "B T H W 3"]

NUM_FRAMES = 64
SLOW_METRICS, STRIDE = ("lightglue", "lightglue_aliked"), 16
"""Metrics that take seconds per pair without a GPU, and the stride of the frames on which they run."""
BEGIN, END = "<!-- made by benchmark.perturbations: -->", "<!-- end -->"


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The flags of `python -m benchmark.perturbations`."""

    data: Path
    """Folder of the data set."""
    num_videos: int = 8
    """Use the first N episodes; set-wise metrics compare these."""
    weights: Path | None = None
    """Folder of the pretrained networks fetched by python -m benchmark.weights."""
    device: str = "cpu"
    """Device of the metrics."""
    out: Path | None = None
    """A Markdown file with two marks, between which to write the table; by default it is printed."""


def shift(videos: Videos) -> Videos:
    """Shift the image right by 1/64 of its width, repeating the left edge."""
    step = max(1, videos.shape[3] // 64)
    moved = videos.copy()
    moved[:, :, :, step:] = videos[:, :, :, :-step]
    moved[:, :, :, :step] = videos[:, :, :, :1]
    return moved


def blur(videos: Videos) -> Videos:
    """Blur by a Gaussian with a standard deviation of 1/128 of the width."""
    return _each_frame(videos, lambda frame: cv2.GaussianBlur(frame, (0, 0), frame.shape[1] / 128))


def color(videos: Videos) -> Videos:
    """Make red a fifth stronger and blue a fifth weaker."""
    levels: np.ndarray = np.rint(np.minimum(videos * np.array([1.2, 1.0, 0.8], np.float32), 255.0))
    return levels.astype(np.uint8)


def delete_object(videos: Videos) -> Videos:
    """Inpaint a central disc whose diameter is a quarter of the width."""
    height, width = videos.shape[2:4]
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 2, height // 2), width // 8, 255, thickness=-1)
    return _each_frame(videos, lambda frame: cv2.inpaint(frame, mask, 3, cv2.INPAINT_TELEA))


def swap_video(videos: Videos) -> Videos:
    """Replace each video by the next episode's."""
    return np.roll(videos, -1, axis=0)


def freeze(videos: Videos) -> Videos:
    """Repeat the first frame."""
    return np.repeat(videos[:, :1], videos.shape[1], axis=1)


PERTURBATIONS: Mapping[str, Callable[[Videos], Videos]] = {
    "none": lambda videos: videos,
    "shift": shift,
    "blur": blur,
    "colour": color,
    "delete object": delete_object,
    "swap video": swap_video,
    "freeze": freeze,
}


def _each_frame(videos: Videos, change: Callable[[np.ndarray], np.ndarray]) -> Videos:
    frames = videos.reshape(-1, *videos.shape[2:])
    return np.stack([change(frame) for frame in frames]).reshape(videos.shape)


def tabulate(flags: Flags) -> None:
    """Score every perturbation and write the table."""
    episodes = open_dataset(flags.data)
    keys = episodes.keys[: flags.num_videos]
    if len(keys) < 2:
        raise UserError(
            f"{as_given(flags.data)}: needs at least two episodes, to swap them, but has {len(episodes.keys)}"
        )
    lengths = {episodes.num_frames(key) for key in keys}
    true = load_frames(episodes, keys, min(lengths) - NUM_FRAMES, min(lengths))
    side = min(true.shape[2:4])
    metrics = [m for m in METRICS if not isinstance(m, PairedMetric) or side >= m.smallest_side]
    bundle = None if flags.weights is None else open_bundle(flags.weights)
    resources = Resources(device=find_device(flags.device), weights=bundle)
    quick = Scorer([metric for metric in metrics if metric.name not in SLOW_METRICS], resources)
    slow = Scorer([metric for metric in metrics if metric.name in SLOW_METRICS], resources)
    rows = {}
    for name, change in PERTURBATIONS.items():
        degraded = change(true)
        slow_scores = evaluate(slow, degraded[:, ::STRIDE], true[:, ::STRIDE])
        rows[name] = evaluate(quick, degraded, true) | slow_scores
    table = to_markdown(metrics, rows, slow.absent | quick.absent, len(keys))
    if flags.out is None:
        print(table)
    else:
        with writing_to(flags.out.parent, together=True, part=flags.out.stem):
            put_between_marks(flags.out, table)


def evaluate(scorer: Scorer, generated: Videos, true: Videos) -> dict[str, float]:
    """Return the mean of every available metric, over all frames or over the clips' positions in time."""
    scores = scorer.score(generated, true)
    values = {}
    for metric in scorer.metrics:
        if isinstance(metric, PairedMetric):
            values[metric.name] = float(scores[metric.name][:, :, 0].mean(dtype=np.float64))
        elif isinstance(metric, SetMetric):
            first, second = (scores[name].swapaxes(0, 1) for name in feature_names(metric.embedding))
            values[metric.name] = float(
                np.mean([metric.distance(a, b) for a, b in zip(first, second, strict=True)])
            )
    return values


def to_markdown(
    metrics: Sequence[Metric],
    rows: Mapping[str, Mapping[str, float]],
    absent: Mapping[str, str],
    num_videos: int,
) -> str:
    """Return the table, with a row per perturbation and a column per metric, and the absent metrics below."""
    titles = [f"{metric.title} {'↑' if metric.higher_is_better else '↓'}" for metric in metrics]
    lines = [f"| | {' | '.join(titles)} |", f"|---|{'---:|' * len(metrics)}"]
    for name, values in rows.items():
        cells = [f"{values[m.name]:.{m.decimals}f}" if m.name in values else "–" for m in metrics]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    sparse = [metric.title for metric in metrics if metric.name in SLOW_METRICS and metric.name not in absent]
    footnote = f"; {' and '.join(sparse)}: every {STRIDE}th frame" if sparse else ""
    lines += ["", f"Means over {num_videos} videos and {NUM_FRAMES} frames of each{footnote}."]
    lines += [f"- {name} is absent: it {reason}." for name, reason in absent.items()]
    return "\n".join(lines)


def put_between_marks(path: Path, text: str, mark: str = BEGIN) -> None:
    """Replace the text between `mark` and the end mark in a file; raise `UserError` if it lacks them."""
    before, begin, rest = path.read_text().partition(mark)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"{path}: lacks the lines {mark} and {END}; add them where the table should go")
    with whole_file(path) as temporary:
        temporary.write_text(f"{before}{mark}\n{text}\n{END}{after}")


main = partial(run, Flags, tabulate)

if __name__ == "__main__":
    raise SystemExit(main())
