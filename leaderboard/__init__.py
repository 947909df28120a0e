"""The leaderboard: result files compared, checked as entries and shown on a static site."""

from loopcraft.core.extras import explain_missing

explain_missing("leaderboard")
