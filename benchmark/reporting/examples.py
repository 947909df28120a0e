"""Choose the videos that a report shows, best and worst of those kept, and write their pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, cycle
from pathlib import Path

from benchmark.harness.run_folder import video_name
from benchmark.reporting.side_by_side import write_side_by_side
from benchmark.reporting.strips import write_strip
from benchmark.results.result_file import Result
from loopcraft.core.cli import one_line
from loopcraft.core.urls import AnyPath
from loopcraft.dataset import LoopcraftDataset

LEAD_IN = 64
"""Number of context frames that a video shows before the generated ones."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One video of the data set beside every model's generated frames."""

    key: str
    title: str
    video: Path
    strip: Path


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A result whose generated videos are shown, with its run folder."""

    label: str
    result: Result
    folder: AnyPath

    def video(self, key: str) -> AnyPath:
        """Return the path of the run's generated video."""
        return self.folder / video_name(key)


def choose_keys(shown: Sequence[Shown], count: int) -> dict[str, str]:
    """Map up to `count` keys that every run kept to titles: worst, best, next worst, next best ...

    Videos are ranked by the first run's first paired metric in the last window.
    """
    first = shown[0]
    ranked = next((m for m in first.result.headline.values() if m.videos is not None), None)
    if ranked is None or ranked.videos is None:
        return {}
    window = first.result.protocol.windows[-1].name
    values = dict(zip(first.result.data.keys, ranked.videos[window], strict=True))
    kept = [key for key in values if all(run.video(key).exists() for run in shown)]
    order = sorted(kept, key=lambda key: values[key], reverse=not ranked.card.higher_is_better)
    alternating = [order.pop(0 if index % 2 == 0 else -1) for index in range(len(order))]
    ranks = chain(["worst", "best"], cycle(["next worst", "next best"]))
    unit = f" {ranked.card.unit}" if ranked.card.unit else ""
    return {
        key: f"{key}: {rank} of the {len(kept)} kept videos for {first.label}, "
        f"{one_line(ranked.card.title)} {values[key]:.{ranked.card.decimals}f}{unit} in the {window} window"
        for key, rank in zip(alternating[:count], ranks, strict=False)
    }


def make_examples(shown: Sequence[Shown], dataset: LoopcraftDataset, out: Path, count: int) -> list[Example]:
    """Write a video and a strip of each chosen key below `out`."""
    protocol = shown[0].result.protocol
    examples = []
    for key, title in choose_keys(shown, count).items():
        predictions: Mapping[str, AnyPath] = {run.label: run.video(key) for run in shown}
        video, strip = (out / f"{key.replace('/', '-')}{suffix}" for suffix in (".mp4", ".png"))
        write_side_by_side(video, dataset, key, protocol, predictions, lead_in=LEAD_IN)
        write_strip(strip, dataset, key, protocol, predictions)
        examples.append(Example(key=key, title=title, video=video, strip=strip))
    return examples
