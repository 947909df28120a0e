"""Checks of the model contract on synthetic videos, and models with known memory."""
