"""What the scores of memory say of models whose memory is known: the table of docs/recall.md.

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
    """On what, and where the table goes."""

    data: Path
    """A data set of plaza-v1 or voxel-v1 with recall masks for 64 frames of context."""
    weights: Path | None = None
    """The folder of pretrained networks: with it LPIPS is shown too."""
    max_videos: int | None = None
    """Only the first so many videos."""
    out: Path | None = None
    """A Markdown file that has marks for the table; else it is printed."""


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
    """The synthetic models for a data set that one of our worlds made."""
    if data.manifest is None or "world_seed" not in data.metadata:
        raise UserError(
            f"{data.root}: does not say in which worlds it was played; use one of loopcraft.generate"
        )
    world = make_world(data.manifest["world"], resolution=data.manifest["generator"]["resolution"])
    seeds = {key: int(data.metadata["world_seed"].loc[key]) for key in data.keys}
    return known_models(world, seeds)


def to_markdown(results: Mapping[str, Result], metrics: Sequence[str]) -> str:
    """A row a model, a column a number."""
    floor, ceiling = (results[name] for name in REFERENCES)
    cards = {name: floor.metrics[name].card for name in metrics}
    best = metrics[-1]
    heads = [
        *(f"{card.title}" for card in cards.values()),
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
    """With itself and with the truth."""
    found = result.consistency.get(metric)
    if found is None:
        return ABSENT, ABSENT
    return _text(found.with_itself, decimals), _text(found.with_truth, decimals)


def _text(found: Measured | None, decimals: int) -> str:
    if found is None or found.estimate is None:
        return ABSENT
    return f"{number(found.estimate.mean):.{decimals}f}"


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    return run(Flags, tabulate, argv)


if __name__ == "__main__":
    raise SystemExit(main())
