"""The leaderboard: result files compared, checked as entries and shown on a static site."""
