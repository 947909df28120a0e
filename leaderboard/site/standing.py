"""Find the best models of a column by paired differences over videos, not by means alone."""

from typing import Literal

import numpy as np

from benchmark.results.bootstrap import FEWEST_VIDEOS, bootstrap_interval
from leaderboard.site.columns import Column
from leaderboard.site.tables import SiteTable

Standing = Literal["best", "level"]


def standings(table: SiteTable, column: Column, window: str) -> dict[str, Standing]:
    """Return by row "best" for a model that is better than every other one over the same videos.

    If the model of the best mean is not, it and all models indistinguishable from it are "level". References
    are left out; a column without per-video values or with a single model has no standings.
    """
    models = {entry.id for entry in table.entries if entry.result.model.role == "model"}
    values = column.videos.get(window, {})
    videos = {row: np.array(values[row], np.float64) for row in values if row in models}
    if len(videos) < 2:
        return {}
    sign = 1.0 if column.is_higher_better else -1.0
    leader = max(videos, key=lambda row: sign * column.values[window][row].mean)
    level = [row for row in videos if row != leader and not _is_better(sign, videos[leader], videos[row])]
    return {leader: "best"} if not level else dict.fromkeys([leader, *level], "level")


def _is_better(sign: float, values: np.ndarray, others: np.ndarray) -> bool:
    """Return whether the interval of the paired difference, over the videos that both have, is above zero."""
    differences = sign * (values - others)
    differences = differences[~np.isnan(differences)]
    if len(differences) < FEWEST_VIDEOS:
        return False
    low, _ = bootstrap_interval(differences)
    return bool(low > 0.0)
