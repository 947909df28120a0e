"""Scores any video world model on a Loopcraft data set."""
