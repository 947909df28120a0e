"""Checkpoint files, ours and the published ones, on disk and on the Hub."""
