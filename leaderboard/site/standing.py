"""Who is best in a column, as far as the videos can tell: by paired differences, not by means alone."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from benchmark.results.bootstrap import FEWEST_VIDEOS, bootstrap_interval
from leaderboard.site.tables import Column, SiteTable

Standing = Literal["best", "level"]


def standings(table: SiteTable, column: Column, window: str) -> dict[str, Standing]:
    """By row: "best" where a model is better than every other one over the same videos.

    If the one of the best mean is not, it and all from which it cannot be told apart are "level". Bounds
    take no part; a column without values of videos has no standings, nor one with a single model.
    """
    models = {entry.id for entry in table.entries if entry.result.model.role == "model"}
    videos = {row: np.array(v) for row, v in column.videos.get(window, {}).items() if row in models}
    if len(videos) < 2 or len(next(iter(videos.values()))) < FEWEST_VIDEOS:
        return {}
    sign = 1.0 if column.card.higher_is_better else -1.0
    leader = max(videos, key=lambda row: sign * column.values[window][row].mean)
    level = _not_worse(videos, leader, sign)
    return {leader: "best"} if not level else dict.fromkeys([leader, *level], "level")


def _not_worse(videos: Mapping[str, np.ndarray], leader: str, sign: float) -> list[str]:
    """The rows from which the leader's difference may be zero."""
    others = [row for row in videos if row != leader]
    differences = sign * np.stack([videos[leader] - videos[row] for row in others], axis=1)
    low, _ = bootstrap_interval(differences)
    return [row for row, bound in zip(others, low, strict=True) if bound <= 0.0]
