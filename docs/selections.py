"""Draw the effect of `--select realised` and print its figures.

Both selections are made from the same candidates, those of a test set of 64 episodes.
`python docs/selections.py` draws docs/selections.png; for the other block world, use
`python docs/selections.py --world voxel-v1 --episodes 16 --lengths 256 --out docs/selections-voxel.png`.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64
from matplotlib.figure import Figure

from loopcraft.core.progress import progress_bar
from loopcraft.executors.local import LocalExecutor
from loopcraft.generation.plan import choose_candidates
from loopcraft.generation.realised import (
    SIGHT_RESOLUTION,
    YOUNGEST,
    Sighting,
    choose_returning,
    measure_candidate,
)
from loopcraft.generation.recipe import Recipe
from loopcraft.worlds import make_surface_world

COLORS = {"planned": "#7a7f87", "realised": "#0072b2"}

Shares = Float64[np.ndarray, "episodes stretches"]
"""Share of the horizon's pixels that returned, by episode and range of ages."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """The candidates to watch, and the output file."""

    world: str = "plaza-v1"
    episodes: int = 64
    lengths: tuple[int, ...] = (256, 1024)
    workers: int = 1
    out: Path = Path(__file__).resolve().parent / "selections.png"


def selections(recipe: Recipe, workers: int) -> dict[str, Shares]:
    """Return the shares of the episodes that each selection chooses."""
    assert recipe.candidates is not None
    by_candidate: dict[int, Sighting] = {}
    make_world = partial(make_surface_world, recipe.world, resolution=SIGHT_RESOLUTION)
    with progress_bar("watching candidates", recipe.candidates, "walks") as advance:
        job, candidates = partial(measure_candidate, recipe=recipe), range(recipe.candidates)
        for candidate, sighting in LocalExecutor(workers).run(job, candidates, make_state=make_world):
            by_candidate[candidate] = sighting
            advance()
    sightings = [by_candidate[candidate] for candidate in range(recipe.candidates)]
    selected = {
        "planned": choose_candidates(recipe, [sighting.distance_walked for sighting in sightings]),
        "realised": choose_returning(sightings, recipe.num_episodes),
    }
    return {
        name: np.array([sightings[candidate].returned for candidate in chosen])
        for name, chosen in selected.items()
    }


def stretch_names(num_frames: int) -> list[str]:
    """Return the ranges of ages in an episode of `num_frames` frames."""
    names, last = [f"1-{YOUNGEST}"], YOUNGEST
    while last < num_frames - 1:
        names.append(f"{last + 1}-{2 * last}")
        last *= 2
    return names


def print_table(num_frames: int, selected: dict[str, Shares]) -> None:
    """Print one row per selection: the share that returned, over episodes and by age."""
    names = stretch_names(num_frames)
    print(f"\n| {num_frames} frames | returned, mean | least | lower quarter | {' | '.join(names)} |")
    print(f"|---|{'---|' * (3 + len(names))}")
    for name, shares in selected.items():
        total = shares.sum(axis=1)
        overall = [total.mean(), total.min(), np.quantile(total, 0.25)]
        cells = [f"{100 * value:.1f} %" for value in [*overall, *shares.mean(axis=0)[: len(names)]]]
        print(f"| {name} | {' | '.join(cells)} |")


def draw(figure: Figure, by_length: dict[int, dict[str, Shares]]) -> None:
    """Draw one row per length: a histogram of the episodes' returns, and the returns by age."""
    rows = figure.subplots(len(by_length), 2, squeeze=False, width_ratios=(3, 4))
    for (num_frames, selected), (left, right) in zip(by_length.items(), rows, strict=True):
        bins = np.linspace(0, 1, 21)
        names = stretch_names(num_frames)
        positions = np.arange(len(names))
        for shift, (name, shares) in zip((-0.2, 0.2), selected.items(), strict=True):
            left.hist(shares.sum(axis=1), bins=bins, color=COLORS[name], alpha=0.6, label=name)
            means = 100 * shares.mean(axis=0)[: len(names)]
            right.bar(positions + shift, means, 0.4, color=COLORS[name], alpha=0.8, label=name)
        left.set_xlabel("share of the horizon's pixels that returned")
        left.set_ylabel(f"episodes of {num_frames} frames")
        right.set_xticks(positions, names)
        right.set_xlabel("frames since the context last showed it")
        right.set_ylabel("% of the horizon's pixels")
        for axes in (left, right):
            axes.spines[["top", "right"]].set_visible(False)
    rows[0, 1].legend(frameon=False)


def main(flags: Flags) -> None:
    """Measure, print and draw."""
    by_length = {}
    for num_frames in flags.lengths:
        recipe = Recipe(world=flags.world, split="test", num_episodes=flags.episodes, num_frames=num_frames)
        by_length[num_frames] = selections(recipe, flags.workers)
        print_table(num_frames, by_length[num_frames])
    figure = Figure(figsize=(9, 2.5 * len(by_length)), layout="constrained")
    draw(figure, by_length)
    figure.savefig(flags.out, dpi=110)


if __name__ == "__main__":
    main(tyro.cli(Flags))
