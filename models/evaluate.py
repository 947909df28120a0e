"""Score and draw reconstructions: `python -m models.evaluate autoencoder --data DATA --out OUT`.

Scores the reconstruction from each level of the hierarchical and the cascaded autoencoder. Writes
reconstruction.json and reconstruction.png, and prints a table for each metric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmark.metrics import check_sides, get_metrics
from benchmark.metrics.base import MetricUnavailableError, PairedMetric, Resources
from benchmark.weight_files.bundle import open_bundle
from loopcraft.core.cli import names_in, require_at_least, run
from loopcraft.core.device import find_device
from loopcraft.core.errors import UserError
from loopcraft.core.files import write_json
from loopcraft.core.progress import progress_bar
from loopcraft.core.urls import as_given
from loopcraft.core.writing import writing_to
from loopcraft.dataset import LoopcraftDataset, open_dataset
from models.latents.codec import FrameCodec
from models.networks.precision import Precision
from models.networks.tokens import Grid
from models.reconstruction.picture import draw_reconstructions
from models.reconstruction.scores import (
    MeanWithError,
    Score,
    choose_examples,
    choose_frames,
    collect,
    score_videos,
)
from models.zoo.box import PRETRAINED
from models.zoo.loading import SUFFIX, WeightSource, has_weights, load_autoencoder

FORMAT, FORMAT_VERSION = "loopcraft-reconstruction", 1
COLUMNS = 6
"""Number of frames in the picture."""
HIERARCHICAL, CASCADED = "hierarchical", "mean-pooled"
CASCADED_FILE = f"autoencoder-cascaded{SUFFIX}"

Estimates = Mapping[str, Mapping[str, Sequence[MeanWithError]]]


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The checkpoint, the data set and the output folder."""

    what: tyro.conf.Positional[Literal["autoencoder"]]
    data: Path
    """The data set: a folder, or hf://ORG/NAME."""
    out: Path
    """The output folder for reconstruction.json and reconstruction.png."""
    checkpoint: str = PRETRAINED
    """"pretrained", "published", or a folder or hf://ORG/NAME that holds autoencoder.safetensors and,
    optionally, autoencoder-cascaded.safetensors."""
    metrics: str = ""
    """Comma-separated paired metrics of the benchmark; psnr,ssim if empty, and lpips with --weights."""
    weights: Path | None = None
    """The folder of pretrained networks fetched by python -m benchmark.weights."""
    num_frames: int = 16
    """Number of evenly spaced frames to score per video."""
    device: str = "cpu"
    precision: Precision = "auto"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The autoencoders and the SHA-256 of their files, by name."""

    codecs: Mapping[str, FrameCodec]
    sha256: Mapping[str, str | None]
    grid: Grid


def evaluate(flags: Flags) -> None:
    """Score the reconstructions, print the tables and write the results."""
    require_at_least(flags, num_frames=1)
    device = find_device(flags.device)
    metrics = choose_metrics(flags.metrics, flags.weights)
    data = open_dataset(flags.data)
    loaded = load_autoencoders(flags.checkpoint, flags.precision, device, data.world_id)
    _require_frames(flags, data, loaded, metrics)
    resources = Resources(
        device=device, weights=None if flags.weights is None else open_bundle(flags.weights)
    )
    scores = load_scores(metrics, resources)
    flags.out.mkdir(parents=True, exist_ok=True)
    console = Console()
    if CASCADED not in loaded.codecs:
        console.print(
            f"{flags.checkpoint} holds no {CASCADED_FILE}: only the hierarchical autoencoder is scored",
            soft_wrap=True,
        )
    chosen = choose_frames(data, flags.num_frames)
    shown = choose_examples(chosen, COLUMNS)
    videos, examples = [], []
    steps = score_videos(data, chosen, shown, loaded.codecs, scores, device)
    with progress_bar("scoring", len(chosen), "videos") as advance:
        for video_scores, video_examples in steps:
            videos.append(video_scores)
            examples += video_examples
            advance()
    estimates = collect(videos)
    num_frames = sum(map(len, chosen.values()))
    report = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "data": {"fingerprint": data.fingerprint, "videos": list(chosen), "frames": num_frames},
        "settings": _settings(flags, metrics, resources),
        "autoencoders": _autoencoders(loaded, estimates),
    }
    with writing_to(flags.out, together=True):
        write_json(flags.out / "reconstruction.json", report)
        draw_reconstructions(flags.out / "reconstruction.png", examples, loaded.grid.tokens_per_level)
    for metric in metrics:
        console.print(metric_table(metric, estimates, loaded.grid))
    console.print(f"mean ± standard error over {len(videos)} videos ({num_frames} frames)")
    console.print(f"wrote {flags.out / 'reconstruction.json'} and reconstruction.png", soft_wrap=True)


def choose_metrics(names: str, weights: Path | None) -> list[PairedMetric]:
    """Return the requested metrics; raise `UserError` for unknown ones and for those that compare sets."""
    default = "psnr,ssim" if weights is None else "psnr,ssim,lpips"
    metrics = []
    for metric in get_metrics(names_in((names or default).lower())):
        if not isinstance(metric, PairedMetric):
            raise UserError(f"--metrics {metric.name}: compares sets of videos, not pairs of frames; drop it")
        metrics.append(metric)
    return metrics


def load_scores(metrics: Sequence[PairedMetric], resources: Resources) -> dict[str, Score]:
    """Return each metric's score function; raise `UserError` if pretrained weights are missing."""
    scores = {}
    for metric in metrics:
        try:
            scores[metric.name] = metric.load(resources)
        except MetricUnavailableError as error:
            raise UserError(f"--metrics {metric.name} {error}") from error
    return scores


