"""Score models of known memory by the memory metrics, for the table of docs/recall.md.

`python -m perf.known_memory --data DATA --weights weights` runs the synthetic models of
`benchmark/conformance/known_memory.py` and the references on loopcraft-mini, over data with recall masks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmark.conformance.known_memory import KnownModel, known_models
from benchmark.library import evaluate
from benchmark.perturbations import put_between_marks
from benchmark.results.estimates import Measured, number
from benchmark.results.recall import memory_horizon
from benchmark.results.recall_schema import SURFACE_PSNR
from benchmark.results.result_file import Result
from benchmark.results.tables import unique_labels
from loopcraft.core.cli import run
from loopcraft.core.errors import UserError
from loopcraft.dataset import LoopcraftDataset, open_dataset
from loopcraft.worlds import make_world

REFERENCES = ("other-video", "ground-truth")
BEGIN = "<!-- made by perf.known_memory: -->"
ABSENT = "–"


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The data, and the output of the table."""

    data: Path
    """A data set of plaza-v1 or voxel-v1 with recall masks for 64 frames of context."""
    weights: Path | None = None
    """Folder of pretrained networks; with it, the table includes LPIPS."""
    max_videos: int | None = None
    """Score only this many videos, the first ones."""
    out: Path | None = None
    """Markdown file with marks for the table; by default the table is printed."""


def tabulate(flags: Flags) -> None:
    """Score every model and write the table."""
    data = open_dataset(flags.data)
    metrics = ("psnr", "ssim", *(("lpips",) if flags.weights is not None else ()))
    results = {}
    models: list[str | KnownModel] = [*REFERENCES, *models_for(data)]
    for model in models:
        result = evaluate(
            model,
            data,
            protocol="loopcraft-mini",
            metrics=metrics,
            weights=flags.weights,
            max_videos=flags.max_videos,
            batch_size=4,
        )
        results[result.model.name] = result
    table = to_markdown(results, metrics)
    if flags.out is None:
        print(table)
    else:
        put_between_marks(flags.out, table, BEGIN)


def models_for(data: LoopcraftDataset) -> tuple[KnownModel, ...]:
    """Return the synthetic models for a data set made by one of our worlds."""
    if data.manifest is None or "world_seed" not in data.metadata:
        raise UserError(f"{data.root}: records no world seeds; use a data set made by loopcraft.generate")
    world = make_world(data.manifest["world"], resolution=data.manifest["generator"]["resolution"])
    seeds = {key: int(data.metadata["world_seed"].loc[key]) for key in data.keys}
    return known_models(world, seeds)


def to_markdown(results: Mapping[str, Result], metrics: Sequence[str]) -> str:
    """Format the results as a Markdown table with one row per model and one column per figure."""
    floor, ceiling = (results[name] for name in REFERENCES)
    cards = {name: floor.metrics[name].card for name in metrics}
    best = metrics[-1]
    heads = [
        *(card.title for card in cards.values()),
        *(f"horizon by {card.title}" for name, card in cards.items() if name != "psnr"),
        f"{cards[best].title} with itself",
        f"{cards[best].title} with the truth there",
        "PSNR by surface with itself",
        "PSNR by surface with the truth there",
        "turns followed",
        "on course",
        "yaw error (degrees)",
        "standing still",
    ]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for label, result in zip(unique_labels(list(results.values())), results.values(), strict=True):
        steering = result.steering
        assert steering is not None
        cells = [
            *(f"{fmean(result.metrics[name].curve.mean):.{card.decimals}f}" for name, card in cards.items()),
            *(str(memory_horizon(result, floor, ceiling, name)) for name in metrics if name != "psnr"),
            *_agreement(result, best, 3),
            *_agreement(result, SURFACE_PSNR, 1),
            _text(steering.turns_followed, 2),
            _text(steering.on_course, 2),
            _text(steering.yaw_error_deg, 1),
            _text(steering.standing_still, 2),
        ]
        lines.append(f"| `{label}` | {' | '.join(cells)} |")
    count = len(floor.data.keys)
    lines += ["", f"Means over {count} videos; PSNR, SSIM and LPIPS in the first columns over all frames."]
    return "\n".join(lines)


def _agreement(result: Result, metric: str, decimals: int) -> tuple[str, str]:
    """Format the agreement with itself and with the truth."""
    entry = result.consistency.get(metric)
    if entry is None:
        return ABSENT, ABSENT
    return _text(entry.with_itself, decimals), _text(entry.with_truth, decimals)


def _text(value: Measured | None, decimals: int) -> str:
    if value is None or value.estimate is None:
        return ABSENT
    return f"{number(value.estimate.mean):.{decimals}f}"


if __name__ == "__main__":
    raise SystemExit(run(Flags, tabulate))
