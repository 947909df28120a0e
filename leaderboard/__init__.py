"""The leaderboard: result files compared; it knows nothing of how they are made."""