def load_autoencoders(
    checkpoint: str, precision: Precision, device: torch.device, world: str | None = None
) -> Loaded:
    """Load the hierarchical autoencoder and, if the checkpoint has it, the cascaded one.

    Raises `UserError` if their frame sizes or grids differ.
    """
    models = {HIERARCHICAL: "millivid"}
    if has_weights("autoencoder-cascaded", checkpoint):
        models[CASCADED] = "millivid-cascaded"
    codecs, sha256 = {}, {}
    for name, model in models.items():
        autoencoder, sha256[name] = load_autoencoder(model, WeightSource(checkpoint=checkpoint, world=world))
        codecs[name] = FrameCodec(autoencoder.to(device), precision)
    shapes = {(codec.frame_shape, *codec.autoencoder.grid.tokens_per_level) for codec in codecs.values()}
    if len(shapes) > 1:
        raise UserError(
            f"{checkpoint}: its two autoencoders differ in frame size or tokens per level; train both with "
            "the same preset and resolution, or move one away"
        )
    return Loaded(codecs=codecs, sha256=sha256, grid=codecs[HIERARCHICAL].autoencoder.grid)


def _require_frames(
    flags: Flags, data: LoopcraftDataset, loaded: Loaded, metrics: Sequence[PairedMetric]
) -> None:
    height, width = data.frames(data.keys[0], 0, 1).shape[1:3]
    expected = loaded.codecs[HIERARCHICAL].frame_shape
    if (3, height, width) != expected:
        raise UserError(
            f"--data {as_given(flags.data)}: has frames of {height} x {width}, but the autoencoder of "
            f"{flags.checkpoint} takes {expected[1]} x {expected[2]}; give a data set of that resolution"
        )
    check_sides(metrics, expected)


def _settings(flags: Flags, metrics: Sequence[PairedMetric], resources: Resources) -> dict[str, Any]:
    """Return the settings, other than data and autoencoders, that affect the scores."""
    return {
        "num_frames": flags.num_frames,
        "device": flags.device,
        "precision": flags.precision,
        "metrics": {
            metric.name: {"version": metric.version, "weights": resources.weights_of(metric.networks)}
            for metric in metrics
        },
    }


def _autoencoders(loaded: Loaded, estimates: Estimates) -> dict[str, Any]:
    """Return each autoencoder's checkpoint and its estimates for every level."""
    return {
        name: {
            "sha256": loaded.sha256[name],
            "frame_size": loaded.codecs[name].frame_shape[1],
            "levels": [
                {
                    "level": level,
                    "tokens": tokens,
                    "metrics": {metric: asdict(levels[level]) for metric, levels in by_metric.items()},
                }
                for level, tokens in enumerate(loaded.grid.tokens_per_level)
            ],
        }
        for name, by_metric in estimates.items()
    }


def metric_table(metric: PairedMetric, estimates: Estimates, grid: Grid) -> Table:
    """Return a table with one row per level, finest first, and one column per autoencoder."""
    unit = f" ({metric.unit})" if metric.unit else ""
    better = "higher" if metric.higher_is_better else "lower"
    title = f"{metric.title}{unit}, {better} is better"
    table = Table("level", "tokens per frame", *estimates, title=title, title_justify="left")
    for level, tokens in enumerate(grid.tokens_per_level):
        cells = (_cell(by_metric[metric.name][level], metric.decimals) for by_metric in estimates.values())
        table.add_row(str(level), str(tokens), *cells)
    return table


def _cell(estimate: MeanWithError, decimals: int) -> str:
    error = "" if estimate.standard_error is None else f" ± {estimate.standard_error:.{decimals}f}"
    return f"{estimate.mean:.{decimals}f}{error}"


main = partial(run, Flags, evaluate)

if __name__ == "__main__":
    raise SystemExit(main())
