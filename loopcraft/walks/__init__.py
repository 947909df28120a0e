"""Walks of three actions, their choice for the test set, and where they come back."""
