"""Summary of a `generate` run, gathered from the rows of its episodes."""

from collections import Counter
from collections.abc import Iterable, Iterator

from loopcraft.core.urls import AnyPath
from loopcraft.dataset.audit import FLAGS
from loopcraft.dataset.episode_table import Row
from loopcraft.generation.recipe import Recipe

_CHOICES = {"planned": "walked furthest", "realised": "see the most again, at every age"}
_EXAMPLES = 5
"""Number of flagged episodes to list for each flag."""


class Summary:
    """Counts of the episodes that were kept, dropped (and why) and flagged."""

    def __init__(self) -> None:
        self._kept = 0
        self._rejected: Counter[str] = Counter()
        self._flagged: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {flag: [] for flag in FLAGS}

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield the same rows, counting each."""
        for row in rows:
            self._kept += 1
            self._rejected.update(reason for reason in row["rejected"].split(",") if reason)
            for flag in FLAGS:
                if row[flag]:
                    self._flagged[flag] += 1
                    self._examples[flag] += [row["key"]] * (len(self._examples[flag]) < _EXAMPLES)
            yield row

    def text(self, root: AnyPath, recipe: Recipe) -> str:
        """Return the summary in a few lines."""
        lines = [f"{root}: {self._kept} kept"]
        if self._rejected:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self._rejected.items()))
            lines[0] += f", {self._rejected.total()} dropped: {reasons}"
        if recipe.candidates is not None and self._kept == recipe.num_episodes:
            lines[0] += f"; of {recipe.candidates} candidates, the kept ones {_CHOICES[recipe.select]}"
        for flag in FLAGS:
            if self._flagged[flag]:
                lines.append(f"flagged {flag}: {self._flagged[flag]}, like {' '.join(self._examples[flag])}")
        return "\n".join(lines)
