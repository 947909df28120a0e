"""Walks of three actions, their selection for the test set, and their revisits."""
