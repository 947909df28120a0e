"""Checkpoints and their card on the Hub."""
