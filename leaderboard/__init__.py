"""The leaderboard: comparing result files, checking entries and building a static site."""

from loopcraft.core.extras import explain_missing

explain_missing("leaderboard")
