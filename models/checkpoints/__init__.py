"""Checkpoint files, the project's and the published ones, on disk and on the Hub."""
