"""Who is best in a column, as far as the videos can tell: by paired differences, not by means alone."""

from typing import Literal

import numpy as np

from benchmark.results.bootstrap import FEWEST_VIDEOS, bootstrap_interval
from leaderboard.site.columns import Column
from leaderboard.site.tables import SiteTable

Standing = Literal["best", "level"]


def standings(table: SiteTable, column: Column, window: str) -> dict[str, Standing]:
    """By row: "best" where a model is better than every other one over the same videos.

    If the one of the best mean is not, it and all from which it cannot be told apart are "level". Bounds
    take no part; a column without values of videos has no standings, nor one with a single model.
    """
    models = {entry.id for entry in table.entries if entry.result.model.role == "model"}
    given = {row: values for row, values in column.videos.get(window, {}).items() if row in models}
    videos = {row: np.array(values, np.float64) for row, values in given.items()}
    if len(videos) < 2:
        return {}
    sign = 1.0 if column.is_higher_better else -1.0
    leader = max(videos, key=lambda row: sign * column.values[window][row].mean)
    level = [row for row in videos if row != leader and not _is_better(sign, videos[leader], videos[row])]
    return {leader: "best"} if not level else dict.fromkeys([leader, *level], "level")


def _is_better(sign: float, one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the interval of the paired difference, over the videos that both have, lies above zero."""
    differences = sign * (one - other)
    differences = differences[~np.isnan(differences)]
    if len(differences) < FEWEST_VIDEOS:
        return False
    low, _ = bootstrap_interval(differences)
    return bool(low > 0.0)
